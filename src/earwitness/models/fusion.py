"""A network's own code, run with fewer and faster operations.

Convolution, batch norm in evaluation mode and ReLU are one operation in arithmetic: the norm only
scales and shifts the filters. ``Fusion`` watches the functions that a network calls and holds each
convolution back until it is known what follows; then it runs all three at once, channels last, with
filters that are laid out for the processor beforehand. The network's own Python decides what is
called and when, so control flow, functional calls, work in place, modules used twice, hooks and
state behave as ever. Nothing is written to the network and nothing is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_iter, tree_map

_CONVOLUTION = {torch.conv2d, functional.conv2d}
_RELU = {torch.relu, functional.relu, Tensor.relu}
_IN_PLACE = {torch.relu_, functional.relu_, Tensor.relu_}
_VIEWS = {Tensor.view}
_STRIDED = {Tensor.as_strided, torch.as_strided}
# what may be asked of a convolution that is held back, without running it
_SHAPE = {
    *(Tensor.size, Tensor.dim, Tensor.numel, Tensor.ndimension, Tensor.is_floating_point),
    *(Tensor.is_complex, Tensor.__len__, torch.is_floating_point, torch.is_complex, torch.numel),
    *(getattr(Tensor, name).__get__ for name in ("shape", "ndim", "dtype", "device")),
    *(getattr(Tensor, name).__get__ for name in ("requires_grad", "is_cuda", "is_mkldnn")),
}


@dataclass(frozen=True)
class _Call:
    """One convolution and what was found to follow it."""

    inputs: Tensor
    version: int
    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    norm: tuple[Tensor, Tensor, Tensor | None, Tensor | None, float] | None = None
    relu: bool = False


class _Held(Tensor):
    """The result of a convolution that has not been run yet; any use of its values runs it."""

    call: _Call
    value: Tensor | None
    fusion: Fusion

    @staticmethod
    def __new__(cls, call: _Call, shape: Sequence[int], fusion: Fusion) -> _Held:
        like = call.inputs
        held: _Held = Tensor._make_wrapper_subclass(
            cls,
            shape,
            dtype=like.dtype,
            device=like.device,
            requires_grad=torch.is_grad_enabled() and like.requires_grad,
        )
        held.call, held.value, held.fusion = call, None, fusion
        return held

    def run(self) -> Tensor:
        """Return the values."""
        if self.value is None:
            self.value = self.fusion.convolve(self.call)
        return self.value

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        # only code that torch functions do not show gets here, such as a scripted part
        if torch.is_grad_enabled():
            raise RuntimeError("a part that hides its calls cannot be fused with gradients")
        return func(*tree_map(_plain, args), **tree_map(_plain, kwargs or {}))


def _plain(one: Any) -> Any:
    return one.run() if isinstance(one, _Held) else one


def _settled(value: Any) -> Any:
    """Return an argument with everything run that was held back."""
    if isinstance(value, _Held):
        return value.run()
    if isinstance(value, list | tuple | dict) and any(map(_holds, tree_iter(value))):
        return tree_map(_plain, value)
    return value


def _holds(one: Any) -> bool:
    return isinstance(one, _Held)


@dataclass(frozen=True)
class _Filters:
    """Filters with the norm folded in, and what they were made of."""

    sources: tuple[tuple[Tensor, int, int], ...]
    weight: Tensor
    bias: Tensor | None

    def fresh(self) -> bool:
        """Whether nothing they were made of has changed since."""
        return all(
            one._version == version and one.data_ptr() == place
            for one, version, place in self.sources
        )


class Fusion(TorchFunctionMode):
    """Run convolution, batch norm and ReLU as one while the mode is on.

    What it folded it keeps, and makes anew when a parameter was changed in place or put elsewhere.
    A change behind torch's back (``parameter.data.mul_(2)``) cannot be seen; ``forget`` drops all.

    Attributes
    ----------
    work : int
        Multiplications in the convolutions it took over since the mode was entered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.work = 0
        self._held: _Held | None = None
        self._filters: dict[tuple[Any, ...], _Filters] = {}

    def __enter__(self) -> Fusion:
        self.work = 0
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        self._held = None
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def forget(self) -> None:
        """Drop all folded filters."""
        self._filters.clear()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in _SHAPE:
            return func(*args, **given)
        held, self._held = self._held, None
        if held is not None:
            if func is functional.batch_norm:
                call = _with_norm(held, *args, **given)
                if call is not None:
                    return self._hold(call, held.shape)
            reads = (args[0] if args else given.get("input")) is held
            if reads:
                if func in _IN_PLACE or (func in _RELU and _in_place(args, given)):
                    held.call = replace(held.call, relu=True)
                    return held.run()
                if func in _RELU:
                    return self.convolve(replace(held.call, relu=True))
            held.run()  # nothing else may happen between a convolution and what belongs to it
        if func in _CONVOLUTION:
            found = _convolution(*args, **given)
            if found is not None:
                return self._hold(*found)
        args = tuple(map(_settled, args))
        given = {name: _settled(value) for name, value in given.items()}
        if func in _VIEWS:
            return _viewed(func, args, given)
        if func in _STRIDED:
            args = (args[0].contiguous(), *args[1:])
        return func(*args, **given)

    def _hold(self, call: _Call, shape: Sequence[int]) -> _Held:
        self._held = _Held(call, shape, self)
        return self._held

    def convolve(self, call: _Call) -> Tensor:
        """Run a convolution with all that belongs to it."""
        if call.inputs._version != call.version:
            raise RuntimeError("what a convolution was to read has been written over")
        inputs = call.inputs.contiguous(memory_format=torch.channels_last)
        packs = _PACKS and not (torch.is_grad_enabled() and inputs.requires_grad)
        filters = self._folded(call, packs)
        if packs:
            result: Tensor = torch.ops.mkldnn._convolution_pointwise(
                inputs, filters.weight, filters.bias, call.padding, call.stride, call.dilation,
                call.groups, "relu" if call.relu else "none", [], "",
            )  # fmt: skip
        else:
            result = torch.conv2d(
                inputs, filters.weight, filters.bias, call.stride, call.padding, call.dilation,
                call.groups,
            )  # fmt: skip
            result = result.relu_() if call.relu else result
        self.work += call.weight.numel() * len(result) * result.shape[2] * result.shape[3]
        return result

    def _folded(self, call: _Call, packs: bool) -> _Filters:
        parts = (call.weight, call.bias, *(call.norm or ()))
        key = (packs, *(id(one) if isinstance(one, Tensor) else one for one in parts))
        known = self._filters.get(key)
        if known is None or not known.fresh():
            known = self._filters[key] = _fold(call, packs)
        return known


