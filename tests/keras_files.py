"""Files of weights of MOSNet as versions of Keras write them, with numbers at random."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, Any]
LAYOUTS = ("weights", "later names", "model", "keras 3", "archive")


def arrays_of(variant: str, seed: int = 0) -> Arrays:
    """Return layers in their order: (kernel, bias), or (kernel, recurrent kernel, bias)."""
    rng = np.random.default_rng(seed)

    def array(*shape: int) -> Any:
        size = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.1
        return (size * rng.standard_normal(shape)).astype(np.float32)

    layers: Arrays = {}
    width = 257
    if variant != "blstm":
        before = 1
        for number in range(12):
            channels = 16 * 2 ** (number // 3)
            layers[f"conv {number}"] = array(3, 3, before, channels), array(channels)
            before = channels
        width = 512
    if variant != "cnn":
        for side in ("forward", "backward"):
            layers[side] = array(width, 512), array(128, 512), array(512)
        width = 256
    units = 128 if variant == "cnn-blstm" else 64
    layers["dense"] = array(width, units), array(units)
    layers["frame"] = array(units, 1), array(1)
    return layers


def write(path: Path, layers: Arrays, layout: str) -> Path:
    """Write layers to a file in one of the layouts, with an optimiser's arrays beside them."""
    import h5py

    inside = path.with_suffix(".inside.h5") if layout == "archive" else path
    with h5py.File(inside, "w") as file:
        for name, some in layers.items():
            parts = ["kernel", "recurrent_kernel", "bias"] if len(some) == 3 else ["kernel", "bias"]
            for number, (part, array) in enumerate(zip(parts, some, strict=True)):
                file[_place(layout, name, part, number)] = array
        if layout == "model":
            file["optimizer_weights/training/Adam/conv2d/kernel/m:0"] = np.zeros((3, 3, 1, 16))
            file.attrs["model_config"] = b"{}"
        if layout in ("keras 3", "archive"):
            file["optimizer/vars/1"] = np.zeros((3, 3, 1, 16), np.float32)
            file["layers/input_layer/vars"] = h5py.Empty("f4")
    if layout == "archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(inside, "model.weights.h5")
            archive.writestr("config.json", "{}")
        inside.unlink()
    return path


def _place(layout: str, name: str, part: str, number: int) -> str:
    first = {"later names": 12, "model": 24}.get(layout, 0)
    kind, _, count = name.partition(" ")

    def counted(text: str, extra: int = 0) -> str:
        place = int(count or 0) + first + extra
        return f"{text}_{place}" if place else text

    if layout in ("keras 3", "archive"):
        side = f"layers/bidirectional/{kind}_layer/cell"
        layer = {"conv": counted("layers/conv2d"), "dense": "layers/time_distributed_1/layer"}
        whole = layer.get(kind, side if kind.endswith("ward") else f"layers/{kind}")
        return f"{whole}/vars/{number}"
    cell = counted("lstm_cell", 1) + "/" if layout == "model" else ""
    side = f"{counted('bidirectional')}/{counted('bidirectional')}/{counted(kind + '_lstm')}/{cell}"
    layer = {
        "conv": f"{counted('conv2d')}/{counted('conv2d')}/",
        "dense": f"{counted('time_distributed', 1)}/{counted('time_distributed', 1)}/",
        "frame": "frame/frame/",
    }
    whole = layer.get(kind, side)
    return ("model_weights/" if layout == "model" else "") + f"{whole}{part}:0"
