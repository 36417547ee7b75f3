"""Post-processing of masks for listening: smooth edges, and a noise floor.

Hard edges of a mask cause ringing (musical noise); a blur of one or two bins and frames avoids it.
A floor keeps the removed part audible at a low level, which gives the evidence its context. Both
make a mask soft.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from earwitness.masks.registry import Values


def smooth_edges(gains: Values, width: float) -> Values:
    """Blur gains with a Gaussian.

    The outermost cells are repeated beyond the borders, so constant gains are unchanged.

    Parameters
    ----------
    gains : ndarray, shape (freq, frame)
        In [0, 1].
    width : float > 0
        Standard deviation in bins and frames.

    Examples
    --------
    >>> smooth_edges(np.ones((3, 3)), 1.0).min().round(6).item()
    1.0
    """
    return gaussian_filter(gains, width, mode="nearest").clip(0, 1)


def lift_floor(gains: Values, decibels: float) -> Values:
    """Map gains linearly from [0, 1] to [floor, 1], with ``floor = 10^(decibels / 20)``.

    Parameters
    ----------
    gains : ndarray, shape (freq, frame)
        In [0, 1].
    decibels : float < 0
        Level of a gain of 0, in dB.

    Examples
    --------
    >>> lift_floor(np.array([[0.0, 1.0]]), -20.0).tolist()
    [[0.1, 1.0]]
    """
    floor = np.power(10.0, decibels / 20)
    return floor + (1 - floor) * gains
