"""Similarity of two maps: rank correlation and structural similarity.

Conventions
-----------
Both compare one map with each of several others of the same shape, and ignore the scale. Spearman's
correlation compares the order of cells, SSIM the local structure as in an image. They can disagree:
a faint smooth background changes many ranks but hardly the SSIM.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from earwitness.metrics.registry import Array

_WINDOW = 7  # cells, side of the window, the default of scikit-image


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
    ours = _standard(_ranks(one.ravel())[None])
    theirs = _standard(np.stack([_ranks(other.ravel()) for other in others]))
    return (theirs @ ours[0]) / ours.shape[1]


def ssim(one: Array, others: Array, frames: NDArray[np.bool_] | None = None) -> Array:
    """Return the mean structural similarity of a map with each of several others, in [-1, 1].

    Wang et al.: Image Quality Assessment, 2004, eq. 13, as scikit-image computes it with a uniform
    window of 7 by 7 cells and sample covariances. Every map is first divided by its largest
    absolute value, so the dynamic range is 1; a map of zeros stays zero.

    Parameters
    ----------
    one : ndarray, shape (freq, frame)
    others : ndarray, shape (map, freq, frame)
        On a side of fewer than 7 cells the window is the largest odd number that fits.
    frames : ndarray of bool, shape (frame,), optional
        Only windows with their centre in these frames count; nan if there are none.

    Examples
    --------
    >>> ssim(np.eye(9), 2 * np.eye(9)[None]).tolist()
    [1.0]
    """
    from skimage.metrics import structural_similarity

    # a square window; a single cell has no sample covariance
    window = min(_WINDOW, *(side - 1 + side % 2 for side in one.shape))
    first = _scaled(one)
    inside = tuple(slice(window // 2, side - window // 2) for side in one.shape)
    counted = np.ones(one.shape[1], bool) if frames is None else frames
    counted = counted[inside[1]]
    if not counted.any():
        return np.full(len(others), np.nan)
    found = []
    for other in others:
        _, values = structural_similarity(
            first,
            _scaled(other),
            win_size=window,
            data_range=1.0,
            gaussian_weights=False,
            use_sample_covariance=window > 1,
            full=True,
        )
        found.append(values[inside][:, counted].mean())
    return np.array(found)


def _scaled(picture: Array) -> Array:
    picture = picture.astype(np.float64)
    largest = float(np.abs(picture).max())
    return picture / largest if largest > 0 else picture


def _ranks(values: Array) -> Array:
    """Return ranks from 1 on; equal values have their mean rank, and all are nan if one is.

    As scipy's ``rankdata``, in a quarter of the time: equal values may be sorted in any order.
    """
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    ends = np.append(starts[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return ranks


def _standard(ranks: Array) -> Array:
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    return np.divide(centred, spread, out=np.full_like(centred, np.nan), where=spread > 0)
