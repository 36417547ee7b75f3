"""Public data sets: what they are, how they are obtained, and how their folders are read."""
