"""Do explanations find the true source? A benchmark whose answers are known."""
