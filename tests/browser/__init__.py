"""Tests of the report's script, in Chromium."""
