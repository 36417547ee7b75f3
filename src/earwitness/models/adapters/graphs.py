"""Graphs with named inputs of fixed shapes, as in ONNX and TFLite files: how they are called.

A shape has None where any size fits. The waveform is the input of which only the axes of batch and
time are longer than one.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from earwitness.errors import ModelError
from earwitness.models.adapters.registry import need_rate, read_labels
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.registry import unknown
from earwitness.types import Output, Task

Array = NDArray[Any]
Shape = tuple[int | None, ...]
_MOST_BITS = 16  # of samples; wider integers have the scale of 16 bits
_LARGEST_BATCH = 16  # that a graph is made for; more rows are features
_LEAST = 0.01  # s of a waveform; fewer values are features
_KEYS = {
    "sample_rate": ("sample_rate", "sampling_rate", "samplerate", "rate", "sr"),
    "labels": ("labels", "names", "classes", "class_names", "id2label"),
    "output": ("output",),
    "task": ("task",),
}
_RATE = re.compile(r"[1-9][0-9]*(\.0*)?")
_WORDS = {"output": get_args(Output), "task": get_args(Task)}


@dataclass(frozen=True)
class Port:
    """An input or output of a graph: name, shape, and the type of numpy arrays for it."""

    name: str
    shape: Shape
    dtype: np.dtype[Any]


Evaluate = Callable[[Mapping[str, Array]], Array]


class Graph:
    """A graph as a function from waveforms (batch, samples) and constants to outputs.

    Parameters
    ----------
    inputs : sequence of Port
    evaluate : callable
        From arrays by the names of inputs to the output that is explained.
    constants : sequence of str
        Names of inputs that have constants.
    chosen : str or None
        Name of the waveform's input; by default the only one without a constant.
    per_frame : bool
    name : str
        For messages.

    Raises
    ------
    ModelError, UnknownNameError
        If other inputs have no constants, or the waveform's is no waveform.
    """

    def __init__(
        self, inputs: Sequence[Port], evaluate: Evaluate, constants: Sequence[str],
        chosen: str | None, *, per_frame: bool, name: str,
    ) -> None:  # fmt: skip
        self._ports = {port.name: port for port in inputs}
        for one in [*constants, *([chosen] if chosen else [])]:
            if one not in self._ports:
                raise unknown(f"input of {name}", one, self._ports)
        free = [one for one in inputs if one.name not in constants]
        if not free:
            raise ModelError(f"{name}: extra has constants for every input; leave one out")
        wave = next((one for one in free if one.name == chosen), free[0])
        others = [one for one in free if one is not wave]
        if others:
            example = json.dumps({one.name: 0 for one in others})
            shapes = ", ".join(f"{one.name} {_shown(one.shape)}" for one in free)
            raise ModelError(
                f"{name}: has the inputs {shapes}; all but the waveform need constants, as in "
                f"--model-set 'extra={example}' (a number fills the shape), and --model-set "
                "waveform=NAME names the waveform"
            )
        self.wave, self._evaluate, self._per_frame = wave, evaluate, per_frame
        self._axis = _time_axis(wave, name)
        self.samples = wave.shape[self._axis]

    def __call__(self, waves: Array, **constants: Any) -> Array:
        """Return outputs (batch, ...) for waves (batch, samples), in batches as the graph has."""
        batch = 1 if len(self.wave.shape) == 1 else self.wave.shape[0]
        whole = [name for name, value in constants.items() if self._whole(name, value)]
        size = batch or (1 if whole else len(waves))
        found = []
        for start in range(0, len(waves), size):
            some = waves[start : start + size]
            count = len(some)
            if count < size:
                some = np.concatenate([some, np.zeros((size - count, waves.shape[1]), some.dtype)])
            given = {self.wave.name: self._arranged(some)}
            for name, value in constants.items():
                rows = value
                if isinstance(value, np.ndarray):
                    rows = value[np.minimum(np.arange(start, start + size), len(value) - 1)]
                given[name] = self._constant(name, rows, size)
            outputs = np.asarray(self._evaluate(given))
            found.append(self._batched(outputs, size)[:count])
        return np.concatenate(found)

    def _whole(self, name: str, value: Any) -> bool:
        """Whether a constant is the whole array that the graph takes, for one sound only."""
        shape = self._ports[name].shape
        if isinstance(value, np.ndarray):
            return 0 < len(shape) < value.ndim
        return len(shape) > 0 and None not in shape

    def _constant(self, name: str, value: Any, size: int) -> Array:
        """Return a constant in the shape and type of its input."""
        port = self._ports[name]
        array = np.asarray(value)
        if array.ndim == len(port.shape) + 1:
            array = array[0]
        elif array.ndim == 0:
            array = np.broadcast_to(array, tuple(one or size for one in port.shape))
        return np.ascontiguousarray(array.astype(port.dtype))

    def _arranged(self, waves: Array) -> Array:
        """Return waves (batch, samples) in the shape and type of the input."""
        shape = [1] * len(self.wave.shape)
        shape[self._axis] = waves.shape[1]
        if len(shape) > 1:
            shape[0] = len(waves)
        if self.wave.dtype.kind in "iu":
            full = 2 ** (min(8 * self.wave.dtype.itemsize, _MOST_BITS) - 1)
            waves = np.clip(np.round(waves * (full - 1)), -full, full - 1)
            waves = waves + full if self.wave.dtype.kind == "u" else waves
        return np.ascontiguousarray(waves.reshape(shape).astype(self.wave.dtype))

    def _batched(self, outputs: Array, size: int) -> Array:
        """Return outputs with an axis of the batch, where a graph for one sound has none."""
        wanted = 2 + self._per_frame
        alone = len(self.wave.shape) == 1 and (outputs.ndim < wanted or len(outputs) != 1)
        return outputs[None] if alone or (size == 1 and outputs.ndim == wanted - 1) else outputs


def wrapped(
    graph: Graph, facts: Mapping[str, Any], metadata: Mapping[str, str], name: str, place: str
) -> Model:
    """Return a graph as a black box, with facts given and else read from its metadata."""
    known = {**read_metadata(metadata), **facts}
    need_rate(known, name)
    if graph.samples is not None:
        seconds = graph.samples / known["sample_rate"]
        if seconds < _LEAST:
            raise no_waveform(name, graph.wave)
        known["lengths"] = (seconds, seconds)
    return wrap(graph, name=place, **known)


def read_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return keyword arguments for ``wrap`` from the metadata of a file; what is unclear is left.

    ``names`` may be JSON, as ``id2label`` is, or a dictionary as Python writes it.
    """
    found: dict[str, Any] = {}
    for fact, keys in _KEYS.items():
        texts = [metadata[key].strip() for key in keys if metadata.get(key)]
        if fact == "labels":
            texts = [text for text in texts if not text.isdecimal()]  # a number of classes
        text = next(iter(texts), "")
        if fact == "sample_rate" and _RATE.fullmatch(text):
            found[fact] = int(text.partition(".")[0])
        elif text in _WORDS.get(fact, ()):
            found[fact] = text
        elif fact == "labels" and text:
            found[fact] = _written(text)
    return found


