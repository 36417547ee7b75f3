"""The calls a network makes on its way from an input: record, repeat, or leave out the first.

A network's own Python is only ever run from beginning to end. What is repeated are its recorded
calls, and only calls that are known to do nothing but compute: from values near by, one cell from
few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Ask = Callable[[Tensor], Tensor]
Function = Callable[..., Any]

SOURCE = -1  # the number of the input

CONVOLUTIONS = {torch.conv1d, functional.conv1d, torch.conv2d, functional.conv2d}
PRODUCTS = {torch.matmul, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__}
_NAMES = (
    "relu", "sigmoid", "tanh", "exp", "log", "log1p", "log10", "log2", "abs", "neg", "square",
    "sqrt", "rsqrt", "pow", "clamp", "clip", "clamp_min", "clamp_max", "add", "sub", "mul",
    "div", "true_divide", "unsqueeze", "squeeze", "transpose", "swapaxes", "permute", "movedim",
    "reshape", "flatten", "unflatten", "clone", "detach", "stack", "cat", "avg_pool1d",
)  # fmt: skip
_METHODS = (
    "__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__",
    "__rtruediv__", "__pow__", "__neg__", "contiguous", "to", "float", "double", "view",
    "expand", "__getitem__",
)  # fmt: skip
_FUNCTIONALS = (
    "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "avg_pool1d", "avg_pool2d",
    "max_pool1d", "max_pool2d", "pad", "batch_norm", "dropout", "dropout2d",
)  # fmt: skip
_IN_PLACE = {
    *(torch.relu_, functional.relu_, Tensor.relu_, Tensor.add_, Tensor.mul_, Tensor.clamp_),
    *(Tensor.__iadd__, Tensor.__imul__),
}
_TRAINING = {functional.batch_norm: 5, functional.dropout: 2, functional.dropout2d: 2}
_LOCAL = {
    *(getattr(torch, name) for name in _NAMES if hasattr(torch, name)),
    *(getattr(Tensor, name) for name in (*_NAMES, *_METHODS) if hasattr(Tensor, name)),
    *(getattr(functional, name) for name in _FUNCTIONALS),
    *(*CONVOLUTIONS, *PRODUCTS, *_IN_PLACE),
}
# what tells nothing but shapes and types
_SHAPES = {
    *(Tensor.size, Tensor.dim, Tensor.numel, Tensor.ndimension, Tensor.__len__, Tensor.stride),
    *(Tensor.is_floating_point, Tensor.is_complex, Tensor.is_contiguous, Tensor.get_device),
    *(torch.is_floating_point, torch.is_complex, torch.numel, torch.is_tensor),
    *(getattr(Tensor, name).__get__ for name in ("shape", "ndim", "dtype", "device", "layout")),
    *(getattr(Tensor, name).__get__ for name in ("requires_grad", "is_cuda", "is_sparse")),
    *(getattr(Tensor, name).__get__ for name in ("is_mkldnn", "is_quantized", "is_nested")),
}


@dataclass(frozen=True)
class Use:
    """A place in a call's arguments where the result of an earlier call goes."""

    number: int


@dataclass(frozen=True)
class Call:
    """One call that depends on the input.

    Attributes
    ----------
    function : callable
    args : tuple
    kwargs : dict
        With a ``Use`` for everything that depends on the input.
    reads : tuple of int
        Numbers of the calls whose results it was given.
    result : Tensor or None
        None if it was no single tensor.
    local : bool
        Whether it is known to compute each cell from few, and to do nothing else.
    """

    function: Function
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    reads: tuple[int, ...]
    result: Tensor | None
    local: bool


