"""The registry of adapters: how models of other worlds are loaded by name, ``onnx:FILE``.

An adapter is a function in a file of its own. One for a single model, whose weights another package
brings, has no place: its name alone loads it. Its keyword-only parameters are its options, as for
methods. An adapter that takes ``facts`` has the options of ``declare`` as well: what ``wrap`` wants
to know about any model.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import logging
import numbers
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt

from earwitness.errors import ModelError, ParameterError, reason
from earwitness.options import Option, check, options_of
from earwitness.registry import Registry, unknown


@dataclass(frozen=True)
class Adapter:
    """A registered adapter.

    Attributes
    ----------
    name : str
        What stands before the colon, or the whole name.
    place : str
        What stands after the colon, in capitals, such as ``FILE``; empty for a single model.
    summary : str
    function : callable
        ``function(place, **options)``, or ``function(place, facts, **options)``, returns a model;
        ``function(**options)`` without a place.
    declared : mapping of str to Option
    needs : tuple of str
        Modules of packages that are not installed with earwitness.
    extra : str
        The extra of earwitness that installs them.
    packages : mapping of str to str
        What ``pip install`` is given instead, by the names of modules.
    suffixes : tuple of str
        Ends of the names of its files.
    """

    name: str
    place: str
    summary: str
    function: Callable[..., Any]
    declared: Mapping[str, Option]
    needs: tuple[str, ...] = ()
    extra: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    suffixes: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """How a model is named, such as ``onnx:FILE``."""
        return f"{self.name}:{self.place}" if self.place else self.name

    @property
    def missing(self) -> tuple[str, ...]:
        """Modules that it needs and that are not installed."""
        return tuple(one for one in self.needs if importlib.util.find_spec(one) is None)

    @property
    def install(self) -> str:
        """The commands that install what is missing; empty if nothing is."""
        extra = f"'earwitness[{self.extra}]'"
        given = dict.fromkeys(self.packages.get(one, extra) for one in self.missing)
        return " && ".join(f"pip install {one}" for one in given)

    def load(self, place: str, options: Mapping[str, Any]) -> Any:
        """Return the model at a place, a file or a name.

        Raises
        ------
        ModelError
            If a package is missing, or the model cannot be loaded.
        UnknownNameError, ParameterError
            For options that it does not have, or values that are not valid.
        """
        if not place and self.place:
            raise ModelError(f"{self.name}: names no model; write {self.usage}")
        if place and not self.place:
            raise unknown("model", f"{self.name}:{place}", [one.usage for one in ADAPTERS.all()])
        if place.startswith("~"):
            place = os.path.expanduser(place)
        given = {name: self._value(name, value) for name, value in options.items()}
        if self.missing:
            raise ModelError(
                f"{self.name}{':' if place else ''}{place} needs {' and '.join(self.missing)}, not "
                f"installed here: {self.install}"
            )
        if not self.place:
            return self.function(**given)
        if "facts" not in inspect.signature(self.function).parameters:
            return self.function(place, **given)
        shared = {name: given.pop(name) for name in list(given) if name in _SHARED}
        return self.function(place, declare(**shared), **given)

    def _value(self, name: str, value: Any) -> Any:
        if name not in self.declared:
            raise unknown(f"option of {self.name}:", name, self.declared)
        if self.declared[name].type is str and not isinstance(value, numbers.Number | None):
            value = as_text(value)
        return check(self.declared[name], value)


ADAPTERS: Registry[Adapter] = Registry(
    "adapter", ("earwitness.models.adapters", "earwitness.models.packaged"), "earwitness.adapters"
)
F = TypeVar("F", bound=Callable[..., Any])


def find_adapter(name: str) -> tuple[Adapter, str] | None:
    """Return the adapter of a model's name, and the place in the name; None if it is of none."""
    known = {one.name: one for one in ADAPTERS.all()}
    if name in known and not known[name].place:
        return known[name], ""
    prefix, colon, place = name.partition(":")
    return (known[prefix], place) if colon and prefix in known else None


