"""Masks of a given size from the order of the cells, and the level that enters the order."""

from __future__ import annotations

import torch
from torch import Tensor

_QUIETEST = 1e-4  # of the root mean square (-80 dB); quieter cells count as equally quiet
_STEEP = 4.0  # slope of soft edges per unit of the logit
_LEAST = 1e-12  # magnitude; avoids the logarithm of silence


def loudness(magnitude: Tensor) -> Tensor:
    """Return ``ln(|X| / rms)`` of every clip, at least ``ln(1e-4)``; zero for silence.

    Parameters
    ----------
    magnitude : Tensor, shape (batch, freq, frame)
        Linear magnitudes. The root mean square is over the cells of a clip.

    Examples
    --------
    >>> loudness(torch.tensor([[[1.0, 1.0]]])).tolist()
    [[[0.0, 0.0]]]
    """
    norm = torch.linalg.vector_norm(magnitude, dim=(1, 2), keepdim=True)
    size = norm / magnitude[0].numel() ** 0.5
    audible = size > _LEAST
    size = torch.where(audible, size, 1.0)
    least = torch.where(audible, _QUIETEST * size, 1.0)
    return magnitude.clamp(min=least).log().sub(size.log())


def thresholds(logits: Tensor, share: Tensor) -> Tensor:
    """Return the value (batch, 1, 1) from which on a share of the cells of each clip lies.

    Parameters
    ----------
    logits : Tensor, shape (batch, freq, frame)
    share : Tensor, shape (batch,)
        In (0, 1]; at least one cell is kept.
    """
    flat = logits.detach().flatten(1)
    cells = flat.shape[1]
    kept = (share * cells).round().long().clamp(1, cells).tolist()
    found = [row.kthvalue(cells - k + 1).values for row, k in zip(flat, kept, strict=True)]
    return torch.stack(found)[:, None, None]


def soft_cut(logits: Tensor, share: float) -> Tensor:
    """Return gains in (0, 1) with the order of logits, at least one half in a share of the cells.

    Parameters
    ----------
    logits : Tensor, shape (freq, frame)
    share : float
        In (0, 1].
    """
    at = thresholds(logits[None], torch.tensor([share]))[0]
    return (_STEEP * (logits - at)).sigmoid()


def cut(logits: Tensor, share: Tensor) -> Tensor:
    """Return gains 1 for the share of cells of largest logit, 0 for the others.

    The gradient is that of ``sigmoid(logit - threshold)`` (straight-through: Bengio, Leonard,
    Courville 2013), with a threshold that keeps the sum of these gains constant. So a gradient that
    would raise all cells alike has no effect.

    Parameters
    ----------
    logits : Tensor, shape (batch, freq, frame)
    share : Tensor, shape (batch,)

    Examples
    --------
    >>> cut(torch.tensor([[[3.0, 1.0, 2.0, 0.0]]]), torch.tensor([0.5])).tolist()
    [[[1.0, 0.0, 1.0, 0.0]]]
    """
    at = thresholds(logits, share)
    hard = (logits.detach() >= at).to(logits.dtype)
    soft = (logits - at).sigmoid()
    slope = (soft * (1 - soft)).detach()
    moved = (slope * logits).sum(dim=(1, 2), keepdim=True) / slope.sum(dim=(1, 2), keepdim=True)
    soft = (logits - at - (moved - moved.detach())).sigmoid()
    return hard + (soft - soft.detach())
