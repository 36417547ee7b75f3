"""Data sets: labelled sounds, and sounds of benchmarks with known sources."""
