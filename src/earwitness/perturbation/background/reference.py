"""Another recording of the same words, which the input is compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.errors import NotApplicableError
from earwitness.perturbation.background.registry import register
from earwitness.probe import Probe


@register("reference", summary="the other recording of earwitness compare, with the input's phase")
def reference(probe: Probe) -> Tensor | None:
    """Return the magnitude of the other recording on the input's time axis, with the input's phase.

    Where the input is digital silence, which has none, the phase is the other recording's own.

    Raises
    ------
    NotApplicableError
        If the input is compared with nothing.
    """
    if probe.reference is None:
        raise NotApplicableError(
            "background reference is the other recording of earwitness compare A B; here, name the "
            "file of a sound of the same timing"
        )
    other = probe.reference.to(probe.spectrum)
    return torch.where(probe.magnitude > 0, probe.phase * other.abs(), other)
