"""How pieces are scored from what the model says with some of them off, one way per file."""
