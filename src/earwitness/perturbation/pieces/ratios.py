"""From separated sounds to gains on the plane."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.probe import Probe

_NOTHING_OVER = 1e-8  # of the energy: rounding and resampling, no sound of its own


def ratio_layer(probe: Probe, names: Sequence[str], waves: Sequence[Tensor]) -> Partition:
    """Return each sound's share of the power in every cell, and that of what they leave over.

    What is left over, the input minus the sum of the sounds, counts as a sound like the others,
    unless it is under -80 dB of the input.

    Parameters
    ----------
    names : sequence of str
    waves : sequence of Tensor, shape (samples,)
        At the model's rate, as long as the input.
    """
    plane = probe.model.plane
    planes = plane.analyse(torch.stack(list(waves)).to(probe.device))
    rest = probe.spectrum - planes.sum(dim=0)
    over = float(rest.abs().square().sum()) > _NOTHING_OVER * float(probe.magnitude.square().sum())
    if over:
        planes, names = torch.cat([planes, rest[None]]), [*names, "rest"]
    power = planes.abs().double().square()
    # cells that are silent in all of them are shared equally
    power = power + 1e-12 * power.amax().clamp(min=1e-30)
    return Partition("components", tuple(names), (power / power.sum(dim=0)).float())
