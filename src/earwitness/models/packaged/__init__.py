"""Single models whose weights other packages bring, by the names of these packages."""
