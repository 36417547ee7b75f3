"""How far a classifier's confidence can be taken at its word."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def expected_calibration_error(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 15
) -> float:
    """Return the mean gap between confidence and accuracy over equal bins of confidence.

    Guo et al.: On Calibration of Modern Neural Networks, 2017, eq. 3.

    Parameters
    ----------
    confidence : ndarray, shape (n,)
        Probability of the decided class, in [0, 1].
    right : ndarray, shape (n,)
        Whether the decision was right.

    Returns
    -------
    float in [0, 1]
    """
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(which, weights=confidence - right.astype(float), minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))
