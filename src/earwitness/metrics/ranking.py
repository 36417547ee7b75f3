"""Selection of the best mask by a metric, without degenerate masks.

An empty, full or constant mask does not localise anything, and many metrics are optimal for such a
mask. So degenerate masks are counted, and never selected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from earwitness.metrics.registry import METRICS, Array


def find_best(
    name: str, values: Sequence[float] | Array, degenerate: Sequence[str | None]
) -> int | None:
    """Return the index of the best mask by a metric, or None.

    Parameters
    ----------
    name : str
        Name of a metric with a direction.
    values : sequence, shape (mask,)
        Values of the metric; nan is never best. The first of equal values is chosen.
    degenerate : sequence of str or None, shape (mask,)
        ``Mask.degenerate`` of each mask.
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
    """Return the numbers of empty, full and constant masks."""
    return {kind: list(degenerate).count(kind) for kind in ("empty", "full", "constant")}


def published_score(
    table: Mapping[str, Array], over: Mapping[str, Array], lower: Sequence[str]
) -> Array:
    """Return the selection score of Pak and Teryokhina (2025) for each row.

    Every column is scaled to [0, 1] by its minimum and maximum in ``over``, and inverted if it is
    in ``lower``; the score is the geometric mean of the columns, each at least 1e-9. The paper
    scales within the rows of each method; its code, and so its published selection, over all rows.
    A single column of 0 dominates the geometric mean, so rounding can decide. Columns that are the
    same in all rows of ``over`` are left out; without any other, all scores are 1.

    Parameters
    ----------
    table : mapping of column to values, shape (row,)
    over : mapping of column to values
        Rows whose minima and maxima define the scale.
    lower : sequence of str
        Columns for which lower is better.
    """
    count = len(next(iter(table.values())))
    logs = [np.zeros(count)]
    for name, values in table.items():
        low, high = float(np.min(over[name])), float(np.max(over[name]))
        if not high > low:
            continue  # the same for all rows, which tells nothing
        place = np.clip((np.asarray(values) - low) / (high - low), 0, 1)
        place = 1 - place if name in lower else place
        logs.append(np.log(np.maximum(place, 1e-9)))
    return np.exp(np.sum(logs, axis=0) / max(len(logs) - 1, 1))
