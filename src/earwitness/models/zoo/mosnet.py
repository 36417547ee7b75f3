"""MOSNet: mean opinion scores of speech, in three variants, from Keras files of weights.

Lo et al.: MOSNet: Deep Learning-Based Objective Assessment for Voice Conversion, Interspeech 2019,
table 1. The score of an utterance is the mean of the scores of its frames. The input is the linear
magnitude, so the score depends on the level of the sound. Nothing is downloaded: weights are read
from a file that the user names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from earwitness.files import write_json
from earwitness.models.model import Model
from earwitness.models.registry import register
from earwitness.models.wrapping import wrap
from earwitness.models.zoo.checkpoint import SCHEMA, WEIGHTS
from earwitness.plane.stft import Plane
from earwitness.weights import check_shapes, write_tensors

RATE = 16000  # Hz
N_FFT, HOP = 512, 256  # samples
BINS = N_FFT // 2 + 1
CHANNELS = (16, 32, 64, 128)  # of the blocks of convolutions
LSTM = 128  # units in each direction
_STRIDE = 3  # over frequency, of the last convolution of a block
VARIANTS = {"cnn": 64, "blstm": 64, "cnn-blstm": 128}  # units of the layer before the last
_LEAST = 1e-14  # added to the power, so that the gradient of the root is finite


class LinearMagnitude(nn.Module):
    """Magnitude of a transform with a symmetric Hamming window, reflected at both ends.

    As librosa computes it with the window as a function, which MOSNet's code does.
    """

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        window = torch.hamming_window(N_FFT, periodic=False)
        self.register_buffer("window", window, persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Map waveforms (batch, samples) to magnitudes (batch, frame, 257)."""
        spectrum = torch.stft(
            waves, N_FFT, HOP, window=self.window, center=True, pad_mode="reflect",
            return_complex=True,
        )  # fmt: skip
        power = spectrum.real.square() + spectrum.imag.square()
        return (power + _LEAST).sqrt().transpose(1, 2)


class MOSNet(nn.Module):
    """Convolutions, an LSTM in both directions, or both; then two layers for every frame.

    Convolutions keep the number of frames; the third of each block takes every third frequency,
    and is padded as TensorFlow does: 257, 86, 29, 10, 4.

    Parameters
    ----------
    variant : {"cnn", "blstm", "cnn-blstm"}
    """

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant = variant
        width, self.convs = BINS, nn.ModuleList()
        if variant != "blstm":
            before = 1
            for channels in CHANNELS:
                for stride in (1, 1, _STRIDE):
                    self.convs.append(nn.Conv2d(before, channels, 3, (1, stride)))
                    before, width = channels, math.ceil(width / stride)
            width *= before
        self.rnn: nn.LSTM | None = None
        if variant != "cnn":
            self.rnn = nn.LSTM(width, LSTM, batch_first=True, bidirectional=True)
            width = 2 * LSTM
        self.dense = nn.Linear(width, VARIANTS[variant])
        self.frame = nn.Linear(VARIANTS[variant], 1)

    def forward(self, magnitudes: Tensor, counts: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map magnitudes (batch, frame, 257) to scores (batch, 1) and (batch, frame, 1).

        Parameters
        ----------
        counts : Tensor, shape (batch,), optional
            Frames of each sound, where shorter ones are padded. Its scores are then those that it
            has alone; the scores of padded frames are 0.
        """
        maps, kept = magnitudes.unsqueeze(1), None
        if counts is not None:
            steps = torch.arange(magnitudes.shape[1], device=magnitudes.device)
            kept = (steps < counts[:, None])[:, None, :, None].to(magnitudes.dtype)
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            stride = conv.stride[1]
            lacking = max((math.ceil(maps.shape[3] / stride) - 1) * stride + 3 - maps.shape[3], 0)
            padding = (lacking // 2, lacking - lacking // 2, 1, 1)
            maps = conv(functional.pad(maps, padding)).relu()
            maps = maps if kept is None else maps * kept
        found = maps.permute(0, 2, 3, 1).flatten(2)  # frequency outside, channels inside
        if self.rnn is not None:
            found = functional.dropout(self._recurrent(self.rnn, found, counts), 0.3, self.training)
        found = functional.dropout(self.dense(found).relu(), 0.3, self.training)
        frames: Tensor = self.frame(found)
        if kept is None or counts is None:
            return frames.mean(dim=1), frames
        frames = frames * kept[:, 0]
        return frames.sum(dim=1) / counts[:, None], frames

    def _recurrent(self, rnn: nn.LSTM, rows: Tensor, counts: Tensor | None) -> Tensor:
        if counts is None:
            found: Tensor = rnn(rows)[0]
            return found
        packed = pack_padded_sequence(rows, counts.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(rnn(packed)[0], batch_first=True, total_length=rows.shape[1])[0]


def mosnet_model(network: MOSNet, *, name: str = "mosnet") -> Model:
    """Return a network with its front end as a model of frame scores, whose mean is the score."""
    return wrap(
        network.eval(), features=LinearMagnitude(), sample_rate=RATE, labels=["MOS"],
        output="scores", task="regression", select=frame_scores, per_frame=True,
        plane=Plane(RATE, N_FFT, HOP), lengths=(N_FFT / RATE, None), name=name,
    )  # fmt: skip


def frame_scores(outputs: Sequence[Tensor]) -> Tensor:
    """Return the second output of the network."""
    return outputs[1]


@register(
    "mosnet",
    summary="MOSNet's opinion score of speech, from a Keras file of weights: mosnet:FILE.h5",
    licence="code Apache-2.0; the published weights (Lo et al. 2019, MIT) are the user's own copy",
    needs_file=True,
)
def load_mosnet(path: Path) -> Model:
    """Load weights that Keras saved, by themselves or with the model, in any of its layouts.

    Raises
    ------
    ModelError
        If the file does not hold weights of MOSNet, or h5py is missing.
    """
    from earwitness.models.zoo.keras_file import load_keras

    return mosnet_model(load_keras(path), name=path.stem)


def save_mosnet(folder: Path, network: MOSNet, facts: dict[str, Any]) -> None:
    """Write a trained network to a folder, the weights first."""
    write_tensors(folder / WEIGHTS, network.state_dict())
    stored = {"schema": SCHEMA, "mosnet": network.variant, "facts": facts}
    write_json(folder / "model.json", stored)


def read_mosnet(folder: Path, variant: str) -> Model:
    """Return the network in a folder as a model.

    Raises
    ------
    ValueError
        If the weights are not those of the variant.
    """
    path = folder / WEIGHTS
    with torch.device("meta"):
        check_shapes(MOSNet(variant), path)
    network = MOSNet(variant)
    network.load_state_dict(load_file(path))
    return mosnet_model(network, name=folder.resolve().name)
