"""Insertion and deletion: the score as cells are added, or removed, in order of attribution.

One mask is one point of such a curve, so a comparison of methods at one mask size may favour one of
them; the area under the curve averages over sizes. The sound at a step of insertion is the evidence
of a mask, and at a step of deletion its remainder, so both curves need the forward passes of one
set of nested masks (``nested_gains``).

Conventions
-----------
Steps are at equal shares of the area, from 0 to 1. Cells of equal attribution are added together,
and the area at each step is measured; the integral uses the trapezoid rule. For a constant map the
curve is a straight line from the score of silence to that of the input.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from earwitness.metrics.registry import Array, register

_PAPER = "Petsiuk et al.: RISE, 2018"


@register(
    "insertion",
    summary="area under the target's probability as the strongest cells are inserted",
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
    summary="area under the target's probability as the strongest cells are deleted",
    family="faithfulness",
    direction="lower",
    low=0,
    high=1,
    unit="probability",
    paper=_PAPER,
    given={"curve": "deletion", "shares": "shares"},
)
@register(
    "insertion-score",
    summary="area under the explained score as the strongest cells are inserted",
    family="faithfulness",
    direction="higher",
    unit="score",
    paper=_PAPER,
    given={"curve": "insertion_score", "shares": "shares"},
)
@register(
    "deletion-score",
    summary="area under the explained score as the strongest cells are deleted",
    family="faithfulness",
    direction="lower",
    unit="score",
    paper=_PAPER,
    given={"curve": "deletion_score", "shares": "shares"},
)
def area_under(curve: Array, shares: Array) -> Array:
    """Return the area under each curve.

    Scores of a regression have no common range: such areas compare maps of one sound and target.
    With the direction ``down`` the sign of the score is reversed, so that the same direction is
    better.

    Parameters
    ----------
    curve : ndarray, shape (map, step)
        Probability of the target, in [0, 1]; or its score.
    shares : ndarray, shape (map, step)
        Share of the cells inserted or deleted, from 0 to 1.

    Examples
    --------
    >>> area_under(np.array([[0.0, 1.0, 1.0]]), np.array([[0.0, 0.5, 1.0]])).tolist()
    [0.75]
    """
    return trapezoid(np.asarray(curve, np.float64), shares, axis=-1)


def nested_gains(
    values: NDArray[np.floating], steps: int = 11
) -> tuple[NDArray[np.float32], Array]:
    """Return nested binary masks of a map, from empty to full.

    Parameters
    ----------
    values : ndarray, shape (freq, frame)
        Attribution; cells are ordered from the largest to the most negative value.
    steps : int >= 2
        Number of masks, at equal shares of the area.

    Returns
    -------
    gains : ndarray, shape (step, freq, frame), float32
    shares : ndarray, shape (step,)
        Mean gain of each mask, from 0 to 1.

    Examples
    --------
    >>> nested_gains(np.array([[3.0, 1.0]]), steps=3)[1].tolist()
    [0.0, 0.5, 1.0]
    """
    ordered = np.sort(values, axis=None)[::-1]
    counts = np.linspace(0, values.size, steps).round().astype(int)
    gains = np.zeros((steps, *values.shape), np.float32)
    for step, count in enumerate(counts):
        if count:
            gains[step] = values >= ordered[count - 1]
    return gains, gains.mean(axis=(1, 2), dtype=np.float64)
