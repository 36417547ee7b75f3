"""Recordings of hours: scores of windows, events where a label stands out, and their page."""
