"""Where hidden layers lie in time and frequency, and what they hold."""
