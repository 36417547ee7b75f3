"""Guided backpropagation and guided Grad-CAM."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from earwitness.backward.rules import Call, RuleMode
from earwitness.errors import NotApplicableError
from earwitness.methods.gradcam import gradcam
from earwitness.methods.registry import register
from earwitness.probe import Probe
from earwitness.types import Map


class _Guided(torch.autograd.Function):
    """A ReLU whose backward pass also sets negative gradients to zero."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        result = values.clamp(min=0)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        return gradients[0].clamp(min=0) * (result > 0)


class _GuidedMode(RuleMode):
    """Replace every ReLU called within the context: module, function or method."""

    def __init__(self) -> None:
        super().__init__()
        self.replaced = 0

    def rule(self, call: Call) -> Tensor | None:
        if not _is_relu(call):
            return None
        self.replaced += 1
        result: Tensor = _Guided.apply(call.inputs[0].clone())  # type: ignore[no-untyped-call]
        return result


def _is_relu(call: Call) -> bool:
    if call.name in ("clamp", "clamp_min", "clip"):
        low = call.kwargs.get("min", call.args[1] if len(call.args) > 1 else None)
        high = call.kwargs.get("max", call.args[2] if len(call.args) > 2 else None)
        return low == 0 and high is None
    return call.name == "relu"


@register(
    "guided-backprop",
    summary="the gradient with respect to magnitude, negative gradients set to zero at every ReLU",
    limits="the decision itself: the map changes little when the upper layers are randomised",
    paper="Springenberg et al.: Striving for Simplicity, 2015, section 3.4",
    signed=True,
    needs_gradients=True,
    layerwise=True,
    cost=3,
)
def guided_backprop(probe: Probe) -> Map:
    """Compute ``d score / d |X|`` with negative gradients set to zero at every ReLU.

    The maps are sharp but depend more on the input than on the decision: they change little when
    the upper layers are randomised (Adebayo et al. 2018). A network without ReLUs raises an error,
    because the result would be the plain gradient.
    """
    mode = _GuidedMode()
    with mode:
        ((_, gradient),) = probe.gradients([probe.magnitude], of_magnitude=True)
    if not mode.replaced:
        raise NotApplicableError(
            f"guided-backprop: {probe.model.name} calls no ReLU that can be intercepted "
            "(another activation, or a compiled network); use saliency"
        )
    return Map(gradient[0], {"relus": mode.replaced})


@register(
    "guided-gradcam",
    summary="guided backpropagation multiplied by the Grad-CAM map",
    limits="the decision beyond Grad-CAM's resolution: finer detail comes from the input",
    paper="Selvaraju et al.: Grad-CAM, 2017, section 3.2",
    signed=True,
    needs_gradients=True,
    layerwise=True,
    cost=6,
)
def guided_gradcam(probe: Probe, *, layer: str = "") -> Map:
    """Multiply the guided gradient by the Grad-CAM map, cell by cell.

    Parameters
    ----------
    layer : str
        Name of a module as in ``named_modules``; by default the one that ``gradcam`` chooses.
    """
    coarse, sharp = gradcam(probe, layer=layer), guided_backprop(probe)
    return Map(coarse.values * sharp.values, {**coarse.details, **sharp.details})
