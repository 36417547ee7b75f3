"""Linear interpolation between values at unevenly spaced places."""

from __future__ import annotations

import torch
from torch import Tensor


def interpolate(values: Tensor, knots: Tensor, at: Tensor) -> Tensor:
    """Interpolate along the last axis, linear between knots and constant beyond them.

    Parameters
    ----------
    values : Tensor, shape (..., knot)
    knots : Tensor, shape (knot,)
        Where the values lie, in any order.
    at : Tensor, shape (place,)

    Returns
    -------
    Tensor, shape (..., place)

    Examples
    --------
    >>> interpolate(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 2.0]), torch.tensor([1.0, 5.0]))
    tensor([0.5000, 1.0000])
    """
    if len(knots) == 1:
        return values.expand(*values.shape[:-1], len(at))
    order = knots.argsort()
    knots, values = knots[order].contiguous(), values[..., order]
    right = torch.searchsorted(knots, at).clamp(1, len(knots) - 1)
    left = right - 1
    share = ((at - knots[left]) / (knots[right] - knots[left]).clamp(min=1e-9)).clamp(0, 1)
    return values[..., left] * (1 - share) + values[..., right] * share
