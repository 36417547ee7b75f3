"""Checks of a model's outputs against its declaration: their type, shape, number and values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from earwitness.errors import ModelError, OutputShapeError, ParameterError
from earwitness.types import Task

if TYPE_CHECKING:
    from earwitness.models.model import Model


def shaped(model: Model, outputs: Any, batch: int) -> Tensor:
    """Return what a network returned as floats (batch, output[, frame]).

    Raises
    ------
    ModelError
        If it is no tensor of real numbers of such a shape.
    """
    outputs = getattr(outputs, "logits", outputs)
    if isinstance(outputs, Tensor) and outputs.is_complex():
        raise ModelError(f"{model.name}: outputs must be real numbers, got {outputs.dtype}")
    if not isinstance(outputs, Tensor):
        raise ModelError(
            f"{model.name}: outputs must be a tensor (batch, output), got "
            f"{type(outputs).__name__}; wrap a module that returns the tensor to explain"
        )
    shape = tuple(outputs.shape)
    if not outputs.is_floating_point():
        outputs = _counts(model, outputs)
    if outputs.ndim == 1 + model.per_frame and len(outputs) == batch:
        outputs = outputs.unsqueeze(-1)
    if outputs.ndim != 2 + model.per_frame or len(outputs) != batch:
        wanted = "(batch, frame, output)" if model.per_frame else "(batch, output)"
        hint = ""
        if outputs.ndim == 3 and len(outputs) == batch:
            hint = "; if they are (batch, frame, output), use per_frame=True"
        raise ModelError(
            f"{model.name}: outputs must be {wanted} = ({batch}, ...), got shape {shape}{hint}"
        )
    if model.per_frame:
        outputs = outputs.movedim(1, -1)
    if model.task == "single-label" and outputs.shape[1] == 1:
        raise ModelError(
            f"{model.name}: one output cannot be single-label; use task='multi-label' for a "
            "detector, or output='scores' for a regression"
        )
    checked: Tensor = outputs
    return checked


def check_count(model: Model, outputs: Tensor, wanted: int) -> None:
    """Raise ``OutputShapeError`` unless there are as many outputs as wanted."""
    if outputs.shape[1] != wanted:
        raise OutputShapeError(f"{model.name}: {_miscounted(model, outputs, wanted)}")


def check_values(model: Model, outputs: Tensor) -> None:
    """Raise ``ModelError`` for outputs that are not finite, or no probabilities as declared."""
    if not bool(torch.isfinite(outputs).all()):
        raise ModelError(
            f"{model.name}: outputs are NaN or infinite; if it divides by the level of its "
            "input, add a small constant, because explanations evaluate silence too"
        )
    if model.output != "probabilities":
        return
    if bool((outputs < -1e-3).any()) or bool((outputs > 1 + 1e-3).any()):
        raise ModelError(
            f"{model.name}: outputs were declared probabilities but are outside [0, 1]; if they "
            "precede the softmax, use output='logits'"
        )
    if model.task == "single-label" and bool(((outputs.sum(dim=1) - 1).abs() > 1e-2).any()):
        raise ModelError(
            f"{model.name}: single-label probabilities must sum to 1; for several labels at "
            "once, use task='multi-label'"
        )


def _counts(model: Model, outputs: Tensor) -> Tensor:
    """Return whole numbers as floats, for a regression; no classifier gives them."""
    if model.task == "regression" and outputs.dtype != torch.bool:
        return outputs.float()
    kind = "class indices" if outputs[0].numel() == 1 else "decisions or counts"
    raise ModelError(
        f"{model.name}: outputs are whole numbers ({outputs.dtype}), {kind} and no scores; "
        "return the values before argmax, rounding or comparison, as floats"
    )


def _miscounted(model: Model, outputs: Tensor, wanted: int) -> str:
    """Return what is wrong with outputs that are not as many as wanted."""
    found = outputs.shape[1]
    if model.labelled and model.per_frame and outputs.shape[2] == wanted:
        return (
            f"outputs are (batch, output, frame), {wanted} in each of {found} frames; "
            "transpose them to (batch, frame, output)"
        )
    if model.labelled:
        return (
            f"{wanted} labels were given, but the model has {found} outputs; give one label "
            "for each"
        )
    if model.task == "regression":
        return f"a regression without labels has one output, got {found}; give labels"
    remedy = "transpose them to" if model.per_frame else "use per_frame=True, which takes"
    return (
        f"{wanted} outputs for one length of sound and {found} for another: these are frames; "
        f"{remedy} (batch, frame, output)"
    )


def value_range(limits: tuple[float, float] | None, task: Task) -> tuple[float, float] | None:
    """Return the least and largest value of a regression, or None if none was declared."""
    if limits is None:
        return None
    if task != "regression":
        raise ParameterError("range is for output='scores'; probabilities range from 0 to 1")
    try:
        low, high = map(float, limits)
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise ParameterError(f"range is (least, largest) value of the outputs, got {limits!r}")
    return low, high
