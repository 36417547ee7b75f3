"""ONNX files, evaluated by onnxruntime: black boxes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earwitness.errors import ModelError, reason
from earwitness.files import digest_of
from earwitness.models.adapters.graphs import Array, Graph, Port, choose_output, wrapped
from earwitness.models.adapters.registry import register
from earwitness.models.model import Model

_TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(int8)": np.int8, "tensor(int16)": np.int16, "tensor(int32)": np.int32,
    "tensor(int64)": np.int64, "tensor(uint8)": np.uint8, "tensor(bool)": np.bool_,
}  # fmt: skip
_TEXT = "tensor(string)"
_ERRORS_ONLY = 3  # level of onnxruntime's log


@register(
    "onnx",
    place="FILE.onnx",
    summary="an ONNX file, as a black box",
    needs=("onnxruntime",),
    extra="onnx",
    suffixes=(".onnx",),
)
def from_onnx(
    file: str, facts: dict[str, Any], *, waveform: str | None = None, select: str | None = None
) -> Model:
    """Load an ONNX file; rate, labels, output and task are read from its metadata if not given.

    Parameters
    ----------
    waveform : str
        Name of the input that takes the waveform.
    select : str
        Name of the output to explain.
    """
    name, path = f"onnx:{file}", Path(file)
    if not path.is_file():
        raise ModelError(f"{name}: no such file")
    session = open_session(path, name)
    metadata = session.get_modelmeta().custom_metadata_map
    found = session.get_outputs()
    chosen = [one for one in found if one.name == select]
    scores = [one for one in found if one.type != _TEXT]  # beside them, the name of a class
    outputs = [_port(one, name) for one in chosen or scores or found]
    number = choose_output(outputs, select, facts.get("labels"), name)

    def evaluate(given: Mapping[str, Array]) -> Array:
        values: Array = session.run([outputs[number].name], dict(given))[0]
        return values

    inputs = [_port(one, name) for one in session.get_inputs()]
    graph = Graph(
        inputs, evaluate, list(facts.get("extra", {})), waveform,
        per_frame=facts.get("per_frame", False), name=name,
    )  # fmt: skip
    model = wrapped(graph, facts, metadata, name, path.stem)
    beside = Path(f"{file}.data")  # weights of a large graph
    model.source = digest_of([path, *([beside] if beside.is_file() else [])])
    return model


def open_session(path: Path, name: str) -> Any:
    """Return an ``onnxruntime.InferenceSession`` of a file, on as many threads as torch has.

    Raises
    ------
    ModelError
        If it cannot be loaded.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has classes of its own, of no common root
        raise ModelError(f"{name}: cannot be loaded: {reason(error)}") from error


def _port(one: Any, name: str) -> Port:
    if one.type not in _TYPES:
        raise ModelError(
            f"{name}: {one.name} is {one.type} and no tensor of numbers; a classifier converted by "
            "skl2onnx needs zipmap=False"
        )
    shape = tuple(size if isinstance(size, int) else None for size in one.shape)
    return Port(one.name, shape, np.dtype(_TYPES[one.type]))
