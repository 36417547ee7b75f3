"""Decoder networks of learned explainers, their losses and their files."""