def choose_output(ports: Sequence[Port], chosen: str | None, labels: Any, name: str) -> int:
    """Return which output is explained: the one named, the only one of floats, or that as labels.

    Raises
    ------
    UnknownNameError, ModelError
        If there is none of that name, or several are possible.
    """
    if chosen is not None:
        names = [port.name for port in ports]
        if chosen not in names:
            raise unknown(f"output of {name}", chosen, names)
        return names.index(chosen)
    floats = [k for k, port in enumerate(ports) if port.dtype.kind == "f"] or [*range(len(ports))]
    if labels is not None and len(floats) > 1:
        floats = [k for k in floats if ports[k].shape[-1:] == (len(labels),)] or floats
    if len(floats) > 1:
        shapes = ", ".join(f"{ports[k].name} {_shown(ports[k].shape)}" for k in floats)
        raise ModelError(f"{name}: has the outputs {shapes}; choose one with select=NAME")
    return floats[0]


def _time_axis(wave: Port, name: str) -> int:
    """Return the axis of time: the last, or the one before if the last is of one channel."""
    shape = wave.shape
    rank = len(shape)
    axis = rank - 2 if rank > 2 and shape[-1] == 1 else rank - 1
    others = [size for k, size in enumerate(shape[1:], start=1) if k != axis]
    if not 1 <= rank <= 3 or any(size not in (None, 1) for size in others):
        raise no_waveform(name, wave)
    if wave.dtype.kind not in "fiu":
        raise no_waveform(name, wave)
    if rank > 1 and (shape[0] or 1) > _LARGEST_BATCH and shape[axis] is None:
        raise no_waveform(name, wave)
    return axis


def no_waveform(name: str, wave: Port) -> ModelError:
    """Return the error for an input that takes features."""
    return ModelError(
        f"{name}: its input {wave.name} {_shown(wave.shape)} is no waveform; compute its features "
        "in a function, python:FILE.py:FUNCTION"
    )


def _shown(shape: Shape) -> str:
    return f"({', '.join('?' if one is None else str(one) for one in shape)})"


def _written(text: str) -> Any:
    try:
        return read_labels(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return [part.strip() for part in text.split(",")]
