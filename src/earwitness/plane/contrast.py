"""Local contrast of a spectrogram: the level of a cell relative to its neighbourhood."""

from __future__ import annotations

import torch
from torch import Tensor

_DOUBLINGS = 4  # the mean is over 2^4 cells: 250 Hz, 256 ms on the plane of the default model
_LOWEST, _HIGHEST = -3.0, 2.0  # -26 and 17 dB; limits the effect of gaps and of single peaks


def contrasts(level: Tensor) -> tuple[Tensor, Tensor]:
    """Return a level minus its mean over neighbouring bins, and minus that over frames.

    The first is large in partials of a steady sound, the second at onsets; both are near 0 within
    noise. They are clipped to [-3, 2].

    Parameters
    ----------
    level : Tensor, shape (batch, freq, frame)
        In nepers (``loudness``).

    Returns
    -------
    (Tensor, Tensor)
        Each (batch, freq, frame).

    Examples
    --------
    >>> level = torch.zeros(1, 40, 40)
    >>> level[0, 20] = 1.6  # a steady partial
    >>> over_bins, over_frames = contrasts(level)
    >>> round(float(over_bins[0, 20, 5]), 4), float(over_frames[0, 20, 5])
    (1.5, 0.0)
    """
    over_bins, over_frames = (
        (level - _mean(level, axis)).clamp(_LOWEST, _HIGHEST) for axis in (1, 2)
    )
    return over_bins, over_frames


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
