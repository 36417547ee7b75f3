"""How a network is called: its inputs, its modes, and what is said when it fails."""
