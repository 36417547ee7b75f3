"""Silero VAD: whether each 32 ms of a sound are speech.

The network is recurrent: it reads 512 samples after the 64 before them, and a state. The scripted
file keeps the state itself and is called for every frame; here its weights are those of plain
torch modules, so that a sound is one forward pass, and layers and gradients can be reached. The
ONNX file is evaluated as it is, frame by frame.

Silero Team (2024), Silero VAD: pre-trained enterprise-grade voice activity detector.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from earwitness.errors import ModelError, reason
from earwitness.files import digest_of
from earwitness.models.adapters.onnx import open_session
from earwitness.models.adapters.registry import register
from earwitness.models.model import Model
from earwitness.models.packaged.reading import package_file
from earwitness.models.wrapping import wrap
from earwitness.plane.stft import Plane

_RATE = 16000
_FRAME, _CONTEXT = 512, 64  # samples that are read at a time, and those before them
_WINDOW, _HOP = 256, 128  # samples, of its spectrogram
_STATE = (2, 128)
_LEAST_POWER = 1e-20  # of a bin; the root has no gradient at zero
_TOLERANCE = 1e-4  # of probabilities
_FACTS: dict[str, Any] = {
    "sample_rate": _RATE,
    "labels": ["speech"],
    "output": "probabilities",
    "task": "multi-label",
    "per_frame": True,
}


@register(
    "silero-vad",
    summary="speech in frames of 32 ms, 16 kHz, differentiable (MIT)",
    needs=("silero_vad",),
    packages={"silero_vad": "silero-vad"},
)
def from_silero_vad() -> Model:
    """Load the network of the package silero-vad."""
    path = package_file("silero_vad", "data", "silero_vad.jit")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that TorchScript is deprecated
            script = torch.jit.load(str(path), map_location="cpu").eval()
        network = SileroVad(script.state_dict()).eval()
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"silero-vad: {path} cannot be read: {reason(error)}") from error
    _compare(network, script)
    return _wrapped(network, path, "silero-vad")


@register(
    "silero-vad:onnx",
    summary="the ONNX file of silero-vad, as a black box (MIT)",
    needs=("silero_vad", "onnxruntime"),
    extra="onnx",
    packages={"silero_vad": "silero-vad"},
)
def from_silero_onnx() -> Model:
    """Load the ONNX file of the package silero-vad."""
    path = package_file("silero_vad", "data", "silero_vad.onnx")
    return _wrapped(SileroGraph(path), path, "silero-vad:onnx")


def _wrapped(network: Any, path: Path, name: str) -> Model:
    model = wrap(network, name=name, plane=Plane(_RATE, _WINDOW, _HOP), **_FACTS)
    model.source = digest_of([path])
    return model


class SileroVad(nn.Module):
    """The network at 16 kHz, from waveforms (batch, samples) to probabilities (batch, frame, 1).

    Parameters
    ----------
    state : mapping of str to Tensor
        That of the scripted network.
    """

    basis: Tensor

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        own = {name.removeprefix("_model."): value for name, value in state.items()
               if name.startswith("_model.")}  # fmt: skip
        self.register_buffer("basis", own["stft.forward_basis_buffer"])
        weights = [own[f"encoder.{k}.reparam_conv.weight"] for k in range(4)]
        layers: list[nn.Module] = []
        for weight, stride in zip(weights, (1, 2, 2, 1), strict=True):
            size = (weight.shape[1], weight.shape[0], weight.shape[2])
            layers += [nn.Conv1d(*size, stride=stride, padding=1), nn.ReLU()]
        self.encoder = nn.Sequential(*layers)
        self.rnn = nn.LSTM(weights[-1].shape[0], _STATE[1], batch_first=True)
        self.relu = nn.ReLU()
        self.head = nn.Conv1d(_STATE[1], 1, 1)
        self.load_state_dict(_renamed(own))

    def forward(self, waves: Tensor) -> Tensor:
        """Return probabilities of speech in every frame."""
        missing = -waves.shape[1] % _FRAME
        padded = nn.functional.pad(waves, (_CONTEXT, missing))
        frames = padded.unfold(1, _CONTEXT + _FRAME, _FRAME)
        ends = frames[..., -_CONTEXT - 1 : -1].flip(-1)  # each is reflected at its end
        frames = torch.cat([frames, ends], dim=-1)
        parts = nn.functional.conv1d(frames.flatten(0, 1).unsqueeze(1), self.basis, stride=_HOP)
        real, imaginary = parts.chunk(2, dim=1)
        power = real.square() + imaginary.square()
        encoded = self.encoder(power.clamp(min=_LEAST_POWER).sqrt())
        states, _ = self.rnn(encoded.squeeze(-1).unflatten(0, frames.shape[:2]))
        return self.head(self.relu(states.transpose(1, 2))).transpose(1, 2).sigmoid()


def _renamed(own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the scripted network's weights by the names of ``SileroVad``."""
    found = {"basis": own["stft.forward_basis_buffer"]}
    for name, value in own.items():
        place, _, kind = name.rpartition(".")
        if place.startswith("encoder."):
            found[f"encoder.{2 * int(place.split('.')[1])}.{kind}"] = value
        elif place == "decoder.rnn":
            found[f"rnn.{kind}_l0"] = value
        elif place == "decoder.decoder.2":
            found[f"head.{kind}"] = value
    return found


def _compare(network: nn.Module, script: Any) -> None:
    """Raise ``ModelError`` unless noise gives what the scripted network gives."""
    noise = 0.1 * torch.randn(1, _RATE // 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = script.audio_forward(noise, _RATE)
        found = network(noise)[..., 0]
    if not torch.allclose(found, wanted, rtol=0, atol=_TOLERANCE):
        raise ModelError(
            "silero-vad: the network of the package that is installed is another than that of "
            "versions 5 and 6; use silero-vad:onnx"
        )


class SileroGraph:
    """The ONNX file, from waveforms (batch, samples) to probabilities (batch, frame, 1)."""

    def __init__(self, path: Path) -> None:
        self._session = open_session(path, "silero-vad:onnx")

    def __call__(self, waves: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities of speech in every frame."""
        missing = -waves.shape[1] % _FRAME
        padded = np.pad(waves, ((0, 0), (_CONTEXT, missing)))
        state = np.zeros((_STATE[0], len(waves), _STATE[1]), np.float32)
        rate, found = np.array(_RATE, np.int64), []
        for end in range(_CONTEXT + _FRAME, padded.shape[1] + 1, _FRAME):
            given = {"input": padded[:, end - _CONTEXT - _FRAME : end], "state": state, "sr": rate}
            speech, state = self._session.run(None, given)
            found.append(speech)
        return np.stack(found, axis=1)
