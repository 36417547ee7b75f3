"""What explaining costs, in multiples of what the model itself costs."""
