"""Silence as the background."""

from __future__ import annotations

from torch import Tensor

from earwitness.perturbation.background.registry import register
from earwitness.probe import Probe


@register("silence", summary="digital silence")
def silence(probe: Probe) -> Tensor | None:  # noqa: ARG001
    """Return None: cells that are off are zero."""
    return None
