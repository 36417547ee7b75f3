"""Training of interpreters that explain a decision by components, and figures of trained ones."""
