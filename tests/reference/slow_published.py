"""Slow float64 versions of two publications' metrics, number by number; nothing of the library.

As their code computes them for one sound and one mask: ``q`` are the class probabilities of the
input, of the evidence and of the remainder, ``gains`` the mask as a list of numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Numbers = Sequence[float]


def softmax(values: Numbers) -> list[float]:
    top = max(values)
    parts = [math.exp(one - top) for one in values]
    return [part / math.fsum(parts) for part in parts]


def decided(values: Numbers) -> int:
    return max(range(len(values)), key=lambda k: values[k])


def quantus_sparseness(gains: Numbers) -> float:
    """Gini index of Quantus: divided by the largest, plus 1e-7, sorted, weighted by rank."""
    largest = max(abs(one) for one in gains)
    scaled = sorted((abs(one) / largest if largest else 0.0) + 1e-7 for one in gains)
    n = len(scaled)
    above = math.fsum((2 * k - n - 1) * one for k, one in enumerate(scaled, start=1))
    return above / (n * math.fsum(scaled))


def quantus_complexity(gains: Numbers) -> float:
    """Entropy of Quantus in nats, with 1e-12 inside of the logarithm; nan for an empty mask."""
    whole = math.fsum(abs(one) for one in gains)
    if whole == 0:
        return math.nan
    shares = [abs(one) / whole for one in gains]
    return -math.fsum(one * math.log(one + 1e-12) for one in shares)


def both(
    whole: Numbers, evidence: Numbers, remainder: Numbers, gains: Numbers, small: float
) -> dict[str, float]:
    c = decided(whole)
    p, inside = whole[c], evidence[c]
    return {
        "FF": p - remainder[c],
        "AI": 100.0 if inside > p else 0.0,
        "AD": 100 * max(0.0, p - inside) / (p + small),
        "AG": 100 * max(0.0, inside - p) / (1 - p + small),
        "FidIn": 1.0 if decided(evidence) == c else 0.0,
        "SPS": quantus_sparseness(gains),
        "COMP": quantus_complexity(gains),
    }


def lmac(whole: Numbers, evidence: Numbers, remainder: Numbers, gains: Numbers) -> dict[str, float]:
    """SpeechBrain's, April 2026: the drop is of a softmax of probabilities; drops empty masks."""
    found = both(whole, evidence, remainder, gains, 1e-10)
    c = decided(whole)
    before, after = softmax(whole)[c], softmax(evidence)[c]
    if not any(gains):
        found["SPS"] = math.nan
    return {**found, "AD": 100 * max(0.0, before - after) / (before + 1e-10)}


def pak(whole: Numbers, evidence: Numbers, remainder: Numbers, gains: Numbers) -> dict[str, float]:
    """Of audio-xai, October 2025: sparseness and complexity of a constant mask are 0."""
    found = both(whole, evidence, remainder, gains, 1e-6)
    if max(gains) == min(gains):
        found |= {"SPS": 0.0, "COMP": 0.0}
    return found


SLOW = {"lmac": lmac, "pak": pak}
