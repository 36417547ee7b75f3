"""Explanations of many sounds, from Python."""
