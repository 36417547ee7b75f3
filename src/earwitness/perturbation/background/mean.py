"""The mean over time."""

from __future__ import annotations

from torch import Tensor

from earwitness.perturbation.background.registry import register
from earwitness.perturbation.background.steady import steady
from earwitness.probe import Probe


@register("mean", summary="the clip's mean magnitude at each frequency, with the input's phase")
def mean(probe: Probe) -> Tensor | None:
    """Return the mean magnitude over time at every frequency, with the input's phase."""
    return steady(probe, probe.magnitude.mean(dim=1, keepdim=True))
