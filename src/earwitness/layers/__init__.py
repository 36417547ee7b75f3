"""Layers of a network: their axes in time and frequency, and their activations."""
