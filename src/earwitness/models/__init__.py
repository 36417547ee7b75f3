"""Models: adapters, architectures, and where their layers listen."""