def register(
    name: str,
    *,
    place: str = "",
    summary: str,
    needs: tuple[str, ...] = (),
    extra: str = "",
    packages: Mapping[str, str] | None = None,
    suffixes: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Register a function from a place (and facts) to a model, under the name before the colon.

    Without a place, the name is that of a single model.
    """

    def add(function: F) -> F:
        shared = _SHARED if "facts" in inspect.signature(function).parameters else {}
        declared = {**options_of(function), **shared}
        given = (needs, extra, packages or {}, suffixes)
        ADAPTERS.add(Adapter(name, place, summary, function, declared, *given))
        return function

    return add


def declare(
    *,
    rate: Annotated[int | None, Ge(1)] = None,
    labels: str | None = None,
    output: Literal["logits", "probabilities", "scores"] | None = None,
    task: Literal["single-label", "multi-label", "regression"] | None = None,
    shortest: Annotated[float | None, Gt(0)] = None,
    longest: Annotated[float | None, Gt(0)] = None,
    per_frame: bool = False,
    pad: Literal["end", "start", "repeat"] = "end",
    longer: Literal["windows", "first", "last"] = "windows",
    pool: Literal["mean", "max", "topk"] = "mean",
    extra: str | None = None,
) -> dict[str, Any]:
    """Return keyword arguments for ``wrap`` from options; what was not given is left out.

    Parameters
    ----------
    rate : int
        Sampling rate in Hz.
    labels : str
        Names of the outputs: separated by commas, or a text or JSON file of them.
    output : str
        What the outputs are.
    task : str
        One of many classes, several at once, or a value.
    shortest : float
        Shortest sound that it takes, in seconds.
    longest : float
        Longest sound that it takes, in seconds.
    per_frame : bool
        Whether its outputs are (batch, frame, output).
    pad : str
        Where silence is added to a sound that is too short; or the sound is repeated.
    longer : str
        Whether a longer sound is read in windows, or its beginning or end only.
    pool : str
        How the outputs of windows are joined; topk is the mean of the three largest.
    extra : str
        Constants for inputs beside the waveform, as JSON: {"week": 21}.
    """
    facts: dict[str, Any] = {"sample_rate": rate, "output": output, "task": task}
    facts["labels"] = None if labels is None else read_labels(labels)
    facts["per_frame"] = per_frame or None
    chosen = {"pad": (pad, "end"), "longer": (longer, "windows"), "pool": (pool, "mean")}
    facts |= {name: value for name, (value, usual) in chosen.items() if value != usual}
    if shortest is not None or longest is not None:
        facts["lengths"] = (shortest, longest)
    if extra is not None:
        facts["extra"] = _read_extra(extra)
    return {name: value for name, value in facts.items() if value is not None}


_LISTS = (".txt", ".json", ".csv")
_LONGEST = 4096  # characters of a path
_SHARED = options_of(declare)


def as_text(value: Any) -> Any:
    """Return a value as text that is read as the same value: JSON, or the path of a file.

    What has no such text is returned as it is.
    """
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    value = value.tolist() if hasattr(value, "tolist") else value  # of numpy
    if isinstance(value, Mapping):
        value = {str(key): one for key, one in value.items()}
    try:
        return json.dumps(value, default=lambda one: one.tolist())
    except (AttributeError, TypeError, ValueError):
        return value


@contextmanager
def quiet_loggers() -> Iterator[None]:
    """Keep the loggers of other libraries quiet, for a while."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _read_extra(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ParameterError(f'extra is JSON, as in {{"week": 21}}; got {text!r}')
    return found


def read_labels(text: str) -> Any:
    """Return labels from text: lines, JSON, the name of a file of either, or commas between."""
    path = Path(os.path.expanduser(text)) if "\n" not in text and len(text) < _LONGEST else Path()
    if path.suffix in _LISTS and (path.is_file() or "," not in text):
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            raise ParameterError(f"labels: no such file {text}") from error
        except UnicodeDecodeError as error:
            raise ParameterError(f"labels: {text} is not in UTF-8; save it so") from error
        except OSError as error:
            raise ParameterError(f"labels: {text} cannot be read: {reason(error)}") from error
    if text.lstrip()[:1] in ("[", "{"):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ParameterError(f"labels: no valid JSON ({error})") from error
        return list(map(str, found)) if isinstance(found, list) else found
    parts = text.splitlines() if "\n" in text.strip() else text.split(",")
    return [part.strip() for part in parts if part.strip()]


def need_rate(facts: Mapping[str, Any], name: str) -> None:
    """Raise ``ModelError`` if the sampling rate is not known."""
    if "sample_rate" not in facts:
        raise ModelError(
            f"{name}: its sampling rate is not in the file; give it, as in --model-set rate=16000 "
            "or load_model(..., rate=16000)"
        )
