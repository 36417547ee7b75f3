"""The clip's own noise floor."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from earwitness.perturbation.background.registry import register
from earwitness.probe import Probe

_SHARE = 0.1


@register("noise-floor", summary="noise as loud as the clip's quietest tenth, at each frequency")
def noise_floor(probe: Probe) -> Tensor | None:
    """Return steady noise whose magnitude has the clip's own 10th percentile at each frequency.

    Of steady noise the magnitude is Rayleigh distributed, with the 10th percentile at
    ``sigma sqrt(-2 ln 0.9)``; so a clip that is nothing but steady noise gets noise of its own
    level.
    """
    quiet = probe.magnitude.quantile(_SHARE, dim=1)
    sigma = quiet / math.sqrt(-2 * math.log(1 - _SHARE))
    generator = torch.Generator().manual_seed(probe.seed)
    white = torch.randn(probe.samples, generator=generator).to(probe.device)
    plane = probe.model.plane.analyse(white.unsqueeze(0))[0]
    power = plane.abs().square().mean()  # twice sigma squared
    return plane * (sigma[:, None] * math.sqrt(2.0) / power.sqrt())
