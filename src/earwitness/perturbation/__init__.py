"""Pieces of a sound, switched on and off, and the estimators of their weights."""
