"""Time segments that end at minima of the level."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, signal

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.perturbation.pieces.time import event_scale, segments, wanted_segments
from earwitness.probe import Probe

_SMOOTH_SECONDS = 0.1  # s, moving average; longer than a pitch period, shorter than a cough
_RANGE_DB = 80.0  # dB below the loudest frame; lower levels are clipped to it


@register(
    "loudness",
    summary="time segments that end at the most prominent minima of the level",
    count=lambda sizes: sizes.segments or 20,
    paper="Wullenweber, Akman, Schuller: CoughLIME, 2022",
    reads=("segments",),
)
def loudness(probe: Probe, sizes: Sizes) -> Partition:
    """Cut at the most prominent minima of the level, so that events are not split.

    There are at most as many segments as ``time`` would give; a sound without minima is one
    segment.
    """
    level = levels(probe, _SMOOTH_SECONDS * event_scale(probe))
    minima, facts = signal.find_peaks(-level, prominence=1e-3)
    most = wanted_segments(probe, sizes) - 1
    deepest = np.sort(minima[np.argsort(-facts["prominences"], kind="stable")[:most]])
    seconds = probe.samples / probe.model.rate
    times = probe.times.double()[torch.from_numpy(deepest)]
    ends = torch.tensor([0.0, seconds], dtype=torch.float64)
    return segments(probe, torch.cat([ends[:1], times[times < seconds], ends[1:]]))


def levels(probe: Probe, seconds: float) -> NDArray[np.float64]:
    """Return the level (frame,) in dB relative to the loudest frame, smoothed over ``seconds``."""
    power = probe.magnitude.double().square().sum(dim=0).cpu().numpy()
    frames = max(1, round(seconds * probe.model.rate / probe.model.plane.hop))
    smooth = ndimage.uniform_filter1d(power, frames, mode="nearest")
    loudest = max(float(smooth.max()), 1e-300)
    level: NDArray[np.float64] = 10 * np.log10(
        np.maximum(smooth / loudest, 10 ** (-_RANGE_DB / 10))
    )
    return level
