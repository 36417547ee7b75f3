"""How the plane is cut into pieces that are switched on and off together."""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.errors import ParameterError
from earwitness.plane.mel import mel_edges
from earwitness.probe import Probe

_SEGMENT_SECONDS = 0.25
_MOST_SEGMENTS = 20


def grid(probe: Probe, segments: int, bands: int) -> Tensor:
    """Cut the plane into equal time segments times bands of equal width on the mel scale.

    Every cell belongs to exactly one piece and no piece is empty; where the plane is too small for
    the number asked for, there are fewer.

    Parameters
    ----------
    segments : int >= 0
        Time segments; 0 for one every quarter of a second, 20 at most.
    bands : int >= 1
        Frequency bands.

    Returns
    -------
    Tensor, shape (freq, frame), int64
        Number of the piece each cell belongs to, from 0 without gaps.
    """
    if segments < 0 or bands < 1:
        raise ParameterError(f"segments must be >= 0 and bands >= 1, got {segments} and {bands}")
    seconds = probe.samples / probe.model.rate
    wanted = segments or max(1, min(_MOST_SEGMENTS, round(seconds / _SEGMENT_SECONDS)))
    edges = torch.linspace(0, seconds, wanted + 1)[1:-1]
    column = torch.bucketize(probe.times.contiguous(), edges, right=True)
    cuts = mel_edges(bands - 1, 0, probe.model.rate / 2)[1:-1] if bands > 1 else torch.zeros(0)
    row = torch.bucketize(probe.freqs.double(), cuts.double(), right=True)
    labels: Tensor = torch.unique(row[:, None] * wanted + column[None, :], return_inverse=True)[1]
    return labels.to(probe.device)
