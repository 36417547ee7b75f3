"""From an attribution to gains: how much of which cell is kept."""
