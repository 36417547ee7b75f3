"""Benchmarks: grids of methods, masks and metrics; localisation; speed."""
