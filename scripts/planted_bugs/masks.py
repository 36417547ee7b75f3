"""Bugs in ``masks``."""

from __future__ import annotations

BUGS = {
    "mask: negative attribution kept": (
        "masks/shares.py",
        "positive = int((levels > 0).sum())",
        "positive = len(levels)",
    ),
    "mask: smallest kept": (
        "masks/shares.py",
        "attribution >= levels[::-1][last]",
        "attribution <= levels[last]",
    ),
    "mask: energy of magnitudes": (
        "masks/shares.py",
        "energy = magnitude**2",
        "energy = magnitude",
    ),
    "mask: energy without the square": (
        "masks/measure.py",
        "(np.square(gains) * power)",
        "(gains * power)",
    ),
    "mask: full counts as good": (
        "masks/measure.py",
        'return "full" if low >= 1 - _EQUAL else "constant"',
        "return None",
    ),
    "mask: soft is never told": (
        "masks/measure.py",
        "bool(((gains > 0) & (gains < 1)).any())",
        "False",
    ),
    "mask: plus is ignored": (
        "masks/keep.py",
        "if keep.positive else values",
        "if False else values",
    ),
    "mask: top counts the rest": (
        "masks/levels.py",
        "(attribution, 1 - amount)",
        "(attribution, amount)",
    ),
    "mask: thresholds are of the map": (
        "masks/levels.py",
        "(scaled(attribution) >= amount)",
        "(attribution >= amount)",
    ),
    "mask: minmax from zero": (
        "masks/levels.py",
        "return (attribution - low) / (high - low)",
        "return attribution.clip(0) / high",
    ),
    "mask: floor in power": (
        "masks/edges.py",
        "(10.0, decibels / 20)",
        "(10.0, decibels / 10)",
    ),
    "mask: floor clips": (
        "masks/edges.py",
        "floor + (1 - floor) * gains",
        "np.maximum(gains, floor)",
    ),
    "mask: one axis is blurred": (
        "masks/edges.py",
        "gaussian_filter(gains, width",
        "gaussian_filter(gains, (0, width)",
    ),
}
