"""Which mask is best, where that may be asked at all.

A mask that is empty, full or the same everywhere says nothing about where the evidence is, whatever
it scores, and many metrics are best at such a mask. So it is counted, and never chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from earwitness.metrics.registry import METRICS, Array


def find_best(
    name: str, values: Sequence[float] | Array, degenerate: Sequence[str | None]
) -> int | None:
    """Return which mask a metric finds best; None if it finds none.

    Parameters
    ----------
    name : str
        A metric that has a direction.
    values : sequence, shape (mask,)
        Its figures; nan is never best. Of equal ones, the first is.
    degenerate : sequence of str or None, shape (mask,)
        ``Mask.degenerate`` of each.
    """
    metric = METRICS.get(name)
    best: int | None = None
    for k, (value, flag) in enumerate(zip(values, degenerate, strict=True)):
        if flag or metric.direction is None or np.isnan(value):
            continue
        if best is None or metric.better(float(value), float(values[best])):
            best = k
    return best


def count_degenerate(degenerate: Sequence[str | None]) -> dict[str, int]:
    """Return how many masks are empty, full and constant."""
    return {kind: list(degenerate).count(kind) for kind in ("empty", "full", "constant")}


def published_score(
    table: Mapping[str, Array], over: Mapping[str, Array], lower: Sequence[str]
) -> Array:
    """Return the one figure by which Pak and Teryokhina (2025) chose masks, for each row.

    Every column is put on a scale from 0 to 1 between its least and largest value in ``over``,
    those in ``lower`` upside down, and the geometric mean of the columns is taken, each at least
    1e-9. The text scales within each method's own rows; the code, and so the published choice, over
    all rows. One column that is 0 sinks a row, so a rise by rounding can decide.

    Parameters
    ----------
    table : mapping of column to values, shape (row,)
    over : mapping of column to values
        The rows that set the scale.
    lower : sequence of str
        Columns of which less is better.
    """
    logs = []
    for name, values in table.items():
        low, high = float(np.min(over[name])), float(np.max(over[name]))
        place = np.clip((np.asarray(values) - low) / (high - low), 0, 1)
        place = 1 - place if name in lower else place
        logs.append(np.log(np.maximum(place, 1e-9)))
    return np.exp(np.mean(logs, axis=0))
