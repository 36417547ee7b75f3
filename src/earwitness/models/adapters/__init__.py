"""Adapters: one file per kind of model."""
