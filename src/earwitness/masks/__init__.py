"""Mask rules: from an attribution to gains on the plane."""
