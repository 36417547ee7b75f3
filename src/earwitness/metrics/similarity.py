"""Similarity of two maps: rank correlation and structural similarity.

Conventions
-----------
Both compare one map with each of several others of the same shape, and ignore the scale. Spearman's
correlation compares the order of cells, SSIM the local structure as in an image. They can disagree:
a faint smooth background changes many ranks but hardly the SSIM.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.stats import rankdata

from earwitness.metrics.registry import Array

_WINDOW = 7  # cells, side of the window, as in scikit-image
_K1, _K2 = 0.01, 0.03  # constants of Wang et al., section III-B


def spearman(one: Array, others: Array) -> Array:
    """Return Spearman's rank correlation of a map with each of several others, in [-1, 1].

    nan if either map is constant.

    Parameters
    ----------
    one : ndarray, shape (freq, frame)
    others : ndarray, shape (map, freq, frame)

    Examples
    --------
    >>> spearman(np.array([[1.0, 2.0]]), np.array([[[5.0, 3.0]]])).tolist()
    [-1.0]
    """
    ours = _standard(rankdata(one, axis=None)[None])
    theirs = _standard(rankdata(others.reshape(len(others), -1), axis=1))
    return (theirs @ ours[0]) / ours.shape[1]


def ssim(one: Array, others: Array) -> Array:
    """Return the mean structural similarity of a map with each of several others, in [-1, 1].

    Wang et al.: Image Quality Assessment, 2004, eq. 13, with a uniform window of 7 by 7 cells and
    sample covariances. Every map is first divided by its largest absolute value, so the dynamic
    range is 1; a map of zeros stays zero.

    Parameters
    ----------
    one : ndarray, shape (freq, frame)
    others : ndarray, shape (map, freq, frame)

    Examples
    --------
    >>> ssim(np.eye(9), 2 * np.eye(9)[None]).tolist()
    [1.0]
    """
    return np.array([similarity(_scaled(one), _scaled(other), 1.0) for other in others])


def similarity(one: Array, other: Array, span: float) -> float:
    """Return the mean structural similarity of two images (row, column) of range ``span``."""
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
