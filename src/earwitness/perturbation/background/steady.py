"""A steady level with the phase of the input: what the mean and the median over time share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from earwitness.probe import Probe


def steady(probe: Probe, level: Tensor) -> Tensor:
    """Return the level of every frequency in all frames, with the input's phase.

    Digital silence has no phase. There every bin is a steady tone of random phase, because with
    equal phases all bins would add up at the first sample of a frame, where the window is zero.

    Parameters
    ----------
    level : Tensor, shape (freq, 1) or (freq, frame)
        Magnitude.

    Returns
    -------
    Tensor, shape (freq, frame), complex
    """
    if bool((probe.magnitude > 0).all()):
        return probe.phase * level
    plane, (bins, frames) = probe.model.plane, probe.shape
    start = torch.rand(bins, 1, generator=torch.Generator().manual_seed(probe.seed))
    turns = start + torch.arange(bins)[:, None] * torch.arange(frames) * plane.hop / plane.n_fft
    tone = torch.polar(torch.ones(bins, frames), 2 * math.pi * (turns % 1)).to(probe.spectrum)
    return torch.where(probe.magnitude > 0, probe.phase, tone) * level
