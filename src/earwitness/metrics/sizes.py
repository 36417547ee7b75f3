"""Faithfulness over a range of mask sizes: figures that do not depend on one size.

A comparison of methods at one size may favour one of them. These figures are the mean of a metric
over the share of cells that the mask keeps, from 2 to 30 % (``SIZES``), by the trapezoidal rule. A
method that takes the size as an option is asked for a map of each size; the map of any other method
is cut at each.

They cost the forward passes of as many masks, and are computed only if they are named.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import trapezoid

from earwitness.metrics.faithfulness import average_drop, average_increase, faithfulness
from earwitness.metrics.registry import Array, register

SIZES = (0.02, 0.05, 0.1, 0.2, 0.3)  # shares of the cells


@register(
    "average-increase-sizes",
    summary="average increase (AI), averaged over masks of 2 to 30 % of the cells",
    family="faithfulness",
    direction="higher",
    low=0,
    high=100,
    unit="%",
)
def increase_over_sizes(p_input: Array, sized_evidence: Array, sizes: Array) -> Array:
    """Return the mean of ``average_increase`` over sizes, for each map.

    Parameters
    ----------
    p_input : float, or ndarray of shape ()
        Probability of the target for the input.
    sized_evidence : ndarray, shape (map, size)
        The same for the evidence of each size.
    sizes : ndarray, shape (map, size)
        Shares of the cells, ascending.

    Examples
    --------
    >>> sizes = np.array([[0.1, 0.2, 0.3]])
    >>> increase_over_sizes(np.float64(0.5), np.array([[0.4, 0.6, 0.7]]), sizes).tolist()
    [75.0]
    """
    return _mean(np.stack([average_increase(p_input, row) for row in sized_evidence]), sizes)


@register(
    "average-drop-sizes",
    summary="average drop (AD), averaged over masks of 2 to 30 % of the cells",
    family="faithfulness",
    direction="lower",
    low=0,
    high=100,
    unit="%",
)
def drop_over_sizes(p_input: Array, sized_evidence: Array, sizes: Array) -> Array:
    """Return the mean of ``average_drop`` over sizes, for each map; see ``increase_over_sizes``.

    Examples
    --------
    >>> drop_over_sizes(np.float64(0.5), np.array([[0.0, 0.5]]), np.array([[0.1, 0.3]])).tolist()
    [50.0]
    """
    return _mean(np.stack([average_drop(p_input, row) for row in sized_evidence]), sizes)


@register(
    "faithfulness-sizes",
    summary="drop of the target's probability as the evidence is removed (FF), averaged likewise",
    family="faithfulness",
    direction="higher",
    low=-1,
    high=1,
    unit="probability",
)
def faithfulness_over_sizes(p_input: Array, sized_remainder: Array, sizes: Array) -> Array:
    """Return the mean of ``faithfulness`` over sizes, for each map.

    Parameters
    ----------
    sized_remainder : ndarray, shape (map, size)
        Probability of the target for the remainder of each size; others as in
        ``increase_over_sizes``.

    Examples
    --------
    >>> remainders, sizes = np.array([[0.5, 0.25]]), np.array([[0.1, 0.3]])
    >>> faithfulness_over_sizes(np.float64(0.75), remainders, sizes).tolist()
    [0.375]
    """
    return _mean(np.stack([faithfulness(p_input, row) for row in sized_remainder]), sizes)


def _mean(values: Array, sizes: Array) -> Array:
    found: Array = trapezoid(values, sizes, axis=-1) / (sizes[:, -1] - sizes[:, 0])
    return found
