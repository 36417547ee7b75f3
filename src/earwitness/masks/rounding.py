"""The precision of maps on disk and on the page, of which masks are made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from earwitness.types import FloatArray

_SIGNIFICANT = 12  # bits kept of a float32's 24: finer than pictures and masks need, half the size


def storable(values: NDArray[np.floating]) -> FloatArray:
    """Return values with 12 significant bits, rounded to nearest.

    Parameters
    ----------
    values : ndarray
        Of any shape, finite.

    Examples
    --------
    >>> storable(np.float32([1.0, 1 / 3])).tolist()
    [1.0, 0.3333740234375]
    """
    dropped = 24 - _SIGNIFICANT
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(1 << (dropped - 1))) & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    return rounded.view(np.float32)
