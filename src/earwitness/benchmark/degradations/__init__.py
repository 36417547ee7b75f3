"""A benchmark of localisation for models of speech quality."""
