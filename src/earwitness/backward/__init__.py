"""Rules of relevance methods, at the level of torch functions."""
