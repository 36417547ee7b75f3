"""Insertion and deletion: the score while the strongest cells come in, or go, step by step.

One mask is one point on such a curve, so that comparing methods at one size may favour whichever
suits that size; the area under the curve does not choose one. What is inserted at a step is the
evidence of a mask, and what deletion leaves is its remainder, so both curves cost the passes of one
set of nested masks (``nested_gains``).

Conventions
-----------
Steps are shares of the area. Cells of equal attribution come together, and the area in at each step
is measured; from nothing to everything, by the trapezoid rule. A map that orders nothing has a
straight line from the score of silence to that of the input.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from earwitness.metrics.registry import Array, register

_PAPER = "Petsiuk et al.: RISE, 2018"


@register(
    "insertion",
    summary="area under the target's probability while the strongest cells come in",
    family="faithfulness",
    direction="higher",
    low=0,
    high=1,
    unit="probability",
    paper=_PAPER,
    given={"curve": "insertion", "shares": "shares"},
)
@register(
    "deletion",
    summary="area under the target's probability while the strongest cells go",
    family="faithfulness",
    direction="lower",
    low=0,
    high=1,
    unit="probability",
    paper=_PAPER,
    given={"curve": "deletion", "shares": "shares"},
)
def area_under(curve: Array, shares: Array) -> Array:
    """Return the area under each curve (map, step) over ``shares`` (map, step) from 0 to 1."""
    return trapezoid(np.asarray(curve, np.float64), shares, axis=-1)


def nested_gains(
    values: NDArray[np.floating], steps: int = 11
) -> tuple[NDArray[np.float32], Array]:
    """Return nested binary masks of a map, from empty to full.

    Parameters
    ----------
    values : ndarray, shape (freq, frame)
        Largest first; negative values come last.
    steps : int >= 2
        Number of masks, at equal shares of the area.

    Returns
    -------
    gains : ndarray, shape (step, freq, frame), float32
    shares : ndarray, shape (step,)
        The area in, from 0 to 1.
    """
    ordered = np.sort(values, axis=None)[::-1]
    counts = np.linspace(0, values.size, steps).round().astype(int)
    gains = np.zeros((steps, *values.shape), np.float32)
    for step, count in enumerate(counts):
        if count:
            gains[step] = values >= ordered[count - 1]
    return gains, gains.mean(axis=(1, 2), dtype=np.float64)
