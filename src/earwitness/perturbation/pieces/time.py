"""Time segments of equal length."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.edges import faded
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.probe import Probe

_SEGMENT_SECONDS = 0.25  # s, default length; about a syllable
_WHOLE_WINDOW = 0.0125  # s; planes of shorter windows are for shorter events than syllables
_LEAST_STEP = 0.045  # s; spans of shorter steps have more than two decimals
_MOST_SEGMENTS = 20  # default limit, so that the number of samples suffices


@register(
    "time",
    summary="time segments of equal length",
    count=lambda sizes: sizes.segments or 20,
    reads=("segments",),
)
def time(probe: Probe, sizes: Sizes) -> Partition:
    """Cut the sound into equal segments, by default 20 at most, of a quarter of a second.

    On a plane with windows shorter than 12.5 ms, of 20 windows.
    """
    seconds = probe.samples / probe.model.rate
    count = wanted_segments(probe, sizes)
    return segments(probe, torch.linspace(0, seconds, count + 1, dtype=torch.float64))


def wanted_segments(probe: Probe, sizes: Sizes) -> int:
    """Return the requested or the default number of time segments."""
    length = probe.samples / probe.model.rate / (_SEGMENT_SECONDS * event_scale(probe))
    return sizes.segments or max(1, min(_MOST_SEGMENTS, round(length)))


def event_scale(probe: Probe) -> float:
    """Return how long events are, relative to those of speech; at most 1.

    A model of calls of milliseconds has a plane of such windows, and pieces in proportion to them,
    if they are shorter than 12.5 ms.
    """
    plane = probe.model.plane
    return min(1.0, plane.n_fft / plane.rate / _WHOLE_WINDOW)


def span_name(start: float, end: float, step: float) -> str:
    """Return a span in seconds, with decimals for steps of that length.

    Examples
    --------
    >>> span_name(0.25, 0.5, 0.25)
    '0.25-0.50 s'
    >>> span_name(0.002, 0.004, 0.002)
    '0.0020-0.0040 s'
    """
    decimals = 2 if step >= _LEAST_STEP else 1 + math.ceil(-math.log10(step))
    return f"{start:.{decimals}f}-{end:.{decimals}f} s"


def segments(probe: Probe, edges: Tensor) -> Partition:
    """Return the segments between edges in seconds, cross-faded over half a window."""
    gains, bounds = faded_segments(probe, edges)
    step = float(bounds.diff().min())
    names = tuple(
        span_name(probe.clock(low), probe.clock(high), step)
        for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    )
    return Partition("time", names, gains.to(probe.device))


def faded_segments(probe: Probe, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gains (segment, frame) of segments between edges in s, and their bounds in s."""
    plane = probe.model.plane
    return faded(probe.times, edges, max(plane.n_fft / 2, 2 * plane.hop) / plane.rate)
