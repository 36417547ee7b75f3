"""Training of models and of what explains them."""
