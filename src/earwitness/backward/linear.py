"""Calls as layers that are affine in the input, and norms with their scale held constant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from earwitness.backward.calls import Call

CONVOLUTIONS = frozenset(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3))
DENSE = frozenset(["linear", "matmul", "__matmul__", "mm", "mv", "bmm", "einsum"])
NORMS = frozenset(["layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize"])
HALF = (torch.float16, torch.bfloat16)
Added = Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]


@dataclass(frozen=True)
class Layer:
    """A function that is affine in its input: ``apply(values, weights) + bias``."""

    apply: Callable[[Tensor, Tensor], Tensor]
    weights: Tensor
    bias: Tensor | None
    outputs: int  # channel axis of the output
    channels: int | None  # channel axis of the weights, None if there is none

    def wide(self) -> Layer:
        """Return the layer in single precision, if it is in half precision."""
        weights, bias = (
            one.float() if one is not None and one.dtype in HALF else one
            for one in (self.weights, self.bias)
        )
        assert weights is not None
        return replace(self, weights=weights, bias=bias)

    def offset(self, like: Tensor) -> Tensor:
        """Return the bias in a shape that broadcasts to an output."""
        if self.bias is None:
            return like.new_zeros(())
        shape = [1] * like.ndim
        shape[self.outputs] = -1
        return self.bias.reshape(shape)


def read_layer(call: Call) -> Layer | None:
    """Return a call as a layer, or None if it is not affine in its one dependent input."""
    if call.name in CONVOLUTIONS or call.name == "linear":
        given = {**dict(zip(("input", "weight", "bias"), call.args, strict=False)), **call.kwargs}
        sound, weights, bias = (given.get(name) for name in ("input", "weight", "bias"))
        if sound is None or weights is None or not sound.requires_grad:
            return None
        rest = call.args[3:]
        others = {k: v for k, v in call.kwargs.items() if k not in ("input", "weight", "bias")}

        def apply(values: Tensor, own: Tensor) -> Tensor:
            result: Tensor = call.func(values, own, None, *rest, **others)
            return result

        if call.name == "linear":
            return Layer(apply, weights, bias, -1, 0 if sound.ndim == 2 else None)
        axis = -1 - int(call.name[-2])
        transposed = "transpose" in call.name
        groups = call.kwargs.get("groups", call.args[6] if len(call.args) > 6 else 1)
        grouped = transposed and groups > 1
        return Layer(apply, weights, bias, axis, None if grouped else int(transposed))
    if call.name in DENSE:
        operands = [one for one in call.args if isinstance(one, Tensor)]
        if len(operands) != 2 or call.kwargs:
            return None
        before = call.args[: len(call.args) - 2]  # the equation of einsum, or nothing
        sound_first = operands[0].requires_grad

        def combine(values: Tensor, weights: Tensor) -> Tensor:
            pair = (values, weights) if sound_first else (weights, values)
            result: Tensor = call.func(*before, *pair)
            return result

        return Layer(combine, operands[1 if sound_first else 0], None, -1, None)
    return None


def normalised(call: Call, added: Added) -> Tensor | None:
    """Return a norm's output with its scale held constant (Ali et al. 2022, section 3.2).

    Parameters
    ----------
    added : callable
        Applies the rule for a constant, the norm's bias: from values and the function that adds it.
    """
    (values,) = call.inputs
    if call.name == "normalize":
        dim = call.kwargs.get("dim", call.args[2] if len(call.args) > 2 else 1)
        power = call.kwargs.get("p", call.args[1] if len(call.args) > 1 else 2.0)
        least = call.kwargs.get("eps", call.args[3] if len(call.args) > 3 else 1e-12)
        norm = values.detach().norm(power, dim, keepdim=True).clamp(min=least)
        return values / norm
    names = {
        "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
        "rms_norm": ("input", "normalized_shape", "weight", "eps"),
        "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
        "instance_norm": (
            "input", "running_mean", "running_var", "weight", "bias", "use_input_stats",
            "momentum", "eps",
        ),
    }[call.name]  # fmt: skip
    given = {**dict(zip(names, call.args, strict=False)), **call.kwargs}
    if call.name == "instance_norm" and not given.get("use_input_stats", True):
        return None
    grouped = values
    if call.name in ("layer_norm", "rms_norm"):
        dims = list(range(-len(given["normalized_shape"]), 0))
    elif call.name == "group_norm":
        grouped = values.unflatten(1, (given["num_groups"], -1))
        dims = list(range(2, grouped.ndim))
    else:
        dims = list(range(2, values.ndim))
    if call.name == "rms_norm":
        least = given.get("eps") or torch.finfo(values.dtype).eps
        scale = (values.detach().square().mean(dims, keepdim=True) + least).rsqrt()
        centred = values * scale
    else:
        spread = grouped.detach().var(dims, correction=0, keepdim=True) + given.get("eps", 1e-5)
        centred = (grouped - grouped.mean(dims, keepdim=True)) * spread.rsqrt()
        centred = centred.reshape(values.shape)
    shape = [1] * values.ndim
    for axis in dims if call.name in ("layer_norm", "rms_norm") else [1]:
        shape[axis] = values.shape[axis]
    weight, bias = given.get("weight"), given.get("bias")
    if weight is not None:
        centred = centred * weight.reshape(shape)
    if bias is None:
        return centred
    offset = bias.reshape(shape)
    return added(centred, lambda one: one + offset)
