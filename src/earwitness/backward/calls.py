"""One call of a torch function as a function of the tensors that depend on the sound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import resolve_name
from torch.utils._pytree import tree_flatten, tree_unflatten

from earwitness.backward.functions import (
    CELLWISE,
    DIVISIONS,
    ELEMENTWISE,
    JOINTLY_LINEAR,
    MULTILINEAR,
)
from earwitness.backward.outside import Origin, Origins

# calls that can be a rectifier; of those in the second list only with a mask of their own input
_CLAMPS = frozenset(["clamp", "clamp_min", "clip", "threshold", "maximum", "fmax", "hardtanh"])
_MASKING = frozenset(
    ["where", "masked_fill", "__setitem__", "mul", "multiply", "__mul__", "__rmul__", "__imul__"]
)
_SCALES = (1.0, -1.0, 1e-3, -1e-3, 1e3, -1e3)  # of the input; a threshold or ceiling shows at some


@dataclass
class Call:
    """One call of a torch function whose output depends on the sound.

    Attributes
    ----------
    name : str
        The function's base name: ``relu`` for ``torch.relu``, ``Tensor.relu_`` and the like.
    title : str
        Its full name, for messages.
    where : str
        The calling module, as in ``named_modules``; empty without a ledger.
    func : callable
        The torch function itself.
    function : callable
        The call as a function of ``inputs`` only, never in place.
    inputs : list of Tensor
        The tensor arguments that depend on the sound, or copies of them.
    sources : tuple of Tensor
        The original tensors.
    args, kwargs
        All arguments.
    in_place : bool
    masked : bool
        Whether it takes a value that depends on the sound outside the graph, such as a mask.
        ``function`` then computes that value too, from ``inputs``.
    elementwise : bool
        Whether it is a function of one number, applied to every element of its one input.
    """

    name: str
    title: str
    where: str
    func: Callable[..., Any]
    function: Callable[..., Any]
    inputs: list[Tensor]
    sources: tuple[Tensor, ...]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    in_place: bool
    masked: bool
    elementwise: bool


def read_call(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    where: str,
    origins: Origins | None = None,
) -> Call | None:
    """Return a call with its dependences, or None if no argument depends on the sound."""
    leaves, shape = tree_flatten((args, dict(kwargs)))
    places = [index for index, leaf in enumerate(leaves) if varies(leaf)]
    if not places:
        return None
    name = getattr(func, "__name__", "")
    in_place = is_in_place(name, args, kwargs)
    sources = tuple(leaves[k] for k in places)
    hidden: dict[int, Origin] = {}
    if origins is not None:
        found = ((k, origins.of(leaf)) for k, leaf in enumerate(leaves))
        hidden = {k: origin for k, origin in found if origin is not None}
    inputs = [*sources]
    keys = {id(one): k for k, one in enumerate(inputs)}  # of the tensors that masks depend on
    if origins is not None:
        roots = {id(origins.original(one)): k for k, one in enumerate(inputs)}
        for one in (one for origin in hidden.values() for one in origin.inputs):
            root = id(origins.original(one))
            if root not in roots:
                roots[root] = len(inputs)
                inputs.append(one)
            keys[id(one)] = roots[root]
    if in_place and 0 not in places and isinstance(leaves[0], Tensor):
        leaves[0] = leaves[0].detach().clone()  # a constant that the call writes over

    def function(*values: Tensor) -> Any:
        replaced = list(leaves)
        for index, value in zip(places, values, strict=False):
            replaced[index] = value
        for index, origin in hidden.items():
            replaced[index] = origin.compute({key: values[k] for key, k in keys.items()})
        if in_place:
            replaced[0] = replaced[0].clone()
        again, named = tree_unflatten(replaced, shape)
        result = func(*again, **named)
        return replaced[0] if result is None else result

    bare = bare_name(name)
    title = resolve_name(func) or name
    local = len(inputs) == 1 and (
        bare in ELEMENTWISE
        or (bare in CELLWISE and all(origin.elementwise for origin in hidden.values()))
    )
    return Call(
        bare, title, where, func, function, inputs, sources, args, kwargs, in_place,
        bool(hidden), local and not inputs[0].is_complex(),
    )  # fmt: skip


def bare_name(name: str) -> str:
    """Return a function's name without the underscore of an in-place or a private form."""
    return name if name.startswith("__") else name.strip("_")


def inside(call: Call) -> str:
    """Return the calling module for a message, or "" if it is not known."""
    return f" in {call.where}" if call.where else ""


def varies(leaf: Any) -> bool:
    """Return whether a leaf is a tensor of the graph, which depends on the sound."""
    return isinstance(leaf, Tensor) and leaf.requires_grad


def is_in_place(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a call writes its result into its first argument."""
    if name.startswith("__"):
        return name == "__setitem__" or (
            name.startswith("__i") and name not in ("__invert__", "__index__", "__int__")
        )
    if name.endswith("_") or kwargs.get("inplace"):
        return True
    return name in ("relu", "relu6", "silu", "mish") and args[1:] == (True,)


def is_linear(call: Call) -> bool:
    """Return whether a call is affine in its inputs that depend on the sound."""
    if call.masked:
        return False
    if call.name == "batch_norm":
        return not bool(call.kwargs.get("training", call.args[5] if len(call.args) > 5 else False))
    if call.name in DIVISIONS:
        return len(call.inputs) == 1 and varies(call.args[0])
    return call.name in JOINTLY_LINEAR or (call.name in MULTILINEAR and len(call.inputs) == 1)


def is_rectifier(call: Call) -> bool:
    """Return whether a call computes ``max(x, 0)``, determined from its values.

    The call must be read with its masks: ``torch.where(x > 0, x, 0)``, ``x * (x > 0)``,
    ``x.masked_fill(x < 0, 0)``, ``x[x < 0] = 0``, ``x.clamp(min=0)`` and ``torch.maximum(x, 0)``
    are all rectifiers, ``x * (x > 1)`` is not.
    """
    if call.name == "relu":
        return True
    if not (call.name in _CLAMPS or (call.masked and call.name in _MASKING)):
        return False
    if not call.elementwise:
        return False
    values = call.inputs[0].detach()
    for scale in _SCALES:
        scaled = scale * values
        found = call.function(scaled)
        if found.shape != values.shape or not torch.equal(found, scaled.clamp(min=0)):
            return False
    return True
