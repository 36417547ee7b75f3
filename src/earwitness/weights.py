"""Files of weights, checked when they are read; no code in them is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from earwitness.errors import EarwitnessError, ModelError
from earwitness.files import replacing, unwritable


def read_torch(path: Path, *, error: type[EarwitnessError] = ModelError) -> Any:
    """Return what ``torch.save`` wrote, if it consists of tensors and plain values.

    Raises
    ------
    EarwitnessError
        ``error``, if there is no such file, or it cannot be read without running code in it.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise error(f"{path}: no such file of weights") from None
    except Exception as reason:  # of any kind, from a file that may hold anything
        raise error(
            f"{path}: damaged, or not a file of weights that torch reads safely; remove it or "
            "name another"
        ) from reason


@contextmanager
def folder_of(what: str, folder: Path, weights: str) -> Iterator[None]:
    """Say in one line what is wrong with a folder of trained weights that is read in the context.

    Parameters
    ----------
    what : str
        What the folder holds: ``decoder``.
    weights : str
        Name of its file of weights, for an error that does not name the missing file.

    Raises
    ------
    ModelError
        If a file is missing, damaged, or does not fit the others.
    """
    try:
        yield
    except FileNotFoundError as error:
        missing = Path(str(error.filename or weights)).name
        raise ModelError(f"{folder}: no {what} in this folder ({missing} is missing)") from error
    except ModelError:
        raise
    except Exception as error:  # of any kind: a damaged file may hold anything
        raise ModelError(
            f"{folder}: the {what}'s files are damaged or do not fit each other"
        ) from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as partial:
            save_file({name: one.contiguous().cpu() for name, one in tensors.items()}, partial)
    except SafetensorError as error:  # a full disk
        raise unwritable(path, error) from error


def check_shapes(network: nn.Module, path: Path) -> None:
    """Raise ``ValueError`` if a file of safetensors does not fit a network on the device ``meta``.

    A description that asks for a network of any size is refused before memory is taken for it.
    """
    wanted = {name: tuple(one.shape) for name, one in network.state_dict().items()}
    with safe_open(path, "pt") as file:
        there = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    if wanted != there:
        name = min(name for name in wanted | there if wanted.get(name) != there.get(name))
        raise ValueError(f"{name} is {there.get(name)} in {path.name}, not {wanted.get(name)}")
