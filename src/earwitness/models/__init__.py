"""Models: the model class, adapters, built-in architectures, targets and fingerprints."""
