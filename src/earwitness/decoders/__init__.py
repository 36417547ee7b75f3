"""Networks of learned explainers, their losses, and their folder on disk."""
