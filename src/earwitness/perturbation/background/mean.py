"""The mean over time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from earwitness.perturbation.background.registry import register
from earwitness.probe import Probe


@register("mean", summary="the clip's mean magnitude at each frequency, with the input's phase")
def mean(probe: Probe) -> Tensor | None:
    """Return the mean magnitude over time at every frequency, with the input's phase.

    Digital silence has no phase. There every bin is a steady tone of random phase, because with
    equal phases all bins would add up at the first sample of a frame, where the window is zero.
    """
    level = probe.magnitude.mean(dim=1, keepdim=True)
    if bool((probe.magnitude > 0).all()):
        return probe.phase * level
    plane, (bins, frames) = probe.model.plane, probe.shape
    start = torch.rand(bins, 1, generator=torch.Generator().manual_seed(probe.seed))
    turns = start + torch.arange(bins)[:, None] * torch.arange(frames) * plane.hop / plane.n_fft
    steady = torch.polar(torch.ones(bins, frames), 2 * math.pi * (turns % 1)).to(probe.spectrum)
    phase = torch.where(probe.magnitude > 0, probe.phase, steady)
    return phase * level
