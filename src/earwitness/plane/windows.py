"""Results of overlapping windows, joined by their weighted mean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def joined(
    parts: Sequence[Tensor], starts: Sequence[int], length: int, *, fade: bool = False
) -> Tensor:
    """Join results of windows along their last axis, averaging where windows overlap.

    Parameters
    ----------
    parts : sequence of Tensor, shape (..., frame)
        One for each window; the last axes may differ.
    starts : sequence of int
        Where each begins in the whole; negative where it begins before, and that part is cut off.
    length : int
        Of the whole; what lies beyond it is cut off. Frames that no window covers are zero.
    fade : bool
        Whether windows cross-fade, with weights that rise and fall linearly, and not count alike.

    Examples
    --------
    >>> joined([torch.ones(3), 3 * torch.ones(3)], [0, 2], 5).tolist()
    [1.0, 1.0, 2.0, 3.0, 3.0]
    """
    parts = [one[..., max(-s, 0) :] for s, one in zip(starts, parts, strict=True)]
    starts = [max(s, 0) for s in starts]
    end = max(length, *(s + one.shape[-1] for s, one in zip(starts, parts, strict=True)))
    total = parts[0].new_zeros(*parts[0].shape[:-1], end)
    cover = parts[0].new_zeros(end)
    for one, start in zip(parts, starts, strict=True):
        ramp = torch.arange(1, one.shape[-1] + 1, device=one.device, dtype=one.dtype)
        weights = torch.minimum(ramp, ramp.flip(0)) if fade else torch.ones_like(ramp)
        inside = slice(start, start + one.shape[-1])
        total[..., inside] += weights * one
        cover[inside] += weights
    return (total / cover.clamp(min=1e-9))[..., :length]


def overlapped(outputs: Tensor, starts: Sequence[int], length: int) -> Tensor:
    """Join outputs (window, batch, output, frame) of windows that start at samples of a sound.

    Parameters
    ----------
    starts : sequence of int
        In samples; at least two, the first one 0.
    length : int
        Of the sound, in samples; the last window ends where the sound does.
    """
    count = outputs.shape[-1]
    per_window = length - starts[-1]
    last = max(1, round(starts[-1] * count / per_window))
    places = [round(start / starts[-1] * last) for start in starts]
    return joined(list(outputs), places, last + count)
