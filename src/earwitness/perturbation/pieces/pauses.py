"""Time segments of sound and of pause."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.loudness import levels
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.perturbation.pieces.time import event_scale, segments
from earwitness.probe import Probe

_SMOOTH_SECONDS = 0.03  # s, moving average; about two pitch periods of a low voice
_SHORTEST_SECONDS = 0.1  # s, shorter segments are merged; about a short syllable
_LEAST_RANGE_DB = 6.0  # dB between floor and peak; below it the sound counts as steady


@register(
    "pauses",
    summary="time segments of sound and of pause, by a level threshold",
    count=lambda _: 10,
)
def pauses(probe: Probe, sizes: Sizes) -> Partition:  # noqa: ARG001
    """Cut where the level crosses the midpoint between the clip's noise floor and its peaks.

    The floor is the 10th and the peak the 95th percentile of the level in dB. Segments shorter than
    0.1 s (8 windows of less than 12.5 ms) are merged with their neighbours. A steady sound, with
    percentiles less than 6 dB apart, is one segment.
    """
    scale = event_scale(probe)
    level = levels(probe, scale * _SMOOTH_SECONDS)
    low, high = np.percentile(level, (10, 95))
    loud = np.ones(len(level), bool)
    if high - low > _LEAST_RANGE_DB:
        loud = level > (low + high) / 2
        frames = max(1, round(scale * _SHORTEST_SECONDS * probe.model.rate / probe.model.plane.hop))
        padded = np.pad(loud, frames, mode="edge")
        for change in (ndimage.binary_closing, ndimage.binary_opening):
            padded = change(padded, np.ones(frames))
        loud = padded[frames:-frames]
    starts = np.flatnonzero(np.diff(loud.astype(int))) + 1
    hop = probe.model.plane.hop / probe.model.rate
    seconds = probe.samples / probe.model.rate
    inner = torch.from_numpy((starts - 0.5) * hop)
    ends = torch.tensor([0.0, seconds], dtype=torch.float64)
    partition = segments(probe, torch.cat([ends[:1], inner[inner < seconds], ends[1:]]))
    firsts = [0, *starts.tolist()][: len(partition.names)]
    words = ["sound" if loud[first] else "pause" for first in firsts]
    names = tuple(f"{word} {name}" for word, name in zip(words, partition.names, strict=True))
    return Partition(partition.kind, names, partition.gains)
