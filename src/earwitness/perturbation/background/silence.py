"""Silence."""

from __future__ import annotations

from torch import Tensor

from earwitness.perturbation.background.registry import register
from earwitness.probe import Probe


@register("silence", summary="nothing")
def silence(probe: Probe) -> Tensor | None:  # noqa: ARG001
    """Return no background."""
    return None
