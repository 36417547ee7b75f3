"""Intervals and tests over sounds.

Sounds are the random sample, so the bootstrap resamples sounds, and two rows are compared by a
paired test, which removes the variance between sounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.floating]

DRAWS = 9999  # resamples, or changes of sign; the least p value is 1e-4
LEVEL = 0.95  # of the intervals
FEWEST = 8  # sounds of an interval
_ROUNDING = 1e-12  # relative; values that differ by less are equal
_SEED = 0  # equal data have equal intervals
_ROWS = 64  # samples of the same size that are resampled together
_CELLS = 2**19  # values in memory at a time, 4 MB


def interval(values: Values) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean of one sample (``intervals``)."""
    return intervals([values])[0]


def intervals(samples: Sequence[Values]) -> list[tuple[float, float]]:
    """Return the 95 % bootstrap interval (BCa) of the mean of each of several samples.

    Bias-corrected and accelerated: Efron and Tibshirani: An Introduction to the Bootstrap, 1993,
    section 14.3, as implemented in scipy, at a level expanded for the size of the sample:
    bootstraps of few values are too narrow (Hesterberg: What Teachers Should Know About the
    Bootstrap, 2015, section 5.3). Samples below 8 sounds have no interval. Samples of one size are
    computed together, which is faster and gives the same result.

    Parameters
    ----------
    samples : sequence of ndarray, shape (sound,)

    Returns
    -------
    list of (float, float)
        nan if a sample has fewer than 8 values, or an infinite one; the value itself twice if all
        are equal.
    """
    found = [(float("nan"), float("nan"))] * len(samples)
    for places, every in _together(samples, FEWEST):
        varied = np.ptp(every, axis=1) > _ROUNDING * np.abs(every).max(axis=1)
        for place, row in zip(np.array(places)[~varied].tolist(), every[~varied], strict=True):
            found[place] = (float(row[0]), float(row[0]))
        if not varied.any():
            continue
        rows = every[varied]
        ends = stats.bootstrap(
            (rows,),
            np.mean,
            axis=-1,
            confidence_level=_expanded(rows.shape[1]),
            method="BCa",
            n_resamples=DRAWS,
            batch=max(1, _CELLS // rows.size),
            rng=np.random.default_rng(_SEED),
        ).confidence_interval
        kept = np.array(places)[varied].tolist()
        for place, low, high in zip(kept, ends.low.tolist(), ends.high.tolist(), strict=True):
            found[place] = (low, high)
    return found


def _expanded(count: int) -> float:
    """Return the level at which a bootstrap of so many values is as wide as Student's interval."""
    width = math.sqrt(count / (count - 1)) * stats.t.ppf((1 + LEVEL) / 2, count - 1)
    return float(1 - 2 * stats.norm.sf(width))


def paired_test(differences: Values) -> float:
    """Return the two-sided p value of a mean difference of zero (``paired_tests``)."""
    return paired_tests([differences])[0]


def paired_tests(samples: Sequence[Values]) -> list[float]:
    """Return the two-sided p value of a mean difference of zero, by a sign-flip permutation test.

    Fisher: The Design of Experiments, 1935, section 21, as implemented in scipy. For up to 13 pairs
    all sign flips are evaluated; for random ones p is ``(1 + as extreme) / (1 + draws)`` (Phipson,
    Smyth 2010).

    Parameters
    ----------
    samples : sequence of ndarray, shape (sound,)
        Differences by sound.

    Returns
    -------
    list of float in (0, 1]
        nan if a sample has fewer than two differences, or an infinite one.
    """
    found = [float("nan")] * len(samples)
    for places, rows in _together(samples, 2):

        def sizes(signs: Values, axis: int, rows: Values = rows) -> Values:
            del axis  # the last one, as set below
            return np.abs(signs @ rows.T)

        # scipy flips the signs of ones; all samples share these signs
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
    """Return p values corrected for their number; nan stays nan.

    Holm: A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    given = np.asarray(values, np.float64)
    order = [k for k in np.argsort(given) if not np.isnan(given[k])]
    corrected, largest = np.full(len(given), np.nan), 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * float(given[k])))
        corrected[k] = largest
    return corrected.tolist()


def _together(samples: Sequence[Values], fewest: int) -> Iterator[tuple[list[int], Values]]:
    """Yield the indices of samples of one size with the samples (row, sound), in batches; samples
    of fewer values, or that are not finite, are left out.
    """
    sizes: dict[int, list[int]] = {}
    for place, values in enumerate(samples):
        if len(values) >= fewest and np.isfinite(values).all():
            sizes.setdefault(len(values), []).append(place)
    for places in sizes.values():
        for start in range(0, len(places), _ROWS):
            some = places[start : start + _ROWS]
            yield some, np.stack([samples[place] for place in some]).astype(np.float64)
