"""Backgrounds: what replaces the pieces that are off while a method samples, one per file."""
