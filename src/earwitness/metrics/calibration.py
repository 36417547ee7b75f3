"""Calibration: agreement of a classifier's confidence with its accuracy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def expected_calibration_error(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 15
) -> float:
    """Return the expected calibration error over bins of equal width.

    The gap between confidence and accuracy of each bin, weighted by its share of the sounds.
    Guo et al.: On Calibration of Modern Neural Networks, 2017, eq. 3.

    Parameters
    ----------
    confidence : ndarray, shape (n,)
        Probability of the decided class, in [0, 1].
    right : ndarray, shape (n,), bool
        Whether the decision was right.
    bins : int >= 1

    Returns
    -------
    float in [0, 1]

    Examples
    --------
    >>> expected_calibration_error(np.array([0.9, 0.9]), np.array([True, False]))
    0.4
    """
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(which, weights=confidence - right.astype(float), minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))
