"""MOSNet's weights in files of Keras: of weights alone, of the whole model, and of Keras 3.

Names differ between versions of TensorFlow and Keras, and count up when several models were made;
so arrays are recognised by their shapes, and layers of the same shape by the order of their names.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earwitness.errors import EarwitnessError, ModelError, reason
from earwitness.models.zoo.mosnet import LSTM, MOSNet

_INSIDE = "model.weights.h5"  # in the archive of Keras 3
_GATES = 4 * LSTM
Array = NDArray[np.float32]


def load_keras(path: Path) -> MOSNet:
    """Return the network whose weights are in a file.

    Raises
    ------
    ModelError
        If the file cannot be read, or does not hold weights of MOSNet.
    """
    arrays = _arrays(path)
    try:
        return _network(arrays)
    except EarwitnessError:
        raise
    except Exception as error:  # of any kind, from a file that may hold anything
        raise ModelError(f"{path}: no weights of MOSNet ({reason(error)})") from error


def _arrays(path: Path) -> dict[str, Array]:
    """Return the arrays of a file by their paths in it, without those of an optimiser."""
    try:
        import h5py
    except ImportError:
        raise ModelError(
            f"mosnet:{path} needs h5py, not installed here: pip install 'earwitness[mosnet]'"
        ) from None
    if not path.is_file():
        raise ModelError(f"{path}: no such file of weights")
    found: dict[str, Array] = {}

    def add(name: str, one: Any) -> None:
        if not isinstance(one, h5py.Dataset) or one.shape is None or "optimizer" in name:
            return
        if one.dtype.kind == "f":
            found[name] = np.asarray(one, dtype=np.float32)

    try:
        source: Any = path
        if zipfile.is_zipfile(path):
            source = io.BytesIO(zipfile.ZipFile(path).read(_INSIDE))
        with h5py.File(source, "r") as file:
            file.visititems(add)
    except Exception as error:
        raise ModelError(f"{path}: damaged, or no HDF5 file of Keras") from error
    return found


def _network(arrays: Mapping[str, Array]) -> MOSNet:
    layers = _layers(arrays)
    convolutions = [one for one in layers if one["kernel"].ndim == 4]
    recurrent = [one for one in layers if "recurrent" in one]
    dense = [one for one in layers if one["kernel"].ndim == 2 and "recurrent" not in one]
    variant = {(True, False): "cnn", (False, True): "blstm", (True, True): "cnn-blstm"}.get(
        (bool(convolutions), bool(recurrent))
    )
    if variant is None:
        raise ValueError("neither convolutions nor an LSTM")
    network = MOSNet(variant)
    state: dict[str, Tensor] = {}
    for number, one in enumerate(convolutions):
        state[f"convs.{number}.weight"] = torch.from_numpy(one["kernel"]).permute(3, 2, 0, 1)
        state[f"convs.{number}.bias"] = torch.from_numpy(one["bias"])
    backward = [one for one in recurrent if "backward" in one["name"]]
    forward = [one for one in recurrent if "backward" not in one["name"]]
    for ending, some in (("", forward), ("_reverse", backward)):
        for one in some:
            bias = torch.from_numpy(one["bias"])
            state[f"rnn.weight_ih_l0{ending}"] = torch.from_numpy(one["kernel"]).T
            state[f"rnn.weight_hh_l0{ending}"] = torch.from_numpy(one["recurrent"]).T
            state[f"rnn.bias_ih_l0{ending}"] = bias
            state[f"rnn.bias_hh_l0{ending}"] = torch.zeros_like(bias)
    for one in dense:
        name = "frame" if one["kernel"].shape[1] == 1 else "dense"
        state[f"{name}.weight"] = torch.from_numpy(one["kernel"]).T
        state[f"{name}.bias"] = torch.from_numpy(one["bias"])
    network.load_state_dict(state)
    return network


def _layers(arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Return the layers in the order of their names: kernel, bias and, of an LSTM, recurrent."""
    groups: dict[str, list[Array]] = {}
    for name, array in arrays.items():
        groups.setdefault(name.rpartition("/")[0], []).append(array)
    layers = []
    for name in sorted(groups, key=_natural):
        matrices = [one for one in groups[name] if one.ndim > 1]
        biases = [one for one in groups[name] if one.ndim == 1]
        if not matrices or len(biases) != 1 or len(matrices) > 2:
            raise ValueError(f"{name or 'the file'} is no layer of it")
        layer: dict[str, Any] = {"name": name, "bias": biases[0]}
        for one in matrices:
            own = one.shape == (LSTM, _GATES)
            layer["recurrent" if own else "kernel"] = one
        layers.append(layer)
    return layers


def _natural(name: str) -> list[tuple[str, int]]:
    """Return a key that orders ``conv2d``, ``conv2d_2`` and ``conv2d_10`` so."""
    parts = []
    for part in name.split("/"):
        match = re.fullmatch(r"(.*?)(?:_(\d+))?", part)
        assert match is not None
        parts.append((match[1], int(match[2] or 0)))
    return parts
