"""The target: which output is explained, and its score in a model's outputs.

Outputs have shape (batch, output), or (batch, output, frame) for a model with outputs per frame.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from earwitness.errors import NotApplicableError, ParameterError
from earwitness.models.model import Model
from earwitness.registry import unknown
from earwitness.types import Direction, Kind, Target

ABOVE = "above:"  # begins a target that stands for several labels
DECIDED = 0.5  # probability from which a label is decided


def make_target(
    model: Model,
    outputs: Tensor,
    target: str | int | None = None,
    versus: str | int | None = None,
    *,
    span: tuple[float, float] | None = None,
    direction: Direction = "up",
    seconds: float | None = None,
) -> Target:
    """Resolve labels or indices to outputs of a model.

    Parameters
    ----------
    outputs : Tensor, shape (output,) or (output, frame)
        The model's outputs for the input; the default target is the class of largest probability,
        or the first output of a regression.
    target, versus : label or index, optional
    span : (float, float), optional
        Seconds from the start of the sound; only for a model with outputs per frame. It ends with
        the sound at the latest.
    direction : {"up", "down"}
        Whether to explain what raises the value of a regression, or what lowers it.
    seconds : float, optional
        Length of the sound; needed with ``span``.

    Raises
    ------
    UnknownNameError, ParameterError
        If there is no such output, or the span is empty.
    NotApplicableError
        If the target does not apply to the model.
    """
    frames = _frames(model, outputs, span, seconds)
    sign = _sign(model, direction)
    decided = target is None
    if not decided:
        index = output_index(model, target)
    elif model.task == "regression":
        index = 0
    else:
        index = int(over(probabilities(model, outputs.unsqueeze(0)), frames)[0].argmax())
    unit: Kind = "value" if model.task == "regression" else "probability"
    span = None if span is None else (float(span[0]), min(float(span[1]), seconds or math.inf))
    if versus is None:
        return Target(
            index, model.labels[index], unit,
            decided=decided, sign=sign, span=span, frames=frames,
        )  # fmt: skip
    other = output_index(model, versus)
    if other == index:
        raise ParameterError(
            f"target and versus are both {model.labels[index]!r}; there is no difference to explain"
        )
    unit = "value" if model.task == "regression" else "logit-difference"
    return Target(
        index, model.labels[index], unit, other, model.labels[other],
        decided=decided, sign=sign, span=span, frames=frames,
    )  # fmt: skip


def output_index(model: Model, name: str | int | np.integer[Any] | None) -> int:
    """Return the index of an output given by label or index; errors name the nearest label."""
    noun = "output" if model.task == "regression" else "class"
    if isinstance(name, str):
        if name in model.labels:
            return model.labels.index(name)
        if name.startswith(ABOVE):
            raise ParameterError(
                f"{name} stands for several targets, and is for the command; here, explain each "
                "label of predict(model, clip) by itself"
            )
        folded = {label.lower(): index for index, label in enumerate(model.labels)}
        key = name.lower()
        key = key if key in folded else key.replace(" ", "_").replace("-", "_")
        if key not in folded:
            raise unknown(noun, name, model.labels)
        return folded[key]
    if isinstance(name, np.integer):
        name = int(name)
    if not isinstance(name, int) or isinstance(name, bool) or not 0 <= name < len(model.labels):
        raise ParameterError(
            f"{noun} {name!r} is not in 0..{len(model.labels) - 1} and no label of {model.name}"
        )
    return name


def refuse_numbers(model: Model, *names: object) -> None:
    """Raise ``ParameterError`` for a whole number that is an index and the label of another output.

    Digits and grades are labels that are numbers, and may be counted from 1.
    """
    for name in names:
        text = str(name)
        if not isinstance(name, int) or isinstance(name, bool) or text not in model.labels:
            continue
        if model.labels.index(text) != name:
            raise ParameterError(
                f"{name} is the label of output {model.labels.index(text)} of {model.name} and "
                f"could be meant as an index; give the label as text, {text!r}"
            )


def probabilities(model: Model, outputs: Tensor) -> Tensor:
    """Return probabilities (after a softmax or sigmoid) or values, in the shape of the outputs."""
    if model.output != "logits":
        return outputs
    return outputs.sigmoid() if model.task == "multi-label" else outputs.softmax(dim=1)


def overall(model: Model, outputs: Tensor) -> Tensor:
    """Return outputs for the whole sound (batch, output): the mean over frames."""
    return outputs.mean(dim=-1) if model.per_frame else outputs


def decided_labels(model: Model, outputs: Tensor) -> Tensor:
    """Return which labels of several are decided (batch, label): a probability of 0.5 or more."""
    return overall(model, probabilities(model, outputs)) >= DECIDED


def explained_score(model: Model, outputs: Tensor, target: Target) -> Tensor:
    """Return the score that methods explain, shape (batch,).

    The logit of a class where there are logits, its probability or value otherwise; against
    another class, the difference of logits (of log-probabilities, which is the same for a
    softmax). Outputs per frame are averaged over the target's span. The direction ``down``
    reverses the sign of the score.
    """
    return target.sign * over(_values(model, outputs, target), target.frames)


def reported_score(model: Model, outputs: Tensor, target: Target) -> Tensor:
    """Return the score for display, in the unit ``target.kind``, shape (batch,)."""
    return over(reported_values(model, outputs, target), target.frames)


def reported_values(model: Model, outputs: Tensor, target: Target) -> Tensor:
    """Return the score for display of every frame, shape (batch[, frame])."""
    if target.kind == "probability":
        return probabilities(model, outputs)[:, target.index]
    return _values(model, outputs, target)


def _values(model: Model, outputs: Tensor, target: Target) -> Tensor:
    if target.versus_index is None:
        return outputs[:, target.index]
    scale = log_odds(model, outputs) if model.output == "probabilities" else outputs
    return scale[:, target.index] - scale[:, target.versus_index]


def log_odds(model: Model, probabilities: Tensor) -> Tensor:
    """Return the logits of probabilities, up to a constant that all classes share."""
    safe = probabilities.clamp(min=1e-12)
    if model.task == "multi-label":
        return safe.log() - (1 - probabilities).clamp(min=1e-12).log()
    return safe.log()


def _sign(model: Model, direction: Direction) -> int:
    if direction not in ("up", "down"):
        raise ParameterError(f"direction is up or down, got {direction!r}")
    if direction == "down" and model.task != "regression":
        raise NotApplicableError(
            f"direction down needs a regression, but {model.name} is a classifier; "
            "compare classes with versus"
        )
    return 1 if direction == "up" else -1


def _frames(
    model: Model, outputs: Tensor, span: tuple[float, float] | None, seconds: float | None
) -> tuple[int, int] | None:
    """Return the first frame of a span and the one after its last."""
    if not model.per_frame:
        if span is not None:
            raise NotApplicableError(
                f"{model.name} has one output for the whole sound, so no span can be explained; "
                "read a part of the sound with start and end, or use per_frame=True when "
                "wrapping a model with outputs per frame"
            )
        return None
    count = outputs.shape[-1]
    if span is None:
        return 0, count
    try:
        start, end = (float(bound) for bound in span)
    except (TypeError, ValueError):
        raise ParameterError(f"span is (start, end) in seconds, got {span!r}") from None
    length = seconds or 0.0
    if not 0 <= start < end < math.inf or start >= length:
        raise ParameterError(
            f"span is (start, end) in seconds within the {length:.2f} s of the sound, got "
            f"({start:g}, {end:g})"
        )
    first = min(int(start / length * count), count - 1)
    return first, max(first + 1, min(count, math.ceil(end / length * count - 1e-9)))


def over(values: Tensor, frames: tuple[int, int] | None) -> Tensor:
    """Return the mean over a range of the last axis, or the values if the range is None."""
    return values if frames is None else values[..., frames[0] : frames[1]].mean(dim=-1)
