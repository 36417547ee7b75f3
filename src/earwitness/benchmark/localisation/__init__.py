"""A benchmark of localisation on sounds with known sources."""
