"""The median over time: the sound's own level, which a transient does not move."""

from __future__ import annotations

from torch import Tensor

from earwitness.perturbation.background.registry import register
from earwitness.perturbation.background.steady import steady
from earwitness.probe import Probe


@register("median", summary="the clip's median magnitude at each frequency, with the input's phase")
def median(probe: Probe) -> Tensor | None:
    """Return the median magnitude over time at every frequency, with the input's phase.

    What lasts for less than half of the sound hardly changes it, whatever its level; the mean rises
    with a single loud transient. Of an even number of frames it is the mean of the middle two.
    """
    return steady(probe, probe.magnitude.quantile(0.5, dim=1, keepdim=True))
