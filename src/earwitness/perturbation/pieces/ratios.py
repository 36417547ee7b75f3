"""Ratio masks: from separated sounds to gains on the plane."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.probe import Probe

_NOTHING_OVER = 1e-8  # share of the input's energy (-80 dB); less is rounding and resampling error


def ratio_layer(probe: Probe, names: Sequence[str], waves: Sequence[Tensor]) -> Partition:
    """Return each sound's share of the power in every cell, and the share of their residual.

    The residual, the input minus the sum of the sounds, is one more sound, *rest*, unless its
    energy is more than 80 dB below the input's.

    Parameters
    ----------
    names : sequence of str
    waves : sequence of Tensor, shape (samples,)
        At the model's sampling rate, as long as the input.
    """
    plane = probe.model.plane
    planes = plane.analyse(torch.stack(list(waves)).to(probe.device))
    rest = probe.spectrum - planes.sum(dim=0)
    over = float(rest.abs().square().sum()) > _NOTHING_OVER * float(probe.magnitude.square().sum())
    if over:
        planes, names = torch.cat([planes, rest[None]]), [*names, "rest"]
    power = planes.abs().double().square()
    # cells that are silent in all sounds are divided equally
    power = power + 1e-12 * power.amax().clamp(min=1e-30)
    return Partition("components", tuple(names), (power / power.sum(dim=0)).float())
