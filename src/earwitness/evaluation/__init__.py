"""What asks a model about masks: shared passes, the trust card, scrambled weights, reruns."""
