"""What stands in for pieces that are off while a method samples, one way per file."""
