"""Estimators of the pieces' weights from scores with some pieces off, one per file."""
