"""Evaluation of explanations: shared passes, the trust card, scrambled weights, reruns."""
