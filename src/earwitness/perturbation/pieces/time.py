"""Equal segments of time."""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.edges import faded
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.probe import Probe

_SEGMENT_SECONDS = 0.25
_MOST_SEGMENTS = 20


@register(
    "time",
    summary="equal segments of time",
    count=lambda sizes: sizes.segments or 20,
    reads=("segments",),
)
def time(probe: Probe, sizes: Sizes) -> Partition:
    """Cut the sound into segments of equal length: four a second, 20 at most, if not told."""
    seconds = probe.samples / probe.model.rate
    count = wanted_segments(probe, sizes)
    return segments(probe, torch.linspace(0, seconds, count + 1, dtype=torch.float64))


def wanted_segments(probe: Probe, sizes: Sizes) -> int:
    """Return how many segments of time are asked for."""
    seconds = probe.samples / probe.model.rate
    return sizes.segments or max(1, min(_MOST_SEGMENTS, round(seconds / _SEGMENT_SECONDS)))


def segments(probe: Probe, edges: Tensor) -> Partition:
    """Return the segments between edges in seconds, cross-faded over half a window."""
    plane = probe.model.plane
    gains, bounds = faded(probe.times, edges, max(plane.n_fft / 2, 2 * plane.hop) / plane.rate)
    names = tuple(
        f"{low:.2f}-{high:.2f} s"
        for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    )
    return Partition("time", names, gains.to(probe.device))