class _Record(TorchFunctionMode):
    """Note every call that depends on a tensor."""

    def __init__(self, source: Tensor) -> None:
        super().__init__()
        self.calls: list[Call] = []
        # tensors are kept, so that no other gets their id
        self._known: dict[int, tuple[int, Any]] = {id(source): (SOURCE, source)}

    def __torch_function__(
        self,
        func: Function,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        known = (self._known.get(id(one)) for one in tensors((args, given)))
        reads = tuple(one[0] for one in known if one is not None)
        if not reads or func in _SHAPES:
            return func(*args, **given)
        noted, named = changed((args, given), self._use)
        result = func(*args, **given)
        alone = isinstance(result, Tensor)
        local = alone and func in _LOCAL and _pure(func, args, given, self._known)
        self.calls.append(Call(func, noted, named, reads, result if alone else None, local))
        for one in tensors(result):
            self._known[id(one)] = (len(self.calls) - 1, one)
        return result

    def _use(self, one: Any) -> Any:
        known = self._known.get(id(one)) if isinstance(one, Tensor) else None
        return one if known is None else Use(known[0])


def _pure(
    func: Function, args: tuple[Any, ...], given: dict[str, Any], known: dict[int, Any]
) -> bool:
    """Whether a call is not in training mode, and writes on nothing that was there before."""
    place = _TRAINING.get(func)
    if place is not None and given.get("training", args[place] if len(args) > place else True):
        return False
    if func in _IN_PLACE and (not args or id(args[0]) not in known):
        return False
    return "out" not in given


def record(ask: Ask, inputs: Tensor) -> tuple[list[Call], Tensor]:
    """Ask about inputs (batch, ...) and return every call, and the answer."""
    source = inputs.clone()
    with _Record(source) as mode:
        answer = ask(source)
    return mode.calls, answer


@dataclass(frozen=True)
class _Size:
    """A whole number that depends on the number of items: ``base + slope * items``."""

    base: int
    slope: int

    def of(self, items: int) -> int:
        return self.base + self.slope * items


def _size(two: int, three: int) -> Any:
    return two if two == three else _Size(two - 2 * (three - two), three - two)


class UnknownCallsError(RuntimeError):
    """What a network calls cannot be repeated."""


class Prefix:
    """The first calls of a network, to be repeated for any number of items.

    Parameters
    ----------
    two, three : sequence of Call
        Of passes with two and with three items.
    number : int
        Of the last call.

    Raises
    ------
    UnknownCallsError
        If the passes are not alike.
    """

    def __init__(self, two: Sequence[Call], three: Sequence[Call], number: int) -> None:
        self.number = number
        pairs = list(zip(two[: number + 1], three[: number + 1], strict=True))
        if any(one.function != other.function or not one.local for one, other in pairs):
            raise UnknownCallsError("the calls depend on the number of items")
        self.functions = [one.function for one, _ in pairs]
        self._given = [
            _joined((one.args, one.kwargs), (other.args, other.kwargs)) for one, other in pairs
        ]
        self.shapes = [
            ([*map(_size, one.result.shape, other.result.shape)], one.result.dtype)
            for one, other in pairs
            if one.result is not None and other.result is not None
        ]

    def __call__(self, inputs: Tensor, *, sparse: bool = False) -> Tensor:
        """Return the last call's result for inputs (batch, ...).

        Parameters
        ----------
        sparse : bool
            Let zeros in the network's own matrices, such as mel filters, stop NaN.
        """
        items = len(inputs)
        results = {SOURCE: inputs.clone()}

        def put(one: Any) -> Any:
            if isinstance(one, Use):
                return results[one.number]
            return one.of(items) if isinstance(one, _Size) else one

        for number, (function, given) in enumerate(zip(self.functions, self._given, strict=True)):
            args, kwargs = changed(given, put)
            products = sparse and function in PRODUCTS and not kwargs
            results[number] = (
                _sparse_product(function, args, given[0]) if products else function(*args, **kwargs)
            )
        return results[self.number]

    def resume(self, ask: Ask, value: Tensor, inputs: torch.Size, blank: float) -> Tensor:
        """Return the outputs that follow when the last call's result is ``value``.

        The network's own Python runs, but what the first calls would compute is left out: their
        results are tensors full of ``blank`` that take no memory.

        Parameters
        ----------
        inputs : torch.Size
            Shape of the inputs.

        Raises
        ------
        UnknownCallsError
            If the network makes other calls than before, or uses what came before the value.
        """
        one = torch.full((), blank, dtype=value.dtype, device=value.device)
        source = one.expand(inputs)
        with _Resume(self, value, source, blank) as mode:
            answer = ask(source)
        if mode.wrong:
            raise UnknownCallsError("other calls than before, or earlier results are used again")
        return answer


class _Resume(TorchFunctionMode):
    """Leave out first calls, and give the last of them a result."""

    def __init__(self, prefix: Prefix, value: Tensor, source: Tensor, blank: float) -> None:
        super().__init__()
        self.wrong = False
        self._prefix, self._value, self._blank = prefix, value, blank
        self._items = len(source)
        self._next = 0
        self._blanks = {id(source): source}

    def __torch_function__(
        self,
        func: Function,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        blank = any(id(one) in self._blanks for one in tensors((args, given)))
        if not blank or func in _SHAPES:
            return func(*args, **given)
        functions = self._prefix.functions
        if self._next >= len(functions) or func != functions[self._next]:
            self.wrong = True  # and on to the end, so that nothing is left half done
            return func(*args, **given)
        sizes, dtype = self._prefix.shapes[self._next]
        self._next += 1
        if self._next == len(functions):
            return self._value
        shape = [one.of(self._items) if isinstance(one, _Size) else one for one in sizes]
        found = torch.full((), self._blank, dtype=dtype, device=self._value.device).expand(shape)
        self._blanks[id(found)] = found
        return found


def _sparse_product(function: Function, args: tuple[Any, ...], noted: tuple[Any, ...]) -> Tensor:
    """Return a product in which a constant's zeros stop the NaN of what depends on the input."""
    depends = [isinstance(one, Use) for one in noted]
    if sum(depends) != 1:
        return function(*args)
    clean = function(*(one.nan_to_num(nan=0.0) for one in args))
    reach = (one.isnan() if own else one != 0 for one, own in zip(args, depends, strict=True))
    return clean.masked_fill(function(*(one.to(clean) for one in reach)) > 0, torch.nan)


def _joined(two: Any, three: Any) -> Any:
    """Return arguments for any number of items from those for two and for three."""
    if isinstance(two, Tensor) and isinstance(three, Tensor):
        if two is three or (two.shape == three.shape and torch.equal(two, three)):
            return two
    elif type(two) is type(three):
        if type(two) is int:
            return _size(two, three)
        if isinstance(two, slice):
            ends = ((two.start, two.stop, two.step), (three.start, three.stop, three.step))
            return _Slice(_joined(*ends))
        if isinstance(two, list | tuple) and len(two) == len(three):
            parts = [_joined(one, other) for one, other in zip(two, three, strict=True)]
            return parts if isinstance(two, list) else tuple(parts)
        if isinstance(two, dict) and two.keys() == three.keys():
            return {name: _joined(one, three[name]) for name, one in two.items()}
        if two == three:
            return two
    raise UnknownCallsError("what is called with depends on the number of items")


@dataclass(frozen=True)
class _Slice:
    ends: tuple[Any, Any, Any]


def changed(values: Any, change: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and dictionaries with every value in them changed."""
    if isinstance(values, dict):
        return {name: changed(value, change) for name, value in values.items()}
    if isinstance(values, list | tuple):
        parts = [changed(value, change) for value in values]
        return parts if isinstance(values, list) else tuple(parts)
    if isinstance(values, _Slice):
        return slice(*changed(values.ends, change))
    return change(values)


def tensors(values: Any) -> list[Tensor]:
    """Return the tensors in a value, in order; torch's own walk is too slow for every call."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, Mapping):
        values = values.values()
    elif not isinstance(values, list | tuple):
        return []
    return [one for value in values for one in tensors(value)]


def watchable(batch: Tensor) -> bool:
    """Whether nothing is going on that sees a network's calls itself or changes their precision."""
    return (
        batch.device.type == "cpu"
        and not torch.is_inference_mode_enabled()
        and not torch.is_autocast_enabled("cpu")
        and torch._C._len_torch_function_stack() == 0
    )
