"""Whether gradients reach the waveform, and the function that breaks them."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name

from earwitness.checking.finding import Finding
from earwitness.checking.outputs import unchecked
from earwitness.errors import EarwitnessError
from earwitness.models.model import Model

_STEPS = {"round", "floor", "ceil", "trunc", "sign", "heaviside", "gt", "lt", "ge", "le", "argmax"}
_STEP = 0.01  # of the gain whose difference quotient is taken
_GAP = 0.5  # between gradient and difference quotients, relative to the larger
_FLOOR = 1e-3  # relative to the largest output; float32 rounds the quotients to about 1e-5
_OURS = Path(__file__).parents[1]


class _Watch(TorchFunctionMode):
    """Records the first function that takes a differentiable tensor and returns none."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = ""
        self.steps = ""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        given = [*_tensors(args), *_tensors(kwargs or {})]
        before = any(one.requires_grad for one in given)
        result = func(*args, **(kwargs or {}))
        if before and not (self.broken and self.steps):
            self._note(func, result)
        return result

    def _note(self, func: Callable[..., Any], result: Any) -> None:
        """Record a function of the model that ends the graph, or has no slope."""
        place = _place()
        if place is None:
            return
        name = (resolve_name(func) or getattr(func, "__name__", "?")).rsplit(".", 1)[-1]
        if name.strip("_") in _STEPS and not self.steps:
            self.steps = f"{name} {place}"
        after = [one for one in _tensors(result) if one.is_floating_point() or one.is_complex()]
        if after and not any(one.requires_grad for one in after) and not self.broken:
            name = name if torch.is_grad_enabled() else "torch.no_grad"
            self.broken = f"{name} {place}"


def check_gradients(model: Model, wave: Tensor) -> Finding:
    """Return whether the outputs can be differentiated by the waveform (1, samples)."""
    if not model.differentiable:
        why = "a black box"
        kind = model.loaded.partition(":")[0]
        advice = "methods that need gradients need a torch network"
        if kind in ("onnx", "tflite"):
            advice = "methods that need gradients need the torch network that it was converted from"
        return Finding("gradients", "note", why, advice, {"differentiable": False})
    watch = _Watch()
    half = wave.clone()
    half[:, half.shape[1] // 2 :] = 0
    try:
        outputs, gradient = _slope(model, wave, watch)
        silent = None if gradient is None else _slope(model, half, _Watch())[1]
    except (EarwitnessError, RuntimeError) as failed:
        error = " ".join(str(failed).split())[:200]
        return _broken(f"cannot be differentiated: {error}", watch)
    if gradient is None:
        return _broken("do not reach the waveform", watch)
    if not bool(torch.isfinite(gradient).all()):
        return _broken("infinite or undefined (a root or logarithm at zero, perhaps)", watch)
    if not bool(gradient.any()):
        if not (watch.broken or watch.steps) and bool(((outputs == 0) | (outputs == 1)).all()):
            return Finding(
                "gradients", "note", "zero for this sound: its outputs are exactly 0 or 1",
                "wrap the values before the softmax or sigmoid, as logits",
                {"differentiable": True},
            )  # fmt: skip
        return _broken("zero everywhere", watch)
    if watch.broken and (gap := _missing(model, wave, outputs, gradient)):
        return _broken(f"leave out a path from the waveform ({gap})", watch)
    if silent is not None and not bool(torch.isfinite(silent).all()):
        return Finding(
            "gradients", "note",
            "reach the waveform, but are infinite or undefined for a sound that is silent in part",
            "add a small number under a root or logarithm; masked sounds are silent in part",
            {"differentiable": True},
        )  # fmt: skip
    return Finding("gradients", "ok", "reach the waveform", "", {"differentiable": True})


def _slope(model: Model, wave: Tensor, watch: _Watch) -> tuple[Tensor, Tensor | None]:
    """Return all outputs, and the gradient of the largest; None if it does not depend on it."""
    leaf = wave.detach().clone().requires_grad_()
    with model.undisturbed(), torch.enable_grad(), model.frozen(), watch:
        outputs = unchecked(model)(leaf).flatten()
        score = outputs[outputs.argmax()]
    if not score.requires_grad:
        return outputs.detach(), None
    return outputs.detach(), torch.autograd.grad(score, leaf, allow_unused=True)[0]


def _missing(model: Model, wave: Tensor, outputs: Tensor, gradient: Tensor) -> str:
    """Return how the gradient differs from difference quotients; empty if it agrees.

    The quotients are central, for a gain of the first and of the second half of the sound.
    """
    best, middle = int(outputs.argmax()), wave.shape[1] // 2
    told, changed = [], []
    for part in (slice(None, middle), slice(middle, None)):
        step = torch.zeros_like(wave)
        step[:, part] = _STEP * wave[:, part]
        with model.undisturbed(), torch.no_grad():
            up, down = (unchecked(model)(one).flatten()[best] for one in (wave + step, wave - step))
        told.append(float((gradient * step).sum()) / _STEP)
        changed.append(float(up - down) / (2 * _STEP))
    gap = sum(abs(one - other) for one, other in zip(told, changed, strict=True))
    size = max(sum(map(abs, told)), sum(map(abs, changed)))
    if gap <= max(_GAP * size, _FLOOR * float(outputs.abs().max())):
        return ""
    return f"{sum(told):.2g} of a slope of {sum(changed):.2g}"


def _broken(text: str, watch: _Watch) -> Finding:
    function = watch.broken or watch.steps
    text += f": broken by {function}" if function else ""
    advice = "compute the features in torch, with gradients; until then: lime, occlusion"
    return Finding("gradients", "broken", text, advice,
                   {"differentiable": False, "broken_by": function})  # fmt: skip


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _tensors(one)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _place() -> str | None:
    """Return the line of the model's code that is running; None if it is earwitness itself."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        if frame.filename == __file__ or "site-packages" in path.parts:
            continue
        if path.is_relative_to(_OURS) and "zoo" not in path.parts:
            return None
        return f"at line {frame.lineno} of {path.name} ({frame.line})"
    return None
