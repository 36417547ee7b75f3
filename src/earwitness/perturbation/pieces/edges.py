"""Partitions of one axis with raised-cosine cross-fades."""

from __future__ import annotations

import torch
from torch import Tensor


def faded(places: Tensor, edges: Tensor, fade: float) -> tuple[Tensor, Tensor]:
    """Return the gains of the intervals between edges, and their bounds.

    Each edge is a raised cosine of width ``fade``, or as wide as the narrower of its two intervals
    if that is less. An interval without a bin or frame is merged with the next one. The gains sum
    to one.

    Parameters
    ----------
    places : Tensor, shape (place,)
        Positions of the bins (Hz) or frames (s), ascending.
    edges : Tensor, shape (edge,)
        Edges in the same unit, ascending, including both ends.
    fade : float >= 0
        Width of the cross-fades, in the same unit.

    Returns
    -------
    gains : Tensor, shape (interval, place), float32
    bounds : Tensor, shape (interval + 1,), float64
    """
    places, edges = places.double(), edges.double()
    inner = edges[1:-1]
    held = torch.searchsorted(places, inner)  # number of places before each edge
    fresh = torch.diff(held, prepend=held.new_zeros(1)) > 0
    inner = inner[fresh & (held < len(places))]
    bounds = torch.cat([edges[:1], inner, edges[-1:]])
    room = bounds.diff()
    width = torch.minimum(room[:-1], room[1:]).clamp(min=1e-12, max=max(fade, 1e-12))
    at = ((places - inner[:, None]) / width[:, None] + 0.5).clamp(0, 1)
    passed = 0.5 - 0.5 * torch.cos(torch.pi * at)  # from 0 before an edge to 1 after it
    ends = torch.ones(1, len(places), dtype=torch.float64)
    steps = torch.cat([ends, passed, torch.zeros_like(ends)])
    return (steps[:-1] - steps[1:]).float(), bounds
