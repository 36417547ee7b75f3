"""Data sets: where sounds and labels come from."""
