"""Published tables as data, and what can be told from their numbers alone."""
