"""Guided backpropagation and guided Grad-CAM."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from earwitness.backward.calls import Call, is_rectifier
from earwitness.backward.following import ACTIVATIONS
from earwitness.backward.rules import RuleMode
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
    """Replace every ReLU called within the context, however it is spelled."""

    def __init__(self) -> None:
        super().__init__(masks=True)
        self.replaced = 0
        self.others: list[str] = []  # activations without a rule
        self._sizes: dict[int, tuple[Tensor, Tensor]] = {}  # by the id of |x|: that, and x

    def rule(self, call: Call) -> Tensor | None:
        """Replace a ReLU, and ``x + |x|``, which is twice a ReLU."""
        if is_rectifier(call):
            self.replaced += 1
            return _guided(call.inputs[0])
        if call.name in ACTIVATIONS and call.name not in self.others:
            self.others.append(call.name)
        whole = self._with_its_size(call)
        if whole is None:
            return None
        self.replaced += 1
        return 2 * _guided(whole)

    def made(self, call: Call, result: object) -> None:
        """Note an absolute value."""
        if call.name in ("abs", "absolute", "__abs__") and isinstance(result, Tensor):
            self._sizes[id(result)] = (result, call.sources[0])

    def _with_its_size(self, call: Call) -> Tensor | None:
        """Return ``x`` if the call is ``x + |x|``."""
        if call.name not in ("add", "__add__", "__radd__", "__iadd__") or call.kwargs:
            return None
        if len(call.sources) != 2:
            return None
        for size, whole in (call.sources, call.sources[::-1]):
            known = self._sizes.get(id(size))
            if known is not None and known[1] is whole:
                return whole
        return None


def _guided(values: Tensor) -> Tensor:
    result: Tensor = _Guided.apply(values.clone())  # type: ignore[no-untyped-call]
    return result


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
    the upper layers are randomised (Adebayo et al. 2018). A ReLU may be a module, a function or
    written by hand (``x * (x > 0)``, ``torch.where``, ``clamp``, ``(x + abs(x)) / 2``). A network
    without ReLUs raises an error, because the result would be the plain gradient.
    """
    mode = _GuidedMode()
    with mode:
        ((_, gradient),) = probe.gradients([probe.magnitude], of_magnitude=True)
    if not mode.replaced:
        other = f"its activation is {' and '.join(mode.others)}"
        raise NotApplicableError(
            f"guided-backprop: {probe.model.name} calls no ReLU that can be intercepted "
            f"({other if mode.others else 'no activation, or a compiled network'}), and the rule "
            "is for ReLUs only; use saliency"
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
