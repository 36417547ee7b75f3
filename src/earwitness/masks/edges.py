"""What makes a mask easier on the ear: edges that are not hard, and a floor under what is removed.

A hard edge in a transform rings; a blur of a bin or two and of a frame or two takes that away. A
floor leaves what is removed audible, far below what is kept, so that one hears evidence in its
place. Both make a mask soft.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from earwitness.masks.registry import Values


def smooth_edges(gains: Values, width: float) -> Values:
    """Blur gains (freq, frame) with a Gaussian of standard deviation ``width`` bins and frames.

    Beyond the edge of the plane its outermost cells go on, so constant gains stay as they are.
    """
    return gaussian_filter(gains, width, mode="nearest").clip(0, 1)


def lift_floor(gains: Values, decibels: float) -> Values:
    """Map gains from [0, 1] to [floor, 1], keeping their order; ``decibels`` is the floor's level.

    A gain of 0 becomes ``10^(decibels / 20)``, a gain of 1 stays 1.
    """
    floor = np.power(10.0, decibels / 20)
    return floor + (1 - floor) * gains