def _can_pack() -> bool:
    """Whether this build of torch has convolutions with a ReLU inside."""
    operations = torch.ops.mkldnn
    names = ("_convolution_pointwise", "_reorder_convolution_weight")
    return torch.backends.mkldnn.is_available() and all(hasattr(operations, n) for n in names)


_PACKS = _can_pack()


def _fold(call: _Call, packs: bool) -> _Filters:
    """Fold the norm into the filters, in double precision."""
    tensors = [call.weight, call.bias, *(call.norm[:4] if call.norm else ())]
    sources = tuple((t, t._version, t.data_ptr()) for t in tensors if t is not None)
    with torch.no_grad():
        weight, bias = call.weight.detach(), call.bias
        if call.norm is not None:
            mean, variance, scale, shift, epsilon = call.norm
            factor = (variance.double() + epsilon).rsqrt()
            factor = factor if scale is None else factor * scale.double()
            offset = -mean.double() if bias is None else bias.double() - mean.double()
            folded = offset * factor
            bias = (folded if shift is None else folded + shift.double()).to(weight)
            weight = (weight.double() * factor[:, None, None, None]).to(weight)
        if packs:
            weight = torch.ops.mkldnn._reorder_convolution_weight(
                weight, call.padding, call.stride, call.dilation, call.groups,
                list(call.inputs.shape),
            )  # fmt: skip
        else:
            weight = weight.contiguous(memory_format=torch.channels_last)
        return _Filters(sources, weight, None if bias is None else bias.detach())


def _convolution(
    inputs: Any = None,
    weight: Any = None,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
    **named: Any,
) -> tuple[_Call, list[int]] | None:
    """Return a two-dimensional convolution and the shape of its result, if it can be held back."""
    inputs = named.pop("input", inputs)
    steps = [_pair(value) for value in (stride, padding, dilation)]
    tensors = (inputs, weight, bias)
    if named or None in steps or not all(_usable(one) for one in tensors if one is not None):
        return None
    if not isinstance(weight, nn.Parameter) or inputs.ndim != 4 or weight.ndim != 4:
        return None  # filters that are made anew at every call are not worth folding
    if bias is not None and not isinstance(bias, nn.Parameter):
        return None
    inputs = _plain(inputs)
    (by, around, apart) = (step for step in steps if step is not None)
    if inputs.shape[1] != weight.shape[1] * groups:
        return None
    sizes = [
        (inputs.shape[2 + k] + 2 * around[k] - apart[k] * (weight.shape[2 + k] - 1) - 1) // by[k]
        + 1
        for k in range(2)
    ]
    if min(*sizes, len(inputs)) < 1:
        return None
    call = _Call(inputs, inputs._version, weight, bias, by, around, apart, groups)
    return call, [len(inputs), len(weight), *sizes]


def _usable(one: Any) -> bool:
    return isinstance(one, Tensor) and one.dtype == torch.float32 and one.device.type == "cpu"


def _pair(value: Any) -> tuple[int, int] | None:
    values = (value, value) if isinstance(value, int) else value
    if not isinstance(values, tuple | list) or not all(type(one) is int for one in values):
        return None
    return (values[0], values[-1]) if len(values) in (1, 2) else None


def _with_norm(
    held: _Held,
    inputs: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,  # noqa: ARG001
    eps: float = 1e-5,
    **named: Any,
) -> _Call | None:
    """Return the convolution with a batch norm in evaluation mode behind it, if that is what it is.

    The convolution itself stays as it is, in case the network uses its result elsewhere too.
    """
    tensors = [one for one in (running_mean, running_var, weight, bias) if one is not None]
    if named.get("input", inputs) is not held or training or held.call.norm is not None:
        return None
    if running_mean is None or running_var is None or not all(map(_usable, tensors)):
        return None
    return replace(held.call, norm=(running_mean, running_var, weight, bias, float(eps)))


def _in_place(args: tuple[Any, ...], given: Mapping[str, Any]) -> bool:
    return bool(given.get("inplace", args[1:] == (True,)))


def _viewed(func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """Look at values in another shape, which channels last may only allow for a copy."""
    try:
        return func(*args, **given)
    except RuntimeError:
        return args[0].reshape(*args[1:], **given)
