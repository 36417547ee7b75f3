"""Guided backpropagation, and Grad-CAM sharpened by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from earwitness.errors import NotApplicableError
from earwitness.methods.gradcam import gradcam
from earwitness.methods.registry import Map, register
from earwitness.probe import Probe

_RELU = {torch.relu, torch.nn.functional.relu, Tensor.relu}
_RELU_IN_PLACE = {torch.relu_, torch.nn.functional.relu_, Tensor.relu_}


class _Guided(torch.autograd.Function):
    """A ReLU whose backward pass also stops negative gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        result = values.clamp(min=0)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        return gradients[0].clamp(min=0) * (result > 0)


class _GuidedMode(TorchFunctionMode):
    """Replace every ReLU that is called while it is on, however it is called.

    Modules, functions, methods and in-place versions all pass here, so no network can hide its
    activations from it, as they can from hooks on modules.
    """

    def __init__(self) -> None:
        super().__init__()
        self.replaced = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func not in _RELU and func not in _RELU_IN_PLACE:
            return func(*args, **given)
        self.replaced += 1
        values = args[0] if args else given["input"]
        in_place = func in _RELU_IN_PLACE or given.get("inplace", args[1:] == (True,))
        result = _Guided.apply(values.clone() if in_place else values)  # type: ignore[no-untyped-call]
        return values.copy_(result) if in_place else result


@register(
    "guided-backprop",
    summary="the gradient with respect to magnitude, along paths that stay positive at every ReLU",
    paper="Springenberg et al.: Striving for Simplicity, 2015, section 3.4",
    signed=True,
    needs_gradients=True,
    cost=3,
)
def guided_backprop(probe: Probe) -> Map:
    """Compute ``d score / d |X|`` with negative gradients stopped at every ReLU.

    It makes sharp maps, and says more about the input than about the decision: it is known to
    change little when the upper layers are randomised (Adebayo et al. 2018). A network without
    ReLUs is refused, since there it would be the plain gradient under another name.
    """
    mode = _GuidedMode()
    with mode:
        ((_, gradient),) = probe.gradients([probe.magnitude], of_magnitude=True)
    if not mode.replaced:
        raise NotApplicableError(
            f"guided-backprop: {probe.model.name} calls no ReLU that can be seen (another "
            "activation, or a compiled network); use saliency"
        )
    return Map(gradient[0], {"relus": mode.replaced})


@register(
    "guided-gradcam",
    summary="guided backpropagation where Grad-CAM finds the evidence",
    paper="Selvaraju et al.: Grad-CAM, 2017, section 3.2",
    signed=True,
    needs_gradients=True,
    cost=6,
)
def guided_gradcam(probe: Probe, *, layer: str = "") -> Map:
    """Multiply the guided gradient by the Grad-CAM map, cell by cell.

    Parameters
    ----------
    layer : str
        As for ``gradcam``.
    """
    coarse, sharp = gradcam(probe, layer=layer), guided_backprop(probe)
    return Map(coarse.values * sharp.values, {**coarse.details, **sharp.details})
