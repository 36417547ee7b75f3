"""Training of classifiers and of learned explainers."""
