"""How alike two maps are.

Conventions
-----------
Both figures compare one map with each of several others of the same shape, and ignore the scale.
Spearman's correlation asks whether cells are in the same order; SSIM asks whether the pictures look
alike. They disagree on purpose: a faint smooth background changes every rank and no picture.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.stats import rankdata

from earwitness.metrics.registry import Array

_WINDOW = 7
_K1, _K2 = 0.01, 0.03


def spearman(one: Array, others: Array) -> Array:
    """Return the rank correlation of a map (freq, frame) with each of others (map, freq, frame).

    nan where either map is the same everywhere.
    """
    ours = _standard(rankdata(one, axis=None)[None])
    theirs = _standard(rankdata(others.reshape(len(others), -1), axis=1))
    return (theirs @ ours[0]) / ours.shape[1]


def ssim(one: Array, others: Array) -> Array:
    """Return the mean structural similarity of a map (freq, frame) with each of others.

    Wang et al.: Image Quality Assessment, 2004, eq. 13, with a uniform window of 7 by 7 cells and
    sample covariances. Every map is first divided by its largest absolute value, so that 1 is the
    range of the pictures; a map of zeros stays one.
    """
    return np.array([similarity(_scaled(one), _scaled(other), 1.0) for other in others])


def similarity(one: Array, other: Array, span: float) -> float:
    """Return the mean structural similarity of two pictures whose values range over ``span``."""
    window = min(_WINDOW, *(side - 1 + side % 2 for side in one.shape))
    one, other = one.astype(np.float64), other.astype(np.float64)

    def mean(picture: Array) -> Array:
        half = window // 2
        blurred = uniform_filter(picture, window)
        return blurred[half : len(blurred) - half, half : blurred.shape[1] - half]

    cells = window**2
    sample = cells / max(1, cells - 1)
    mean_one, mean_other = mean(one), mean(other)
    var_one = sample * (mean(one * one) - mean_one**2)
    var_other = sample * (mean(other * other) - mean_other**2)
    together = sample * (mean(one * other) - mean_one * mean_other)
    small, smaller = (_K1 * span) ** 2, (_K2 * span) ** 2
    above = (2 * mean_one * mean_other + small) * (2 * together + smaller)
    below = (mean_one**2 + mean_other**2 + small) * (var_one + var_other + smaller)
    return float((above / below).mean())


def _scaled(picture: Array) -> Array:
    largest = float(np.abs(picture).max())
    return picture / largest if largest > 0 else picture


def _standard(ranks: Array) -> Array:
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    return np.divide(centred, spread, out=np.full_like(centred, np.nan), where=spread > 0)
