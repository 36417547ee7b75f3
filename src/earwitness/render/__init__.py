"""Rendering of explanations: sounds, players, images and labels."""
