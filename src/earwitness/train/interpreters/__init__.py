"""Training of interpreters that explain a decision by components."""
