"""The explanation methods, one idea per file."""
