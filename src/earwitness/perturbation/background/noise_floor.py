"""The clip's own noise floor."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from earwitness.perturbation.background.registry import register
from earwitness.probe import Probe

_SHARE = 0.1  # quantile of magnitude over time; 10 % of frames are assumed to hold noise only


@register(
    "noise-floor",
    summary="stationary noise at the clip's 10th percentile of level, per frequency",
)
def noise_floor(probe: Probe) -> Tensor | None:
    """Return stationary noise with the clip's 10th percentile of magnitude at each frequency.

    The magnitude of stationary Gaussian noise is Rayleigh distributed with its 10th percentile at
    ``sigma sqrt(-2 ln 0.9)``. So for a clip of stationary noise the background has the same level.
    """
    quiet = probe.magnitude.quantile(_SHARE, dim=1)
    sigma = quiet / math.sqrt(-2 * math.log(1 - _SHARE))
    generator = torch.Generator().manual_seed(probe.seed)
    white = torch.randn(probe.samples, generator=generator).to(probe.device)
    plane = probe.model.plane.analyse(white.unsqueeze(0))[0]
    power = plane.abs().square().mean()  # twice sigma squared
    return plane * (sigma[:, None] * math.sqrt(2.0) / power.sqrt())
