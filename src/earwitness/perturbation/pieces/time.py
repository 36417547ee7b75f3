"""Time segments of equal length."""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.edges import faded
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.probe import Probe

_SEGMENT_SECONDS = 0.25  # s, default length; about a syllable
_MOST_SEGMENTS = 20  # default limit, so that the number of samples suffices


@register(
    "time",
    summary="time segments of equal length",
    count=lambda sizes: sizes.segments or 20,
    reads=("segments",),
)
def time(probe: Probe, sizes: Sizes) -> Partition:
    """Cut the sound into equal segments, by default four per second and 20 at most."""
    seconds = probe.samples / probe.model.rate
    count = wanted_segments(probe, sizes)
    return segments(probe, torch.linspace(0, seconds, count + 1, dtype=torch.float64))


def wanted_segments(probe: Probe, sizes: Sizes) -> int:
    """Return the requested or the default number of time segments."""
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
