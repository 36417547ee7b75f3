"""TorchScript files, and programs of ``torch.export``: networks without visible layers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from earwitness.errors import ModelError, reason
from earwitness.models.adapters.registry import need_rate, quiet_loggers, register
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap

_LEAST = 0.01  # s of a waveform; fewer values are features


@register(
    "torchscript",
    place="FILE.pt",
    summary="a network saved by torch.jit.save, frozen or not; methods that need no layers",
    suffixes=(".pt", ".pth", ".jit", ".ts"),
)
def from_torchscript(file: str, facts: dict[str, Any]) -> Model:
    """Load a TorchScript file."""
    name, path = f"torchscript:{file}", Path(file)
    need_rate(facts, name)
    if not path.is_file():
        raise ModelError(f"{name}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that it is deprecated at all
            network = torch.jit.load(file, map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"{name}: no TorchScript that can be loaded ({reason(error)}); of a file of weights or "
            "a pickle, build the network in a function, python:FILE.py:FUNCTION"
        ) from error
    return wrap(network, name=path.stem, **facts)


@register(
    "export",
    place="FILE.pt2",
    summary="a program saved by torch.export.save; methods that need no layers",
    suffixes=(".pt2",),
)
def from_export(file: str, facts: dict[str, Any], *, trust_code: bool = False) -> Model:
    """Load a program of ``torch.export``.

    Parameters
    ----------
    trust_code : bool
        That code in the file may run; torch unpickles parts of it.
    """
    name, path = f"export:{file}", Path(file)
    need_rate(facts, name)
    if not path.is_file():
        raise ModelError(f"{name}: no such file")
    need_trust(name, trust_code)
    try:
        with quiet_loggers():
            program = torch.export.load(file)
    except Exception as error:  # of any kind, from a file that may hold anything
        raise ModelError(f"{name}: cannot be loaded: {reason(error)}") from error
    shape = _shape(program)
    if not shape:
        raise ModelError(f"{name}: takes no waveform; its first input is no tensor with axes")
    batch, samples = shape[0], shape[-1]
    if samples is not None and samples < _LEAST * facts["sample_rate"]:
        raise ModelError(
            f"{name}: its input of {samples} values is no waveform; compute its features in a "
            "function, python:FILE.py:FUNCTION"
        )
    if samples is not None:
        facts = {**facts, "lengths": (samples / facts["sample_rate"],) * 2}
    if batch not in (None, 1):
        raise ModelError(
            f"{name}: takes batches of {batch} only; export it with a dynamic batch, or one of 1"
        )
    return wrap(program, name=path.stem, **{"batch": batch, **facts})


def need_trust(name: str, trusted: bool) -> None:
    """Raise ``ModelError`` unless code in a file may run."""
    if not trusted:
        raise ModelError(
            f"{name}: loading it runs code that is in the file; if you trust it, add --trust-code, "
            "or load_model(..., trust_code=True)"
        )


def _shape(program: Any) -> list[int | None]:
    """Return the shape of a program's first input, None for sizes that are not fixed."""
    first = next(iter(program.graph_signature.user_inputs), None)
    node = next((one for one in program.graph.nodes if one.name == first), None)
    value = None if node is None else node.meta.get("val")
    return [size if isinstance(size, int) else None for size in getattr(value, "shape", ())]
