"""Adapters: one file per world of models."""
