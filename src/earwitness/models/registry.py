"""The registry of built-in models, and the loader of a model from its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

import torch

from earwitness.errors import EarwitnessError, ModelError, ParameterError, reason
from earwitness.models.adapters.registry import ADAPTERS, Adapter, as_text, find_adapter
from earwitness.models.model import Model
from earwitness.options import Option, read_value
from earwitness.registry import Registry, unknown
from earwitness.types import Optimise

_TRUST = "trust_code"  # is no matter where no code of a file runs
_DEVICES = ("cpu", "cuda", "mps", "xpu")


@dataclass(frozen=True)
class BuiltIn:
    """A registered model.

    ``load`` takes the path of a file of weights if ``needs_file``, and nothing otherwise.
    """

    name: str
    summary: str
    licence: str
    load: Callable[..., Model]
    needs_file: bool = False


MODELS: Registry[BuiltIn] = Registry("model", "earwitness.models.zoo", "earwitness.models")


Load = TypeVar("Load", bound=Callable[..., Model])


def register(
    name: str, *, summary: str, licence: str, needs_file: bool = False
) -> Callable[[Load], Load]:
    """Register a function that returns a model under a name."""

    def add(load: Load) -> Load:
        MODELS.add(BuiltIn(name, summary, licence, load, needs_file))
        return load

    return add


def check_device(device: str) -> None:
    """Raise ``ModelError`` for a device that torch does not know."""
    if device.split(":")[0] not in _DEVICES:
        raise ModelError(f"device {device!r} is none of {', '.join(_DEVICES)}")


def list_models() -> list[BuiltIn]:
    """Return the built-in models."""
    return MODELS.all()


def load_model(
    name: str,
    *,
    device: str | torch.device = "cpu",
    optimise: Optimise | None = None,
    **options: Any,
) -> Model:
    """Load a model by its name on the command line.

    Parameters
    ----------
    name : str
        A built-in name, one with a file of weights (``cnn14:FILE.pth``), a folder written by
        ``earwitness train``, or the name of an adapter and what it loads, such as
        ``python:FILE.py:FUNCTION``, a function without parameters that returns a wrapped model.
        ``earwitness models`` lists all. Options may follow, as in ``onnx:FILE?rate=16000``. A
        folder that is called as a built-in model is named ``./NAME``.
    device : str or torch.device
        Where its network is.
    optimise : bool or "compile", optional
        As for ``wrap``; the model's own setting if None.
    **options
        Options of the adapter.

    Raises
    ------
    ModelError, UnknownNameError, ParameterError
        If there is no such model, or it cannot be loaded.
    """
    if not isinstance(name, str):
        raise ModelError(f"a model is named by text, got {name!r}")
    device = str(device)
    check_device(device)
    place, given = split_name(name)
    if _TRUST not in _declared(place):
        given.pop(_TRUST, None)
        options.pop(_TRUST, None)
    model = _adapted(place, given, options)
    if model is None:
        if given or options:
            raise ParameterError(f"{place} has no options; got {', '.join([*given, *options])}")
        model = _own(place)
    model.loaded = join_name(name, options)
    if optimise is not None:
        model.optimise = optimise
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {device!r} cannot be used here: {reason(error)}") from error


def split_name(name: str) -> tuple[str, dict[str, str]]:
    """Return a name without its options, and the options as text: ``onnx:FILE?rate=16000``."""
    place, mark, query = name.rpartition("?")
    if not mark or "=" not in query or os.path.exists(name.partition(":")[2] or name):
        return name, {}
    given = parse_qsl(query, keep_blank_values=True)
    return place, {key.replace("-", "_"): text for key, text in given}


def join_name(name: str, options: Mapping[str, Any]) -> str:
    """Return a name with options behind it, by which the same model is loaded again."""
    if not options:
        return name
    place, given = split_name(name)
    texts = {key: as_text(value) for key, value in options.items()}
    return f"{place}?{urlencode({**given, **texts}, quote_via=quote)}"


def _declared(place: str) -> Mapping[str, Option]:
    """Return the options of the adapter that a name begins with."""
    found = find_adapter(place)
    return {} if found is None else found[0].declared


def _adapted(place: str, given: Mapping[str, str], options: Mapping[str, Any]) -> Model | None:
    """Return the model that an adapter loads; None if none is named."""
    found = find_adapter(place)
    if found is None:
        return None
    adapter, rest = found
    declared = adapter.declared
    read = {
        key: read_value(text, declared[key]) if key in declared else text
        for key, text in given.items()
    }
    return adapter.load(rest, {**read, **options})


def _own(name: str) -> Model:
    """Return a built-in model, or one from a folder."""
    prefix, _, file = name.partition(":")
    if prefix in [model.name for model in list_models() if model.needs_file]:
        if not file:
            raise ModelError(
                f"{prefix} comes without weights; name a file of them: {prefix}:FILE.pth"
            )
        return MODELS.get(prefix).load(Path(file).expanduser())
    if name in [model.name for model in list_models()]:  # ./NAME is a folder of the same name
        return MODELS.get(name).load()
    if name.startswith("~"):
        name = os.path.expanduser(name)
    if os.path.isdir(name):
        from earwitness.models.zoo.checkpoint import load_folder

        return load_folder(Path(name))
    raise _nameless(name)


def _nameless(name: str) -> EarwitnessError:
    """Return the error for a name of nothing, which says what would work."""
    adapters = ADAPTERS.all()
    suitable = [one for one in adapters if name.lower().endswith(one.suffixes or ("\0",))]
    if suitable and os.path.isfile(name):
        way = " or ".join(one.usage.replace("FILE" + _suffix(one), name) for one in suitable)
        return ModelError(f"{name} is a file; say how to load it: {way}")
    prefix, colon, _ = name.partition(":")
    if colon and len(prefix) > 1:  # C:\ begins a path
        ways = [one.name for one in adapters] + [m.name for m in list_models() if m.needs_file]
        return unknown("adapter", prefix, ways)
    if os.path.isfile(name):
        return ModelError(
            f"{name} is a file, and a model is a name or a folder; in Python: explain(model, sound)"
        )
    if "/" in name or "\\" in name:
        text = f"{name}: no such model folder"
        if name.count("/") == 1 and not name.startswith((".", "/", "~")):
            text += f"; a model of Hugging Face is named hf:{name}"
        return ModelError(text)
    return unknown("model", name, [m.name for m in list_models()] + [a.usage for a in adapters])


def _suffix(adapter: Adapter) -> str:
    """Return the suffix that the usage of an adapter has."""
    return next((one for one in adapter.suffixes if f"FILE{one}" in adapter.usage), "")
