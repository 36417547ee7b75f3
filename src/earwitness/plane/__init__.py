"""The explanation plane."""
