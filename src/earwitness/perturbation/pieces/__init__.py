"""Decompositions of the plane into pieces (interpretable components), one per file."""
