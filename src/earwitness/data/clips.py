"""Sounds of a benchmark, with their true source if known, and the registry of makers."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from earwitness.audio import read_audio
from earwitness.clips import find_clips
from earwitness.errors import AudioError, ParameterError
from earwitness.registry import Registry, unknown
from earwitness.types import FloatArray


@dataclass(frozen=True)
class Material:
    """One sound at a model's sampling rate.

    Attributes
    ----------
    input : ndarray, shape (time,)
        Full scale at 1.
    source : ndarray, shape (time,), or None
        The true source of the target as contained in the input, if known.
    """

    input: FloatArray
    source: FloatArray | None = None

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that depend on the samples."""
        found = blake2b(np.ascontiguousarray(self.input).data, digest_size=8)
        if self.source is not None:
            found.update(np.ascontiguousarray(self.source).data)
        return found.hexdigest()


@dataclass(frozen=True)
class Clip:
    """A sound of a benchmark, loaded or synthesised on demand.

    Attributes
    ----------
    name : str
        Unique within a benchmark.
    group : str
        Group of sounds over which results are averaged, such as one level.
    target : str or None
        Class to explain; the decided one if None.
    make : callable
        From a sampling rate in Hz to ``Material``.
    """

    name: str
    group: str
    target: str | None
    make: Callable[[int], Material]


_MOST = 1_000_000  # largest number in a table of sounds
_NOUNS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
Make = Callable[..., list[Clip]]


@dataclass(frozen=True)
class Maker:
    """A registered maker of benchmark sounds; its keyword-only parameters are its options."""

    name: str
    summary: str
    function: Make

    @property
    def options(self) -> dict[str, Any]:
        """Name and default of every option; those without a default are required."""
        parameters = inspect.signature(self.function).parameters
        return {name: parameter.default for name, parameter in parameters.items()}

    def clips(self, given: Mapping[str, Any]) -> list[Clip]:
        """Return the sounds for the given options.

        Raises
        ------
        UnknownNameError, ParameterError
            If an option is unknown, missing, or of another type than its default.
        """
        options = self.options
        for name, value in given.items():
            if name not in options:
                raise unknown(f"option of {self.name} sounds", name, options)
            self._check(name, value)
        missing = [
            name
            for name, default in options.items()
            if default is inspect.Parameter.empty and name not in given
        ]
        if missing:
            raise ParameterError(f"{self.name} sounds need the option {missing[0]}")
        return self.function(**given)

    def _check(self, name: str, value: Any) -> None:
        """Raise for a value that is not of the annotated type, or a number that is too large."""
        from pydantic import TypeAdapter, ValidationError  # takes a while to import

        kind = get_type_hints(self.function)[name]
        numbers = value if isinstance(value, list) else [value]
        large = any(isinstance(one, int | float) and not abs(one) <= _MOST for one in numbers)
        try:
            TypeAdapter(kind).validate_python(value, strict=True)
        except ValidationError:
            large = True
        if large:
            default = self.options[name]
            like = kind if default is inspect.Parameter.empty else f"a value like {default!r}"
            raise ParameterError(
                f"{self.name}: {name} must be {_NOUNS.get(kind, like)}, numbers up to {_MOST:,}; "
                f"got {value!r}"
            )


MAKERS: Registry[Maker] = Registry("kind of sounds", "earwitness.data", "earwitness.data")


def register(name: str, *, summary: str) -> Callable[[Make], Make]:
    """Return a decorator that registers a function that returns clips as a maker."""

    def add(function: Make) -> Make:
        MAKERS.add(Maker(name, summary, function))
        return function

    return add


@register("folder", summary="sound files and folders of them, without known sources")
def folder(*, paths: list[str], target: str = "") -> list[Clip]:
    """Return a clip per file; ``target`` is the class to explain, the decided one if empty."""
    found = find_clips(paths)
    missing = [path for path in found if not os.path.exists(path)]
    if missing:
        raise AudioError(f"{missing[0]}: no such file or folder")
    return [Clip(str(path), "sounds", target or None, partial(_read, path)) for path in found]


def _read(path: Path, rate: int) -> Material:
    return Material(read_audio(path, rate=rate).samples)
