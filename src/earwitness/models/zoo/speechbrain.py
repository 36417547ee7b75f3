"""CNN14 as SpeechBrain's recipe for ESC-50 trains and publishes it: a folder of checkpoints.

The features are mel bands of the magnitude, without a logarithm or with ``log(1 + x)``. The
window is shorter than the transform. What ``hyperparams.yaml`` says of them is read from it; the
defaults are the recipe's.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.errors import ModelError
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.models.zoo.cnn14 import Encoder, read_state, widths_of

_HYPERPARAMETERS = "hyperparams.yaml"
_LABELS = "label_encoder.txt"
_HIGHEST_HZ = 8000.0  # of the mel bands, SpeechBrain's default at any rate
_LEAST = 1e-14  # added to the power before the root
_SCALE = 30.0  # of cosines, as the recipe's loss multiplies them
_LONGEST_SECONDS = 10.0  # s
_LINE = re.compile(r"^(\w+):\s*([^\s#]+)", re.MULTILINE)


@dataclass(frozen=True)
class Features:
    """What ``hyperparams.yaml`` says of the features.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    n_fft, n_mels : int
    hop_length, win_length : float
        In ms.
    spec_mag_power : float
        Of the power; 0.5 gives the magnitude.
    use_log1p_mel : bool
    """

    sample_rate: int = 16000
    n_fft: int = 1024
    n_mels: int = 80
    hop_length: float = 11.6099
    win_length: float = 23.2199
    spec_mag_power: float = 0.5
    use_log1p_mel: bool = False

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return round(self.sample_rate / 1000 * self.hop_length)

    @property
    def window(self) -> int:
        """Samples of the window."""
        return round(self.sample_rate / 1000 * self.win_length)


class MelMagnitude(nn.Module):
    """Mel bands of the magnitude of a transform with a Hamming window, from the waveform.

    The bands are triangles on the mel scale of 2595 log10(1 + f / 700), each as wide on both sides
    as it is below its centre, with a height of 1.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, features: Features) -> None:
        super().__init__()
        self.features = features
        self.register_buffer("window", torch.hamming_window(features.window), persistent=False)
        edges = torch.linspace(0, 2595 * math.log10(1 + _HIGHEST_HZ / 700), features.n_mels + 2)
        hz = 700 * (10 ** (edges.double() / 2595) - 1)
        freqs = torch.linspace(
            0, features.sample_rate // 2, features.n_fft // 2 + 1, dtype=torch.double
        )
        width = (hz[1:-1] - hz[:-2])[:, None]
        filters = (1 - ((freqs - hz[1:-1, None]) / width).abs()).clamp(min=0)
        self.register_buffer("filters", filters.float(), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Map waveforms (batch, samples) to features (batch, 1, mel, frame)."""
        has = self.features
        spectrum = torch.stft(
            waves, has.n_fft, has.hop, has.window, self.window, center=True, pad_mode="constant",
            return_complex=True,
        )  # fmt: skip
        power = spectrum.real.square() + spectrum.imag.square()
        bands = self.filters @ (power + _LEAST * (has.spec_mag_power < 1)) ** has.spec_mag_power
        return (bands.log1p() if has.use_log1p_mel else bands).unsqueeze(1)


class SpeechBrainCNN14(Encoder):
    """The encoder and one layer: linear, or the cosine to a direction for each class.

    Parameters
    ----------
    classes : int
    widths : sequence of int
    mels : int
    cosine : bool
        Whether outputs are 30 times the cosine between embedding and weights (ECAPA-TDNN's
        classifier), without a bias.
    """

    def __init__(self, classes: int, widths: Sequence[int], mels: int, *, cosine: bool) -> None:
        super().__init__(widths, mels)
        self.cosine = cosine
        self.classifier = nn.Linear(widths[-1], classes, bias=not cosine)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (batch, 1, mel, frame) to logits (batch, class)."""
        found = self.encode(features)
        if not self.cosine:
            logits: Tensor = self.classifier(found)
            return logits
        weights = functional.normalize(self.classifier.weight)
        return _SCALE * functional.linear(functional.normalize(found), weights)


def load_speechbrain(folder: Path) -> Model:
    """Load the model in a folder of SpeechBrain's checkpoints.

    It holds ``embedding_model*.ckpt`` and ``classifier*.ckpt``, and may hold ``hyperparams.yaml``
    and, there or in the folder above, ``label_encoder.txt``.

    Raises
    ------
    ModelError
        If a file is missing, or does not fit the others.
    """
    text = _text(folder / _HYPERPARAMETERS)
    features = _features(folder, text)
    encoder_path, classifier_path = (
        _checkpoint(folder, name, text) for name in ("embedding_model", "classifier")
    )
    encoder, classifier = read_state(encoder_path), read_state(classifier_path)
    widths = widths_of(encoder_path, encoder)
    weight = classifier.get("weight")
    if weight is None or weight.ndim != 2 or set(classifier) - {"weight", "bias"}:
        raise ModelError(
            f"{classifier_path}: expected one layer, weight and bias, got "
            f"{', '.join(classifier) or 'nothing'}"
        )
    network = SpeechBrainCNN14(
        len(weight), widths, features.n_mels, cosine="bias" not in classifier
    )
    state = {re.sub(r"\bnorm(\d)\.", r"bn\1.", name): value for name, value in encoder.items()}
    try:
        network.load_state_dict({**state, **{f"classifier.{k}": v for k, v in classifier.items()}})
    except RuntimeError as error:
        raise ModelError(
            f"{folder}: the weights do not fit CNN14: {' '.join(str(error).split())[:200]}"
        ) from error
    shortest = 2 ** (network.blocks - 1) * features.hop / features.sample_rate
    return wrap(
        network.eval(), features=MelMagnitude(features), sample_rate=features.sample_rate,
        labels=_labels(folder, len(weight)), output="logits", task="single-label",
        lengths=(shortest, _LONGEST_SECONDS), name=folder.resolve().name,
    )  # fmt: skip


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read") from error


def _features(folder: Path, text: str) -> Features:
    """Return the features, as far as the file says something of them at its first level."""
    said: Mapping[str, str] = dict(_LINE.findall(text))
    found = {}
    for name, usual in asdict(Features()).items():
        value = said.get(name)
        if value is None:
            continue
        try:
            found[name] = value == "True" if isinstance(usual, bool) else type(usual)(value)
        except ValueError:
            raise ModelError(
                f"{folder / _HYPERPARAMETERS}: {name} is {value}, and not a number"
            ) from None
    features = Features(**found)
    if not (
        features.sample_rate >= 1000
        and features.hop >= 1
        and 2 <= features.window <= features.n_fft
        and 1 <= features.n_mels <= features.n_fft
    ):
        raise ModelError(f"{folder / _HYPERPARAMETERS}: {features} cannot be computed")
    return features


def _checkpoint(folder: Path, name: str, text: str) -> Path:
    """Return the file of a part; of several, the one that the hyperparameters name."""
    found = sorted(folder.glob(f"{name}*.ckpt"))
    named = [path for path in found if re.search(rf"\b{re.escape(path.name)}", text)]
    chosen = named if len(found) > 1 and named else found
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        raise ModelError(
            f"{folder}: no CNN14 of SpeechBrain in this folder ({name}.ckpt is missing)"
        )
    names = ", ".join(path.name for path in chosen)
    raise ModelError(f"{folder}: several files of weights, {names}; leave the ones to be used")


def _labels(folder: Path, classes: int) -> list[str] | None:
    """Return the labels of ``'dog' => 0``, in order, if there is a file of them."""
    places = [place / _LABELS for place in (folder, folder.parent)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return None
    numbers: dict[int, str] = {}
    for line in _text(path).split("\n=====", 1)[0].splitlines():
        label, _, number = line.rpartition(" => ")
        try:
            numbers[int(number)] = str(ast.literal_eval(label))
        except (ValueError, SyntaxError):
            raise ModelError(f"{path}: expected lines such as 'dog' => 0, got {line}") from None
    if sorted(numbers) != list(range(classes)):
        raise ModelError(f"{path}: expected {classes} labels, from 0 on, got {len(numbers)}")
    return [numbers[k] for k in range(classes)]
