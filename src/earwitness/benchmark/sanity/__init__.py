"""Benchmarks of whether explanations depend on the trained weights: model randomisation."""
