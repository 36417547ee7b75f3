"""How far figures over a handful of sounds can be relied on.

Sounds are what is drawn by chance, so they are what is drawn again: intervals are over sounds, and
two rows are compared sound by sound (paired), which takes out that some sounds are harder than
others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]

DRAWS = 9999
LEVEL = 0.95
_EXACT = 12  # so few pairs have all their changes of sign tried


def interval(values: Values, *, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean.

    Efron and Tibshirani: An Introduction to the Bootstrap, 1993, section 13.3.

    Parameters
    ----------
    values : ndarray, shape (sound,)

    Returns
    -------
    (float, float)
        nan where there are fewer than two values, or one is infinite.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return (float("nan"), float("nan"))
    means = _weights(len(values), draws, seed) @ values
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def paired_test(differences: Values, *, draws: int = DRAWS, seed: int = 0) -> float:
    """Return the two-sided p of a mean difference of zero, by changing signs at random.

    Fisher: The Design of Experiments, 1935, section 21. All changes of sign are tried for up to 12
    pairs; with random ones the p is ``(1 + as extreme) / (1 + draws)`` (Phipson, Smyth 2010).

    Parameters
    ----------
    differences : ndarray, shape (sound,)

    Returns
    -------
    float in (0, 1]
        nan where there are fewer than two differences, or one is infinite.
    """
    if len(differences) < 2 or not np.isfinite(differences).all():
        return float("nan")
    exact = len(differences) <= _EXACT
    signs = _all_signs(len(differences)) if exact else _signs(len(differences), draws, seed)
    size = abs(float(differences.sum()))
    slack = 1e-12 * float(np.abs(differences).sum())  # sums in another order
    extreme = int((np.abs(signs @ differences) >= size - slack).sum())
    return extreme / len(signs) if exact else (1 + extreme) / (1 + draws)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number, nan staying nan.

    Holm: A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    given = np.asarray(values, np.float64)
    order = [k for k in np.argsort(given) if not np.isnan(given[k])]
    corrected, largest = np.full(len(given), np.nan), 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * float(given[k])))
        corrected[k] = largest
    return corrected.tolist()


@lru_cache(maxsize=64)
def _weights(count: int, draws: int, seed: int) -> Values:
    """Return how often each sound is drawn, over their number, shape (draw, sound)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=draws) / count


@lru_cache(maxsize=64)
def _signs(count: int, draws: int, seed: int) -> Values:
    return 2.0 * np.random.default_rng(seed).integers(0, 2, (draws, count)) - 1


@lru_cache(maxsize=_EXACT)
def _all_signs(count: int) -> Values:
    bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    return 2.0 * bits - 1
