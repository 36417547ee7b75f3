"""Writes TFLite files, since the packages that convert to them bring another framework along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import torch

from tests.converted import Whole

FLOAT, INT8, INT32 = 0, 9, 2
CODES = {
    "add": 0, "average": 1, "concat": 2, "conv": 3, "dense": 9, "logistic": 14, "mul": 18,
    "reshape": 22, "softmax": 25, "pad": 34, "transpose": 39, "mean": 40, "log": 73, "sum": 74,
    "sqrt": 75, "maximum": 82,
}  # fmt: skip
OPTIONS = {"add": 11, "average": 5, "concat": 10, "conv": 1, "dense": 8, "mul": 21, "softmax": 9,
           "mean": 27, "sum": 27, "maximum": 27}  # fmt: skip
SAME, VALID = 0, 1


class Tape:
    """A graph that is written operation by operation; tensors are numbers."""

    def __init__(self, *shape: int, quantised: tuple[float, int] | None = None) -> None:
        self.tensors: list[dict[str, Any]] = []
        self.buffers: list[bytes] = [b""]
        self.calls: list[tuple[str, list[int], int, dict[int, tuple[str, Any]]]] = []
        self.inputs = [self._tensor(shape, "wave", quantised=quantised)]

    def _tensor(
        self, shape: Sequence[int], name: str, buffer: int = 0, kind: int = FLOAT,
        quantised: tuple[float, int] | None = None,
    ) -> int:  # fmt: skip
        kind = INT8 if quantised else kind
        self.tensors.append({"shape": tuple(shape), "name": name, "buffer": buffer, "kind": kind,
                             "quantised": quantised})  # fmt: skip
        return len(self.tensors) - 1

    def constant(self, values: Any) -> int:
        array = np.asarray(values)
        array = array.astype(np.int32 if array.dtype.kind == "i" else np.float32)
        self.buffers.append(array.tobytes())
        kind = INT32 if array.dtype == np.int32 else FLOAT
        return self._tensor(array.shape, f"c{len(self.buffers)}", len(self.buffers) - 1, kind)

    def call(
        self, name: str, shape: Sequence[int], *inputs: int, **options: Any
    ) -> int:  # fmt: skip
        found = self._tensor(shape, f"{name}{len(self.tensors)}")
        self.calls.append((name, list(inputs), found, _options(name, options)))
        return found

    def shape(self, tensor: int) -> tuple[int, ...]:
        return self.tensors[tensor]["shape"]

    def write(self, path: Path, *outputs: int) -> str:
        path.write_bytes(_packed(self, list(outputs)))
        return f"tflite:{path}"


def _options(name: str, given: dict[str, Any]) -> dict[int, tuple[str, Any]]:
    """Return the fields of the options' table: slot to type and value."""
    if name == "conv":
        return {0: ("Int8", given["padding"]), 1: ("Int32", given.get("stride", 1)),
                2: ("Int32", given.get("stride", 1)), 3: ("Int8", int(given.get("relu", False))),
                4: ("Int32", 1), 5: ("Int32", 1)}  # fmt: skip
    if name == "average":
        return {0: ("Int8", SAME), 1: ("Int32", 2), 2: ("Int32", 2), 3: ("Int32", 2),
                4: ("Int32", 2)}  # fmt: skip
    if name == "concat":
        return {0: ("Int32", given["axis"])}
    if name == "softmax":
        return {0: ("Float32", 1.0)}
    return {}


