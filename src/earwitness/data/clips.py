"""Sounds of a benchmark, with the truth where it is known, and how a maker of them joins."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from earwitness.audio import find_clips, read_audio
from earwitness.errors import AudioError, ParameterError
from earwitness.registry import Registry, unknown
from earwitness.types import FloatArray


@dataclass(frozen=True)
class Material:
    """One sound at a model's rate.

    Attributes
    ----------
    input : ndarray, shape (time,)
    source : ndarray, shape (time,), or None
        The part of the input that is the target's true source, where that is known.
    """

    input: FloatArray
    source: FloatArray | None = None


@dataclass(frozen=True)
class Clip:
    """A sound of a benchmark, made when it is needed.

    Attributes
    ----------
    name : str
        Its own within a benchmark.
    group : str
        What figures are averaged over: sounds of one kind, of one level.
    target : str or None
        The class that is explained; the decided one if None.
    make : callable
        From a sampling rate in Hz to ``Material``.
    """

    name: str
    group: str
    target: str | None
    make: Callable[[int], Material]


Make = Callable[..., list[Clip]]


@dataclass(frozen=True)
class Maker:
    """Something that makes the sounds of a benchmark; its options are keyword-only parameters."""

    name: str
    summary: str
    function: Make

    @property
    def options(self) -> dict[str, Any]:
        """Name and default of every option; those without one must be given."""
        parameters = inspect.signature(self.function).parameters
        return {name: parameter.default for name, parameter in parameters.items()}

    def clips(self, given: Mapping[str, Any]) -> list[Clip]:
        """Return its sounds.

        Raises
        ------
        UnknownNameError, ParameterError
            If it has no such option, one is missing, or one is of another kind than its default.
        """
        options = self.options
        for name, value in given.items():
            if name not in options:
                raise unknown(f"option of {self.name} sounds", name, options)
            default = options[name]
            kinds = (int, float) if isinstance(default, float) else type(default)
            if default not in (None, inspect.Parameter.empty) and not isinstance(value, kinds):
                raise ParameterError(f"{self.name}: {name} is like {default!r}, got {value!r}")
        missing = [
            name
            for name, default in options.items()
            if default is inspect.Parameter.empty and name not in given
        ]
        if missing:
            raise ParameterError(f"{self.name} sounds want {missing[0]}")
        return self.function(**given)


MAKERS: Registry[Maker] = Registry("kind of sounds", "earwitness.data", "earwitness.data")


def register(name: str, *, summary: str) -> Callable[[Make], Make]:
    """Register a function that returns clips under a name."""

    def add(function: Make) -> Make:
        MAKERS.add(Maker(name, summary, function))
        return function

    return add


@register("folder", summary="sound files and folders of them, without a known truth")
def folder(*, paths: list[str], target: str = "") -> list[Clip]:
    """Return a clip for each file; ``target`` is the class to explain, the decided one if empty."""
    found = find_clips(paths)
    missing = [path for path in found if not path.exists()]
    if missing:
        raise AudioError(f"{missing[0]}: no such file or folder")
    return [Clip(str(path), "sounds", target or None, partial(_read, path)) for path in found]


def _read(path: Path, rate: int) -> Material:
    return Material(read_audio(path, rate=rate).samples)
