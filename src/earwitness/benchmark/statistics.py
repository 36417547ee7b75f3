"""How far figures over a handful of sounds can be relied on.

Sounds are what is drawn by chance, so they are what is drawn again: intervals are over sounds, and
two rows are compared sound by sound (paired), which takes out that some sounds are harder than
others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.floating]

DRAWS = 9999
LEVEL = 0.95
_SEED = 0
_ROWS = 64  # samples of the same size that are drawn again together
_CELLS = 2**19  # numbers in memory at a time


def interval(values: Values) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean of one sample (``intervals``)."""
    return intervals([values])[0]


def intervals(samples: Sequence[Values]) -> list[tuple[float, float]]:
    """Return the 95 % percentile bootstrap interval of the mean of each of several samples.

    Efron and Tibshirani: An Introduction to the Bootstrap, 1993, section 13.3, as scipy does it.
    Many samples of one size take far less time together than one by one, and have the same result.

    Parameters
    ----------
    samples : sequence of ndarray, shape (sound,)

    Returns
    -------
    list of (float, float)
        nan where a sample has fewer than two values, or one is infinite.
    """
    found = [(float("nan"), float("nan"))] * len(samples)
    for places, rows in _together(samples):
        ends = stats.bootstrap(
            (rows,),
            np.mean,
            axis=-1,
            confidence_level=LEVEL,
            method="percentile",
            n_resamples=DRAWS,
            batch=max(1, _CELLS // rows.size),
            rng=np.random.default_rng(_SEED),
        ).confidence_interval
        for place, low, high in zip(places, ends.low.tolist(), ends.high.tolist(), strict=True):
            found[place] = (low, high)
    return found


def paired_test(differences: Values) -> float:
    """Return the two-sided p of a mean difference of zero in one sample (``paired_tests``)."""
    return paired_tests([differences])[0]


def paired_tests(samples: Sequence[Values]) -> list[float]:
    """Return the two-sided p of a mean difference of zero, by changing signs at random.

    Fisher: The Design of Experiments, 1935, section 21, as scipy does it. All changes of sign are
    tried for up to 13 pairs; with random ones the p is ``(1 + as extreme) / (1 + draws)`` (Phipson,
    Smyth 2010).

    Parameters
    ----------
    samples : sequence of ndarray, shape (sound,)
        Differences, sound by sound.

    Returns
    -------
    list of float in (0, 1]
        nan where a sample has fewer than two differences, or one is infinite.
    """
    found = [float("nan")] * len(samples)
    for places, rows in _together(samples):

        def sizes(signs: Values, axis: int, rows: Values = rows) -> Values:
            del axis  # the last one, as asked for below
            return np.abs(signs @ rows.T)

        # signs of ones are changed, and given to all samples at once
        chances = stats.permutation_test(
            (np.ones(rows.shape[1]),),
            sizes,
            permutation_type="samples",
            vectorized=True,
            n_resamples=DRAWS,
            alternative="greater",
            axis=-1,
            rng=np.random.default_rng(_SEED),
        ).pvalue
        for place, chance in zip(places, chances.tolist(), strict=True):
            found[place] = chance
    return found


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


def _together(samples: Sequence[Values]) -> Iterator[tuple[list[int], Values]]:
    """Yield the places of samples of one size, and these samples (row, sound), a few at a time;
    those that nothing can be said of are left out.
    """
    sizes: dict[int, list[int]] = {}
    for place, values in enumerate(samples):
        if len(values) >= 2 and np.isfinite(values).all():
            sizes.setdefault(len(values), []).append(place)
    for places in sizes.values():
        for start in range(0, len(places), _ROWS):
            some = places[start : start + _ROWS]
            yield some, np.stack([samples[place] for place in some]).astype(np.float64)
