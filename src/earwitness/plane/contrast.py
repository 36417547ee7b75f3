"""Local contrast of a spectrogram: the level of a cell relative to its neighbourhood."""

from __future__ import annotations

import torch
from torch import Tensor

_DOUBLINGS = 4  # the mean is over 2^4 bins and frames; 250 Hz, 256 ms for the default model


def contrast(level: Tensor) -> Tensor:
    """Return a level minus its mean over 16 bins and 16 frames around each cell.

    It is large in partials and at onsets, and near 0 within noise and far from sound.

    Parameters
    ----------
    level : Tensor, shape (batch, freq, frame)
        In nepers (``loudness``).

    Examples
    --------
    >>> level = torch.zeros(1, 40, 40)
    >>> level[0, 20] = 1.6  # a steady partial
    >>> found = contrast(level)[0]
    >>> round(float(found[20, 5]), 4), round(float(found[19, 5]), 4), float(found[0, 5])
    (1.5, -0.1, 0.0)
    """
    return level - _mean(_mean(level, 1), 2)


def _mean(values: Tensor, axis: int) -> Tensor:
    """Return the mean over 16 cells, 8 of them before the cell; beyond an edge its value counts."""
    count = 2**_DOUBLINGS
    first, last = values.narrow(axis, 0, 1), values.narrow(axis, values.shape[axis] - 1, 1)
    around = [*[first] * (count // 2), values, *[last] * (count // 2 - 1)]
    total = torch.cat(around, dim=axis)
    for step in (2**k for k in range(_DOUBLINGS)):
        left = total.shape[axis] - step
        total = total.narrow(axis, 0, left) + total.narrow(axis, step, left)
    return total / count
