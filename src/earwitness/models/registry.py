"""The registry of built-in models, and the loader of a model from its name."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from earwitness.errors import EarwitnessError, ModelError, reason
from earwitness.files import digest_of, same_folder
from earwitness.models.model import Model
from earwitness.registry import Registry
from earwitness.types import Optimise

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


def load_model(name: str, *, device: str = "cpu", optimise: Optimise | None = None) -> Model:
    """Load a model by its name on the command line.

    Parameters
    ----------
    name : str
        A built-in name, one with a file of weights (``cnn14:FILE.pth``), a folder written by
        ``earwitness train``, or ``python:FILE.py:FUNCTION``, a function without parameters that
        returns a wrapped model.
    device : str
        Torch device of its network.
    optimise : bool or "compile", optional
        As for ``wrap``; the model's own setting if None.

    Raises
    ------
    ModelError, UnknownNameError
        If there is no such model, or it cannot be loaded.
    """
    if not isinstance(name, str):
        raise ModelError(f"a model is named by text, got {name!r}")
    check_device(device)
    if name.startswith("python:"):
        model = _from_python(name)
    elif name.partition(":")[0] in _wanting_files():
        model = _from_weights(*name.partition(":")[::2])
    elif os.path.isdir(name):
        from earwitness.models.zoo.checkpoint import load_checkpoint

        model = load_checkpoint(Path(name))
    elif "/" in name or "\\" in name:
        raise ModelError(f"{name}: no such model folder")
    else:
        model = MODELS.get(name).load()
    model.loaded = name
    if optimise is not None:
        model.optimise = optimise
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {device!r} cannot be used here: {reason(error)}") from error


def _wanting_files() -> list[str]:
    return [model.name for model in list_models() if model.needs_file]


def _from_weights(name: str, file: str) -> Model:
    if not file:
        raise ModelError(f"{name} comes without weights; name a file of them: {name}:FILE.pth")
    return MODELS.get(name).load(Path(file))


def _from_python(name: str) -> Model:
    try:
        _, file, function = name.split(":") if name.count(":") == 2 else name.rsplit(":", 2)
    except ValueError:
        raise ModelError(f"{name}: expected python:FILE.py:FUNCTION") from None
    path = Path(file)
    if not os.path.isfile(path):
        raise ModelError(f"{name}: no such file {file}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{name}: {file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        with same_folder():
            spec.loader.exec_module(module)
            make = getattr(module, function, None)
            if make is None:
                raise ModelError(f"{name}: {file} has no function {function}")
            model = make()
    except EarwitnessError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"{name}: {type(error).__name__} while making the model: {reason(error)}"
        ) from error
    finally:
        sys.path.remove(str(path.parent.resolve()))
    if not isinstance(model, Model):
        raise ModelError(
            f"{name}: {function} must return what earwitness.wrap returns, got "
            f"{type(model).__name__}"
        )
    model.source = digest_of([path, *_beside(path)])
    return model


def _beside(path: Path) -> list[Path]:
    """Return the files of the modules that were imported from the folder of a Python file."""
    folder = path.parent.resolve()
    files = {Path(str(module.__file__)) for module in list(sys.modules.values())
             if getattr(module, "__file__", None)}  # fmt: skip
    return sorted(
        file
        for file in files
        if file.is_relative_to(folder) and "site-packages" not in file.parts and file.is_file()
    )
