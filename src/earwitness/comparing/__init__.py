"""One recording compared with another of the same words."""
