"""Local contrast of a spectrogram: the level of a cell relative to its neighbourhood."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_DOUBLINGS = 4
_COUNT = 2**_DOUBLINGS  # bins and frames of the mean; 250 Hz, 256 ms for the default model


def contrast(level: Tensor) -> Tensor:
    """Return a level minus its mean over 16 bins and 16 frames around each cell, 8 before it.

    Beyond an edge the value there counts. The contrast is large in partials and at onsets, and near
    0 within noise and far from sound.

    Parameters
    ----------
    level : Tensor, shape (batch, freq, frame)
        In nepers (``loudness``).

    Examples
    --------
    >>> import torch
    >>> level = torch.zeros(1, 40, 40)
    >>> level[0, 20] = 1.6  # a steady partial
    >>> found = contrast(level)[0]
    >>> round(float(found[20, 5]), 4), round(float(found[19, 5]), 4), float(found[0, 5])
    (1.5, -0.1, 0.0)
    """
    before, after = _COUNT // 2, _COUNT // 2 - 1
    total = functional.pad(level[:, None], (before, after) * 2, mode="replicate")[:, 0]
    for axis in (1, 2):
        for step in (2**k for k in range(_DOUBLINGS)):  # sums of 2, 4, 8 and 16 cells
            left = total.shape[axis] - step
            total = total.narrow(axis, 0, left) + total.narrow(axis, step, left)
    return torch.add(level, total, alpha=-1 / _COUNT**2)
