"""Figures about explanations."""
