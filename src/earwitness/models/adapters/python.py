"""A function in a Python file that makes a model."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from earwitness.errors import EarwitnessError, ModelError, reason
from earwitness.files import digest_of, same_folder
from earwitness.models.adapters.registry import need_rate, register
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap


@register(
    "python",
    place="FILE.py:FUNCTION",
    summary="what a function without parameters returns: a wrapped model, or one to wrap",
    suffixes=(".py",),
)
def from_python(place: str, facts: dict[str, Any]) -> Model:
    """Call a function of a Python file; what is no wrapped model yet is wrapped with the options.

    Raises
    ------
    ModelError
        If there is no such file or function, it fails, or returns something else.
    """
    name = f"python:{place}"
    file, colon, function = place.rpartition(":")
    if not colon:
        raise ModelError(f"{name}: expected python:FILE.py:FUNCTION")
    path = Path(file)
    if not os.path.isfile(path):
        raise ModelError(f"{name}: no such file {file}")
    make = made_by(name, path, function)
    try:
        with same_folder(), _found_beside(path):
            model = make()
    except EarwitnessError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"{name}: {type(error).__name__} while making the model: {reason(error)}"
        ) from error
    if not isinstance(model, Model) and callable(model) and facts:
        need_rate(facts, name)
        model = wrap(model, **facts)
    elif isinstance(model, Model) and facts:
        raise ModelError(f"{name}: {function} returns a wrapped model, which takes no options")
    if not isinstance(model, Model):
        text = f"must return what earwitness.wrap returns, got {type(model).__name__}"
        if callable(model):
            text += "; give its sampling rate to have it wrapped, as in --model-set rate=16000 or "
            text += "load_model(..., rate=16000)"
        raise ModelError(f"{name}: {function} {text}")
    model.source = digest_of([path, *_beside(path)])
    return model


def made_by(name: str, path: Path, function: str) -> Callable[..., Any]:
    """Return a function of a Python file, with the file's folder among those imported from.

    Raises
    ------
    ModelError
        If the file cannot be run, or has no such function.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{name}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        with same_folder(), _found_beside(path):
            spec.loader.exec_module(module)
    except EarwitnessError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"{name}: {type(error).__name__} while making the model: {reason(error)}"
        ) from error
    found = getattr(module, function, None)
    if not callable(found):
        raise ModelError(f"{name}: {path} has no function {function}")
    return found


@contextmanager
def _found_beside(path: Path) -> Iterator[None]:
    """Import from the folder of a file too."""
    folder = str(path.parent.resolve())  # the file may change the current one
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


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
