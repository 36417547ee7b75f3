"""TFLite files, evaluated by ai-edge-litert: black boxes."""

from __future__ import annotations

import zipfile
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


@register(
    "tflite",
    place="FILE.tflite",
    summary="a TFLite file, as a black box",
    needs=("ai_edge_litert",),
    extra="tflite",
    suffixes=(".tflite",),
)
def from_tflite(
    file: str, facts: dict[str, Any], *, waveform: str | None = None, select: str | None = None
) -> Model:
    """Load a TFLite file; labels are read from a list of them in the file, if it has one.

    Parameters
    ----------
    waveform : str
        Name of the input that takes the waveform.
    select : str
        Name of the output to explain.
    """
    from ai_edge_litert.interpreter import Interpreter

    name, path = f"tflite:{file}", Path(file)
    if not path.is_file():
        raise ModelError(f"{name}: no such file")
    try:
        runner = Runner(Interpreter(model_path=file, num_threads=torch.get_num_threads()))
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{name}: cannot be loaded: {reason(error)}") from error
    runner.number = choose_output(runner.outputs, select, facts.get("labels"), name)
    graph = Graph(
        runner.inputs, runner, list(facts.get("extra", {})), waveform,
        per_frame=facts.get("per_frame", False), name=name,
    )  # fmt: skip
    model = wrapped(graph, facts, _metadata(path), name, path.stem)
    model.source = digest_of([path])
    return model


class Runner:
    """Evaluates an interpreter on arrays by the names of inputs.

    Inputs and outputs of eight bits are floats outside: scale and zero point of the file apply.
    """

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        interpreter.allocate_tensors()
        self._inputs = interpreter.get_input_details()
        self._outputs = interpreter.get_output_details()
        self.inputs = [_port(one) for one in self._inputs]
        self.outputs = [_port(one) for one in self._outputs]
        self.number = 0

    def __call__(self, given: Mapping[str, Array]) -> Array:
        """Return the chosen output."""
        resized = False
        for one in self._inputs:
            shape = given[one["name"]].shape
            if tuple(one["shape"]) != shape:
                self._interpreter.resize_tensor_input(one["index"], shape)
                resized = True
        if resized:
            self._interpreter.allocate_tensors()
            self._inputs = self._interpreter.get_input_details()
        for one in self._inputs:
            self._interpreter.set_tensor(one["index"], _quantised(given[one["name"]], one))
        self._interpreter.invoke()
        one = self._outputs[self.number]
        found: Array = self._interpreter.get_tensor(one["index"])
        scale, zero = one["quantization"]
        return (found.astype(np.float32) - zero) * np.float32(scale) if scale else found.copy()


def _port(one: dict[str, Any]) -> Port:
    signature = one.get("shape_signature", one["shape"])
    shape = tuple(None if size < 0 else int(size) for size in signature)
    floats = bool(one["quantization"][0])
    return Port(one["name"], shape, np.dtype(np.float32 if floats else one["dtype"]))


def _quantised(array: Array, one: dict[str, Any]) -> Array:
    scale, zero = one["quantization"]
    if not scale:
        return array
    limits = np.iinfo(one["dtype"])
    return np.clip(np.round(array / scale) + zero, limits.min, limits.max).astype(one["dtype"])


def _metadata(path: Path) -> dict[str, str]:
    """Return the labels in a file; TFLite's metadata is a ZIP archive at the end of the model."""
    if not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".txt")]
        lists = [name for name in names if "label" in name.lower()] or names
        return {"labels": archive.read(lists[0]).decode("utf-8-sig", "replace")} if lists else {}
