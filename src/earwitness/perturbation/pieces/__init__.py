"""How the plane is cut into pieces that are switched on and off together, one way per file."""
