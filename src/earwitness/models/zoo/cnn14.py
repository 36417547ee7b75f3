"""CNN14 of PANNs: a large convolutional network for sound events, trained on AudioSet.

Kong et al.: PANNs: Large-Scale Pretrained Audio Neural Networks for Audio Pattern Recognition,
2020, table I and section III. Nothing is downloaded: the published weights are read from a file
that the user names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.errors import ModelError
from earwitness.files import read_table
from earwitness.models.adapters.spectral import SpectralModel
from earwitness.models.model import Model
from earwitness.models.registry import register
from earwitness.plane.mel import mel_filterbank
from earwitness.plane.stft import Plane
from earwitness.types import Output, Task
from earwitness.weights import read_torch

WIDTHS = (64, 128, 256, 512, 1024, 2048)
_RATE = 32000  # Hz; this and the following as published
_N_FFT = 1024  # samples
_HOP = 320  # samples, 10 ms
MELS = 64  # bands
_LOWEST_HZ, _HIGHEST_HZ = 50.0, 14000.0  # Hz, of the mel bands
_LEAST_POWER = 1e-10  # floor of the logarithm, -100 dB
_LONGEST_SECONDS = 10.0  # s, length of the training clips
_LABELS = "class_labels_indices.csv"


class LogPowerMel(nn.Module):
    """Decibels of the power in 64 mel bands from 50 Hz to 14 kHz, floored at -100 dB.

    The window of the transform is not normalised, as the published weights require: a full-scale
    sine gives about +48 dB before the bands are weighted.
    """

    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.plane = Plane(_RATE, _N_FFT, _HOP)
        self.window = _N_FFT / 2  # sum of the window that the plane divides by
        filters = mel_filterbank(self.plane, MELS, _LOWEST_HZ, _HIGHEST_HZ)
        self.register_buffer("filters", filters.float(), persistent=False)

    def forward(self, magnitude: Tensor) -> Tensor:
        """Map magnitude (batch, freq, frame) to features (batch, 1, mel, frame)."""
        bands = self.filters @ (magnitude * self.window).square()
        return 10 * bands.clamp(min=_LEAST_POWER).log10().unsqueeze(1)


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, each with batch norm and ReLU, then an average over ``pool`` cells."""

    def __init__(self, inputs: int, outputs: int, pool: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, channel, frame, mel) to half the frames and half the bands."""
        maps = torch.relu(self.bn1(self.conv1(maps)))
        maps = torch.relu(self.bn2(self.conv2(maps)))
        return functional.avg_pool2d(maps, self.pool) if self.pool > 1 else maps


class Encoder(nn.Module):
    """Six blocks; the last maps are averaged over frequency, then averaged plus maximised in time.

    Modules are named as in the published weights.

    Parameters
    ----------
    widths : sequence of int
        Channels of the six blocks.
    mels : int
        Bands of the features.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, mels: int = MELS) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(mels)
        inputs = (1, *widths[:-1])
        for number, (before, after) in enumerate(zip(inputs, widths, strict=True), start=1):
            pool = 2 if number < len(widths) else 1
            self.add_module(f"conv_block{number}", ConvBlock(before, after, pool))
        self.blocks = len(widths)

    def encode(self, features: Tensor) -> Tensor:
        """Map features (batch, 1, mel, frame) to an embedding (batch, channel)."""
        maps = self.bn0(features.transpose(1, 2)).permute(0, 2, 3, 1)
        for number in range(1, self.blocks + 1):
            maps = functional.dropout(
                self.get_submodule(f"conv_block{number}")(maps), 0.2, self.training
            )
        over_time = maps.mean(dim=3)
        return over_time.amax(dim=2) + over_time.mean(dim=2)


