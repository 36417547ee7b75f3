"""Perturbation methods: pieces of a sound, backgrounds, and estimators of the pieces' weights."""
