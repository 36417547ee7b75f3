"""The calls a network makes on its way from an input: watch them, stop at one, or go on from one.

Only calls that depend on the input are counted, so what a network prepares for itself is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

Ask = Callable[[Tensor], Tensor]

_MARK = "_earwitness_call"
_SOURCE = -1
# calls whose answer depends on values, so that nothing after them can be told in advance
_READS = {
    *(Tensor.item, Tensor.tolist, Tensor.numpy, Tensor.__bool__, Tensor.__float__, Tensor.__int__),
    *(torch.is_nonzero, Tensor.is_nonzero, torch.equal, Tensor.equal, torch.allclose),
}


@dataclass(frozen=True)
class Call:
    """One call and what became of it.

    Attributes
    ----------
    function : callable
    args : tuple
        With every keyword argument at the end.
    result : object
    number : int
        Among the calls that depend on the input.
    reads : tuple of int
        Numbers of the calls whose results it was given; -1 stands for the input.
    writes : bool
        Whether it wrote on something that was there before the input came.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    result: Any
    number: int
    reads: tuple[int, ...]
    writes: bool


class _StoppedError(BaseException):  # no exception that a model's wrapper turns into another
    pass


class _Watch(TorchFunctionMode):
    """Tell of every call that depends on a tensor; stop when ``on_call`` says so."""

    def __init__(self, source: Tensor, on_call: Callable[[Call], bool]) -> None:
        super().__init__()
        setattr(source, _MARK, _SOURCE)
        self._on_call = on_call
        self._number = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        given_to = _tensors((args, given))
        reads = tuple(getattr(one, _MARK) for one in given_to if depends(one))
        others = {id(one) for one in given_to if not depends(one)}
        result = func(*args, **given)
        if not reads:
            return result
        own = _tensors(result)
        if not own and result is not None and func not in _READS:
            return result  # a shape or a type, which is the same for all inputs of one size
        written = own or given_to[:1]  # what returns nothing has written on its first argument
        writes = any(id(one) in others for one in written)
        call = Call(func, (*args, *given.values()), result, self._number, reads, writes)
        for one in own:
            setattr(one, _MARK, self._number)
        self._number += 1
        if self._on_call(call):
            raise _StoppedError
        return result


def watch(ask: Ask, inputs: Tensor, on_call: Callable[[Call], bool]) -> Tensor | None:
    """Ask about inputs (batch, ...) and tell of every call, until ``on_call`` says to stop.

    Returns
    -------
    Tensor or None
        The answer, if it was not stopped before.
    """
    source = inputs.clone()
    try:
        with _Watch(source, on_call):
            return ask(source)
    except _StoppedError:
        return None


def result_of(ask: Ask, inputs: Tensor, number: int) -> Tensor:
    """Return the result of one call, and run nothing after it."""
    found: list[Tensor] = []

    def note(call: Call) -> bool:
        if call.number < number:
            return False
        found.append(call.result)
        return True

    watch(ask, inputs, note)
    return found[0]


@dataclass(frozen=True)
class _Shape:
    """Shape and kind of a result, for any number of items."""

    base: tuple[int, ...]
    slope: tuple[int, ...]
    dtype: torch.dtype

    def blank(self, items: int, device: torch.device) -> Tensor:
        """Return a tensor of this shape that takes no memory and spoils what it is used for."""
        floats = self.dtype.is_floating_point or self.dtype.is_complex
        one = torch.full((), float("nan") if floats else 0, dtype=self.dtype, device=device)
        sizes = [a + items * b for a, b in zip(self.base, self.slope, strict=True)]
        return one.expand(sizes)


class Script:
    """The calls up to one, by which a network can be asked to go on from there.

    Parameters
    ----------
    ask : callable
        From inputs (batch, ...) to outputs.
    inputs : Tensor, shape (3 or more, ...)
    number : int
        Of the call to go on from.

    Raises
    ------
    RuntimeError
        If what is called depends on the number of items, or on values.
    """

    def __init__(self, ask: Ask, inputs: Tensor, number: int) -> None:
        self.number = number
        self._input = inputs.shape[1:]
        two, three = (_recorded(ask, inputs[:count], number) for count in (2, 3))
        functions = [function for function, _ in two]
        if functions != [function for function, _ in three]:
            raise RuntimeError("the calls depend on the number of items")
        if not _READS.isdisjoint(functions):
            raise RuntimeError("the calls depend on values")
        self._calls = [
            (function, tree_map(_shape, first, second))
            for (function, first), (_, second) in zip(two, three, strict=True)
        ]

    def resume(self, ask: Ask, value: Tensor, items: int) -> Tensor:
        """Return the outputs that follow when the call's result is ``value``.

        Raises
        ------
        RuntimeError
            If the network makes other calls than before, or uses what came before the call.
        """
        blank = torch.full((), float("nan"), dtype=value.dtype, device=value.device)
        source = blank.expand(items, *self._input)
        setattr(source, _MARK, _SOURCE)
        with _Resume(self._calls, value.detach(), items):
            return ask(source)


def _recorded(ask: Ask, inputs: Tensor, number: int) -> list[tuple[Any, Any]]:
    calls: list[tuple[Any, Any]] = []

    def note(call: Call) -> bool:
        calls.append((call.function, tree_map(_size, call.result)))
        return call.number >= number

    watch(ask, inputs, note)
    return calls


@dataclass(frozen=True)
class _Size:
    shape: tuple[int, ...]
    dtype: torch.dtype


def _size(one: Any) -> Any:
    return _Size(tuple(one.shape), one.dtype) if isinstance(one, Tensor) else one


def _shape(two: Any, three: Any) -> Any:
    if not isinstance(two, _Size):
        return two
    slope = tuple(b - a for a, b in zip(two.shape, three.shape, strict=True))
    base = tuple(a - 2 * b for a, b in zip(two.shape, slope, strict=True))
    return _Shape(base, slope, two.dtype)


class _Resume(TorchFunctionMode):
    """Leave out the calls of a script, and give its last one a result."""

    def __init__(self, calls: list[tuple[Any, Any]], value: Tensor, items: int) -> None:
        super().__init__()
        self._calls = calls
        self._value = value
        self._items = items
        self._next = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if not any(map(depends, _tensors((args, given)))):
            return func(*args, **given)
        done = self._next == len(self._calls)
        function, result = (None, None) if done else self._calls[self._next]
        if func != function:
            answer = func(*args, **given)
            if _tensors(answer) or answer is None or func in _READS:
                raise RuntimeError("other calls than before, or what came before is used again")
            return answer
        self._next += 1
        if self._next == len(self._calls):
            return self._value
        blank = self._blank(result) if isinstance(result, _Shape) else tree_map(self._blank, result)
        for one in _tensors(blank):
            setattr(one, _MARK, self._next)
        return blank

    def _blank(self, one: Any) -> Any:
        return one.blank(self._items, self._value.device) if isinstance(one, _Shape) else one


def depends(one: Any) -> bool:
    """Whether something is a tensor that depends on the input that is watched."""
    return hasattr(one, _MARK)


def watchable(batch: Tensor) -> bool:
    """Whether nothing is going on that sees a network's calls itself or changes their precision."""
    return (
        batch.device.type == "cpu"
        and not torch.is_inference_mode_enabled()
        and not torch.is_autocast_enabled("cpu")
        and torch._C._len_torch_function_stack() == 0
    )


def _tensors(values: Any) -> list[Tensor]:
    """Return the tensors in a value, in order; torch's own walk is too slow for every call."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, Mapping):
        values = values.values()
    elif not isinstance(values, list | tuple):
        return []
    return [one for value in values for one in _tensors(value)]