class CNN14(Encoder):
    """The encoder and two linear layers.

    Parameters
    ----------
    classes : int
    widths : sequence of int
        Channels of the six blocks; the other layers follow.
    """

    def __init__(self, classes: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__(widths)
        self.fc1 = nn.Linear(widths[-1], widths[-1])
        self.fc_audioset = nn.Linear(widths[-1], classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (batch, 1, mel, frame) to logits (batch, class)."""
        pooled = functional.dropout(self.encode(features), 0.5, self.training)
        pooled = functional.dropout(torch.relu(self.fc1(pooled)), 0.5, self.training)
        logits: Tensor = self.fc_audioset(pooled)
        return logits


def cnn14_model(
    network: CNN14,
    *,
    labels: Sequence[str] | None = None,
    output: Output = "logits",
    task: Task = "multi-label",
    filters: Tensor | None = None,
    name: str = "cnn14",
) -> SpectralModel:
    """Return a network with its front end as a model.

    Parameters
    ----------
    filters : Tensor, shape (mel, freq), optional
        Mel filters of the weights' file, instead of the built-in ones.
    """
    frontend = LogPowerMel()
    if filters is not None:
        frontend.filters.copy_(filters)
    shortest = 2 ** (network.blocks - 1) * _HOP / _RATE
    return SpectralModel(
        frontend,
        module=network.eval(),
        name=name,
        rate=_RATE,
        labels=labels,
        output=output,
        task=task,
        lengths=(shortest, _LONGEST_SECONDS),
    )


@register(
    "cnn14",
    summary="PANNs' CNN14 from a file of weights, cnn14:FILE.pth, or a folder of SpeechBrain's",
    licence="code Apache-2.0; the published weights (Kong et al. 2020) are the user's own copy",
    needs_file=True,
)
def load_cnn14(path: Path) -> Model:
    """Load weights in the layout of the published ``Cnn14_mAP=0.431.pth``.

    A folder holds SpeechBrain's files (``earwitness.models.zoo.speechbrain``).

    The number of classes and of channels is that of the file. Labels are read from
    ``class_labels_indices.csv`` of AudioSet if it is in the same folder; else they are numbers.

    Raises
    ------
    ModelError
        If the file does not hold weights of CNN14.
    """
    if path.is_dir():
        from earwitness.models.zoo.speechbrain import load_speechbrain

        return load_speechbrain(path)
    state = read_state(path)
    widths = widths_of(path, state, "fc_audioset.weight")
    classes = len(state["fc_audioset.weight"])
    network = CNN14(classes, widths)
    filters = state.get("logmel_extractor.melW")
    own = network.state_dict()
    try:
        network.load_state_dict({key: value for key, value in state.items() if key in own})
        return cnn14_model(
            network,
            labels=_labels(path.parent / _LABELS, classes),
            filters=None if filters is None else filters.T,
            name=path.stem,
        )
    except (RuntimeError, ValueError, TypeError) as error:
        text = " ".join(str(error).split())
        raise ModelError(f"{path}: the weights do not fit CNN14: {text[:200]}") from error


def start_from(network: CNN14, path: Path) -> None:
    """Take all weights but those of the last layer from a file in the published layout.

    Raises
    ------
    ModelError
        If the file does not hold weights of a network of the same widths.
    """
    state = read_state(path)
    own = {
        name: value
        for name, value in network.state_dict().items()
        if not name.startswith("fc_audioset.")
    }
    for name, value in own.items():
        if name not in state or state[name].shape != value.shape:
            raise ModelError(f"{path}: no weights of this CNN14 to start from ({name})")
    network.load_state_dict({name: state[name] for name in own}, strict=False)


def widths_of(path: Path, state: Mapping[str, Tensor], also: str = "") -> list[int]:
    """Return the channels of the six blocks.

    Parameters
    ----------
    path : Path
        Of the file, for errors.
    also : str
        Another weight that is needed.

    Raises
    ------
    ModelError
        If a weight is missing, or a number.
    """
    names = [f"conv_block{k}.conv1.weight" for k in range(1, len(WIDTHS) + 1)]
    for name in (*names, *filter(None, [also])):
        if name not in state:
            raise ModelError(f"{path}: no weights of CNN14 ({name} is missing)")
        if not state[name].ndim:
            raise ModelError(f"{path}: no weights of CNN14 (a number where a tensor is)")
    return [len(state[name]) for name in names]


def read_state(path: Path) -> Mapping[str, Tensor]:
    """Return the weights of a file, by name."""
    stored: Any = read_torch(path)
    state = stored.get("model", stored) if isinstance(stored, dict) else stored
    if not isinstance(state, dict) or not all(isinstance(one, Tensor) for one in state.values()):
        raise ModelError(f"{path}: expected a dictionary of weights, as published by PANNs")
    return state


def _labels(path: Path, classes: int) -> list[str] | None:
    if not path.is_file():
        return None
    labels = [row.get("display_name") or "" for row in read_table(path, ModelError)]
    if len(labels) != classes or "" in labels:
        raise ModelError(f"{path}: expected display_name for {classes} classes, got {len(labels)}")
    return labels
