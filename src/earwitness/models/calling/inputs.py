"""Inputs of a network beside the waveform: constants that are the same for every sound."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.errors import ParameterError
from earwitness.registry import unknown

_NAMED = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)


class Inputs:
    """The inputs of a network or function: the waveform (or its features), and constants.

    Parameters
    ----------
    function : Module or callable, optional
    extra : mapping of str to object
        Constants by the name of the input. An array, a tensor or a list of numbers, shape (...), is
        the value for one sound and is given as (batch, ...); anything else is given as it is.
    name : str
        The model's, for messages.

    Raises
    ------
    ParameterError, UnknownNameError
        If an input other than the first has no value, or a constant is for no input.
    """

    def __init__(
        self,
        function: Callable[..., Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        name: str = "",
    ) -> None:
        if extra is not None and not isinstance(extra, Mapping):
            raise ParameterError(f"extra is a mapping from inputs to constants, got {extra!r}")
        self.extra = {key: _constant(value) for key, value in (extra or {}).items()}
        named, others = (None, True) if function is None else _parameters(function)
        if named is None:
            self._order: list[str] = []
            return
        free = [one for one in named if one.name not in self.extra]
        missing = [one.name for one in free[1:] if one.default is inspect.Parameter.empty]
        for key in self.extra:
            if key not in [one.name for one in named] and not others:
                raise unknown(f"input of {name}", key, [one.name for one in named])
        if self.extra and not free and not others:
            raise ParameterError(f"extra has constants for every input of {name}: leave one out")
        if missing:
            given = ", ".join(f"{one!r}: ..." for one in missing)
            raise ParameterError(
                f"{name} has inputs beside the waveform ({', '.join(missing)}), and explanations "
                f"are of the waveform; give constants for them with wrap(..., extra={{{given}}})"
            )
        self._wave = free[0].name if free else ""
        self._order = [one.name for one in named if one.kind is not _NAMED[2]]

    def call(self, function: Callable[..., Any], data: Any) -> Any:
        """Call a function of these inputs on a tensor or numpy array (batch, ...)."""
        if not self.extra:
            return function(data)
        given = {key: _repeated(value, data) for key, value in self.extra.items()}
        if not self._order:
            return function(data, **given)
        given[self._wave] = data
        first = []
        for name in self._order:  # by position, since some exported programs take no names
            if name not in given:
                break
            first.append(given.pop(name))
        return function(*first, **given)

    def facts(self) -> list[Any]:
        """Return names and constants as plain values; empty without constants."""
        return [
            [key, value.tolist() if isinstance(value, np.ndarray) else repr(value)]
            for key, value in sorted(self.extra.items())
        ]


def _parameters(
    function: Callable[..., Any],
) -> tuple[list[inspect.Parameter] | None, bool]:
    """Return the named parameters, None if unknown, and whether any other name is accepted."""
    try:
        forward = function.forward if isinstance(function, nn.Module) else function
        every = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):
        return None, True
    if any(one.kind is one.VAR_POSITIONAL for one in every):
        return None, True
    return [one for one in every if one.kind in _NAMED], any(
        one.kind is one.VAR_KEYWORD for one in every
    )


def _constant(value: Any) -> Any:
    """Return tensors and lists of numbers as arrays, and anything else as it is."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, list | tuple):
        array = np.asarray(value) if _numeric(value) else None
        return value if array is None else array
    return value


def _numeric(value: Any) -> bool:
    try:
        return np.asarray(value).dtype.kind in "buif"
    except ValueError:  # lists of different lengths
        return False


def _repeated(value: Any, data: Any) -> Any:
    """Return an array for one sound as (batch, ...), of the type of the data."""
    if not isinstance(value, np.ndarray):
        return value
    batch = np.repeat(value[None], len(data), axis=0)
    if not isinstance(data, Tensor):
        return batch.astype(np.float32) if batch.dtype.kind == "f" else batch
    made = torch.from_numpy(batch).to(data.device)
    if made.is_floating_point():
        made = made.to(data.real.dtype if data.is_complex() else data.dtype)
    return made
