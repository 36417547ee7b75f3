"""Mask rules that keep the cells of largest positive attribution up to a share of a quantity.

Cells of equal attribution are kept or removed together, so a constant positive map keeps
everything and its mask is marked as degenerate. Cells that are not positive are never kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from earwitness.masks.registry import Values, register


@register(
    "attribution",
    summary="the strongest cells up to a share of the positive attribution",
    example="80%",
    amount="percent",
)
def share_of_attribution(attribution: Values, amount: float) -> Values:
    """Keep the fewest cells with a share ``amount`` of the positive attribution.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)
    amount : float in (0, 1]

    Examples
    --------
    >>> share_of_attribution(np.array([[8.0, 2.0, -5.0]]), 0.8).tolist()
    [[1.0, 0.0, 0.0]]
    """
    return (attribution >= attribution_thresholds(attribution, [amount])[0]).astype(np.float64)


def attribution_thresholds(attribution: Values, amounts: ArrayLike) -> Values:
    """Return the least attribution of a cell that is kept at each of several shares.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame), float64
    amounts : array-like of float in (0, 1], shape (amount,)

    Returns
    -------
    ndarray, shape (amount,)
        Infinity where no cell is positive.

    Examples
    --------
    >>> attribution_thresholds(np.array([[8.0, 2.0, -5.0]]), [0.8, 1.0]).tolist()
    [8.0, 2.0]
    """
    wanted = np.asarray(amounts, np.float64) * np.maximum(attribution, 0).sum()
    return _thresholds(attribution, attribution, wanted)


@register(
    "area",
    summary="the strongest positive cells up to a share of the area",
    example="area:10%",
    amount="percent",
)
def share_of_area(attribution: Values, amount: float) -> Values:
    """Keep the fewest positive cells that are a share ``amount`` of all cells, at most all.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)
    amount : float in (0, 1]

    Examples
    --------
    >>> share_of_area(np.array([[4.0, 3.0, 2.0, 1.0]]), 0.25).tolist()
    [[1.0, 0.0, 0.0, 0.0]]
    """
    return _until(attribution, np.ones_like(attribution), amount * attribution.size)


@register(
    "energy",
    summary="the strongest positive cells up to a share of the input's energy",
    example="energy:50%",
    amount="percent",
)
def share_of_energy(attribution: Values, magnitude: Values, amount: float) -> Values:
    """Keep the fewest positive cells with a share ``amount`` of the energy, at most all.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)
    magnitude : ndarray, shape (freq, frame)
        Linear magnitude of the input.
    amount : float in (0, 1]

    Examples
    --------
    >>> share_of_energy(np.array([[2.0, 1.0]]), np.array([[3.0, 1.0]]), 0.9).tolist()
    [[1.0, 0.0]]
    """
    energy = magnitude**2
    return _until(attribution, energy, amount * energy.sum())


def _until(attribution: Values, held: Values, wanted: float) -> Values:
    """Keep cells in order of attribution until the sum of ``held`` over them reaches ``wanted``."""
    least = _thresholds(attribution, held, np.array([wanted]))[0]
    return (attribution >= least).astype(np.float64)


def _thresholds(attribution: Values, held: Values, wanted: Values) -> Values:
    """Return the least attribution that ``_until`` keeps for each of several sums."""
    positive = attribution > 0
    levels = np.extract(positive, attribution)  # in half the time of an index
    if not levels.size:
        return np.full(wanted.shape, np.inf)
    if held is attribution:  # a sort of values is several times as fast as one of places
        levels = amounts = np.sort(levels)[::-1]
    else:
        order = np.argsort(levels)[::-1]
        levels, amounts = levels[order], np.extract(positive, held)[order]
    # cells of equal attribution are kept together, whichever of them reaches the sum
    last = np.searchsorted(np.cumsum(amounts), wanted * (1 - 1e-9)).clip(max=levels.size - 1)
    return np.where(wanted > 0, levels[last], np.inf)