def _packed(tape: Tape, outputs: list[int]) -> bytes:
    b = flatbuffers.Builder(1 << 20)

    def vector(values: Sequence[int], write: str = "Int32") -> int:
        b.StartVector(4, len(values), 4)
        for value in reversed(values):
            getattr(b, f"Prepend{write}")(value)
        return b.EndVector()

    def offsets(values: Sequence[int]) -> int:
        return vector(values, "UOffsetTRelative")

    buffers = []
    for data in tape.buffers:
        stored = None
        if data:
            b.StartVector(1, len(data), 16)
            b.head = b.head - len(data)
            b.Bytes[b.head : b.head + len(data)] = data
            stored = b.EndVector()
        b.StartObject(3)
        if stored is not None:
            b.PrependUOffsetTRelativeSlot(0, stored, 0)
        buffers.append(b.EndObject())
    tensors = []
    for one in tape.tensors:
        shape, name, quantised = vector(one["shape"]), b.CreateString(one["name"]), None
        if one["quantised"]:
            scale, zero = one["quantised"]
            b.StartVector(4, 1, 4)
            b.PrependFloat32(scale)
            scales = b.EndVector()
            b.StartVector(8, 1, 8)
            b.PrependInt64(zero)
            zeros = b.EndVector()
            b.StartObject(7)
            b.PrependUOffsetTRelativeSlot(2, scales, 0)
            b.PrependUOffsetTRelativeSlot(3, zeros, 0)
            quantised = b.EndObject()
        b.StartObject(8)
        b.PrependUOffsetTRelativeSlot(0, shape, 0)
        b.PrependInt8Slot(1, one["kind"], 0)
        b.PrependUint32Slot(2, one["buffer"], 0)
        b.PrependUOffsetTRelativeSlot(3, name, 0)
        if quantised is not None:
            b.PrependUOffsetTRelativeSlot(4, quantised, 0)
        tensors.append(b.EndObject())
    codes = list(dict.fromkeys(call[0] for call in tape.calls))
    calls = []
    for name, inputs, output, fields in tape.calls:
        ins, outs = vector(inputs), vector([output])
        b.StartObject(6)
        for slot, (kind, value) in fields.items():
            getattr(b, f"Prepend{kind}Slot")(slot, value, None)
        options = b.EndObject()
        b.StartObject(9)
        b.PrependUint32Slot(0, codes.index(name), 0)
        b.PrependUOffsetTRelativeSlot(1, ins, 0)
        b.PrependUOffsetTRelativeSlot(2, outs, 0)
        if name in OPTIONS:
            b.PrependUint8Slot(3, OPTIONS[name], 0)
            b.PrependUOffsetTRelativeSlot(4, options, 0)
        calls.append(b.EndObject())
    parts = [offsets(tensors), vector(tape.inputs), vector(outputs), offsets(calls)]
    b.StartObject(5)
    for slot, part in enumerate(parts):
        b.PrependUOffsetTRelativeSlot(slot, part, 0)
    graph = offsets([b.EndObject()])
    numbers = []
    for name in codes:
        b.StartObject(4)
        b.PrependInt8Slot(0, CODES[name], 0)
        b.PrependInt32Slot(2, 1, 0)
        b.PrependInt32Slot(3, CODES[name], 0)
        numbers.append(b.EndObject())
    table, stored = offsets(numbers), offsets(buffers)
    b.StartObject(8)
    b.PrependUint32Slot(0, 3, 0)
    b.PrependUOffsetTRelativeSlot(1, table, 0)
    b.PrependUOffsetTRelativeSlot(2, graph, 0)
    b.PrependUOffsetTRelativeSlot(4, stored, 0)
    b.Finish(b.EndObject(), b"TFL3")
    return bytes(b.Output())


def converted(whole: Whole, path: Path) -> str:
    """Write the default model with its transform as a TFLite file, operation by operation."""
    network: Any = whole.network
    before, samples = whole.half, whole.samples
    after = (whole.frames - 1) * whole.hop - samples + whole.half
    tape, frames, mels = Tape(1, samples), whole.frames, len(whole.frontend.filters)
    x = tape.call("reshape", (1, 1, samples, 1), tape.inputs[0], tape.constant([1, 1, samples, 1]))
    pads = [[0, 0], [0, 0], [before, after], [0, 0]]
    x = tape.call("pad", (1, 1, samples + before + after, 1), x, tape.constant(pads))
    squares = []
    for one in (whole.cosine, whole.sine):
        kernel = one.numpy().transpose(0, 2, 1)[:, None]  # (out, 1, time, 1)
        bins = len(kernel)
        bias = tape.constant(np.zeros(bins))
        b = tape.call("conv", (1, 1, frames, bins), x, tape.constant(kernel), bias,
                      padding=VALID, stride=whole.hop)  # fmt: skip
        squares.append(tape.call("mul", (1, 1, frames, bins), b, b))
    x = tape.call("add", (1, 1, frames, bins), *squares)
    x = tape.call("sqrt", (1, 1, frames, bins), x)
    filters = whole.frontend.filters.numpy()[:, None, None]
    x = tape.call("conv", (1, 1, frames, mels), x, tape.constant(filters / whole.frontend.floor),
                  tape.constant(np.ones(mels)), padding=VALID)  # fmt: skip
    x = tape.call("log", (1, 1, frames, mels), x)
    x = tape.call("transpose", (1, mels, frames, 1), x, tape.constant([0, 3, 2, 1]))
    scale, shift = _norm(network.scale)
    x = tape.call("mul", (1, mels, frames, 1), x, tape.constant(scale))
    x = tape.call("add", (1, mels, frames, 1), x, tape.constant(shift))
    for block in network.blocks:
        _, height, width, channels = tape.shape(x)
        if isinstance(block, torch.nn.AvgPool2d):
            x = tape.call("average", (1, -(-height // 2), -(-width // 2), channels), x)
            continue
        scale, shift = _norm(block[1])
        kernel = block[0].weight.detach().numpy() * scale[:, None, None, None]
        x = tape.call("conv", (1, height, width, len(kernel)), x,
                      tape.constant(kernel.transpose(0, 2, 3, 1)), tape.constant(shift),
                      padding=SAME, relu=True)  # fmt: skip
    _, _, width, channels = tape.shape(x)
    x = tape.call("mean", (1, width, channels), x, tape.constant([1]))
    pooled = [tape.call(one, (1, channels), x, tape.constant([1])) for one in ("mean", "maximum")]
    x = tape.call("add", (1, channels), *pooled)
    head = [one.detach().numpy() for one in (network.head.weight, network.head.bias)]
    x = tape.call("dense", (1, len(head[1])), x, *map(tape.constant, head))
    return tape.write(path, x)


def _norm(norm: Any) -> tuple[Any, Any]:
    """Return the factor and the summand of a batch norm."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - scale * norm.running_mean
    return scale.detach().numpy(), shift.detach().numpy()
