"""NISQA: quality of transmitted speech, and four dimensions of it, from published weights.

Mittag, Naderi, Chehadi, Möller: NISQA: A Deep CNN-Self-Attention Model for Multidimensional Speech
Quality Prediction with Crowdsourced Datasets, Interspeech 2021; and, for synthetic speech, Mittag,
Möller, Interspeech 2020. The licence of the weights forbids commercial use, and nothing of them
comes with earwitness: they are read from a file that the user names.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.errors import ModelError
from earwitness.models.model import Model
from earwitness.models.registry import register
from earwitness.models.wrapping import wrap
from earwitness.plane.mel import mel_filterbank
from earwitness.plane.stft import Plane
from earwitness.weights import read_torch

RATE = 48000  # Hz; the published code takes a file at its own rate
LABELS = ("MOS", "noisiness", "discontinuity", "coloration", "loudness")
_N_FFT = 4096
_MELS = 48
_SEGMENT = 15  # frames
_LEAST = 1e-4  # magnitude, floor of the logarithm
_RANGE = 80.0  # dB below the loudest band, floor of the features
_HOP = 0.01  # s
_TINY = 1e-14  # added to the power, so that the gradient of the root is finite
_WIDTH, _UNITS = 64, 128  # of the self-attention, and of pooling and LSTM
_HEIGHTS, _COLUMNS = (24, 12, 6), (7, 5, 3)  # of maps after the three poolings


class DecibelMel(nn.Module):
    """Decibels of 48 mel bands of the magnitude, at most 80 dB below the loudest one.

    Parameters
    ----------
    rate : int
        In Hz.
    highest : float
        Upper end of the bands in Hz.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, rate: int, highest: float) -> None:
        super().__init__()
        self.hop, self.width = int(_HOP * rate), int(2 * _HOP * rate)
        self.register_buffer("window", torch.hann_window(self.width), persistent=False)
        plane = Plane(rate, _N_FFT, self.hop)
        filters = mel_filterbank(plane, _MELS, 0.0, highest)
        self.register_buffer("filters", filters.float(), persistent=False)
        self.loudest: Tensor | None = None  # dB; of each sound itself if None

    def for_sound(self, wave: Tensor) -> DecibelMel:
        """Return a copy whose floor is that of a sound (samples,), whatever it is given."""
        other = copy.copy(self)
        other.loudest = self._decibels(wave[None]).amax()
        return other

    def forward(self, waves: Tensor) -> Tensor:
        """Map waveforms (batch, samples) to features (batch, mel, frame)."""
        decibels = self._decibels(waves)
        loudest = self.loudest
        if loudest is None:
            loudest = decibels.amax(dim=(1, 2), keepdim=True)
        return torch.maximum(decibels, loudest - _RANGE)

    def _decibels(self, waves: Tensor) -> Tensor:
        spectrum = torch.stft(
            waves, _N_FFT, self.hop, self.width, self.window, center=True, pad_mode="reflect",
            return_complex=True,
        )  # fmt: skip
        power = spectrum.real.square() + spectrum.imag.square()
        bands = self.filters @ (power + _TINY).sqrt()
        return 20 * bands.clamp(min=_LEAST).log10()


class Convolutions(nn.Module):
    """Six convolutions on one segment of 48 bands and 15 frames.

    Parameters
    ----------
    adaptive : bool
        Whether pooling is to fixed sizes; if not, of two cells each, and a linear layer follows.
    outputs : int
        Of the linear layer.
    """

    def __init__(self, *, adaptive: bool, outputs: int = 0) -> None:
        super().__init__()
        self.adaptive = adaptive
        channels = (1, 16, 32, 64, 64, 64, 64)
        for number in range(1, 7):
            padding = (1, 0) if adaptive and number == 6 else 1
            before, after = channels[number - 1], channels[number]
            self.add_module(f"conv{number}", nn.Conv2d(before, after, 3, padding=padding))
            self.add_module(f"bn{number}", nn.BatchNorm2d(after))
        if not adaptive:
            self.fc_out = nn.Linear(channels[-1] * _HEIGHTS[-1] * 2, outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """Map segments (segment, 1, mel, frame) to features (segment, feature)."""
        pooled = 0
        for number in range(1, 7):
            conv, norm = self.get_submodule(f"conv{number}"), self.get_submodule(f"bn{number}")
            maps = norm(conv(maps)).relu()
            if number in (1, 2, 4):
                maps = self._pool(maps, pooled)
                pooled += 1
            if 2 <= number < 6:
                maps = functional.dropout2d(maps, 0.2, self.training)
        found: Tensor = maps.flatten(1)
        return found if self.adaptive else self.fc_out(found)

    def _pool(self, maps: Tensor, number: int) -> Tensor:
        if self.adaptive:
            size = (_HEIGHTS[number], _COLUMNS[number])
            return functional.adaptive_max_pool2d(maps, size)
        return functional.max_pool2d(maps, 2, padding=(0, 1) if number == 0 else 0)


class AttentionLayer(nn.Module):
    """Self-attention and two linear layers, each added to its input, which is then normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(_WIDTH, 1, dropout=0.1, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(_WIDTH, _WIDTH), nn.Linear(_WIDTH, _WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (batch, segment, 64) to the same shape."""
        attended = self.self_attn(rows, rows, rows, need_weights=False)[0]
        rows = self.norm1(rows + functional.dropout(attended, 0.1, self.training))
        inner = functional.dropout(self.linear1(rows).relu(), 0.1, self.training)
        changed = functional.dropout(self.linear2(inner), 0.1, self.training)
        found: Tensor = self.norm2(rows + changed)
        return found


class SelfAttention(nn.Module):
    """A linear layer, and two layers of self-attention that do not know the order of segments."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear, self.norm1 = nn.Linear(features, _WIDTH), nn.LayerNorm(_WIDTH)
        self.layers = nn.ModuleList(AttentionLayer() for _ in range(2))

    def forward(self, rows: Tensor) -> Tensor:
        """Map (batch, segment, feature) to (batch, segment, 64)."""
        rows = self.norm1(self.linear(rows))
        for layer in self.layers:
            rows = layer(rows)
        return rows


class BothWays(nn.Module):
    """An LSTM in both directions."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, _UNITS, batch_first=True, bidirectional=True)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (batch, segment, feature) to (batch, segment, 256)."""
        found: Tensor = self.lstm(rows)[0]
        return found


class AttentionPooling(nn.Module):
    """The mean over segments, weighted by a small network, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(_WIDTH, _UNITS), nn.Linear(_UNITS, 1)
        self.linear3 = nn.Linear(_WIDTH, 1)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (batch, segment, 64) to a score (batch, 1)."""
        found: Tensor = self.linear3((self.weights(rows) * rows).sum(dim=1))
        return found

    def weights(self, rows: Tensor) -> Tensor:
        """Return the weights (batch, segment, 1) of segments; they add up to 1."""
        found: Tensor = self.linear2(self.linear1(rows).relu()).softmax(dim=1)
        return found


class LastStep(nn.Module):
    """A linear layer on where the LSTM ends in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * _UNITS, 1)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (batch, segment, 256) to a score (batch, 1)."""
        ends = torch.cat([rows[:, -1, :_UNITS], rows[:, 0, _UNITS:]], dim=1)
        found: Tensor = self.linear(ends)
        return found


class _Holder(nn.Module):
    """Holds a module under the name that it has in the published weights."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, data: Tensor) -> Tensor:
        found: Tensor = self.model(data)
        return found


class NISQA(nn.Module):
    """Segments of 15 frames, each through convolutions; then all of them, to one or five scores.

    Parameters
    ----------
    dimensions : int
        Scores, each with a pooling of its own.
    synthetic : bool
        Whether an LSTM follows, with a segment every frame; else self-attention, with one every 4.
    """

    def __init__(self, dimensions: int = 1, *, synthetic: bool = False) -> None:
        super().__init__()
        self.step = 1 if synthetic else 4
        after: nn.Module
        if synthetic:
            convolutions, after = Convolutions(adaptive=False, outputs=20), BothWays(20)
        else:
            convolutions = Convolutions(adaptive=True)
            after = SelfAttention(_WIDTH * _HEIGHTS[-1])
        self.cnn, self.time_dependency = _Holder(convolutions), _Holder(after)

        def pooling() -> _Holder:
            return _Holder(LastStep() if synthetic else AttentionPooling())

        if dimensions > 1:
            self.pool_layers = nn.ModuleList(pooling() for _ in range(dimensions))
        else:
            self.pool = pooling()

    def forward(self, features: Tensor) -> Tensor:
        """Map features (batch, mel, frame) to scores (batch, dimension)."""
        rows = self._rows(features)
        return torch.cat([head(rows) for head in self._heads()], dim=1)

    def _heads(self) -> list[nn.Module]:
        return list(self.pool_layers) if hasattr(self, "pool_layers") else [self.pool]

    def _rows(self, features: Tensor) -> Tensor:
        """Return features of segments (batch, segment, feature)."""
        segments = features.unfold(2, _SEGMENT, self.step).transpose(1, 2)
        batch, count = segments.shape[:2]
        rows = self.cnn(segments.flatten(0, 1).unsqueeze(1)).unflatten(0, (batch, count))
        found: Tensor = self.time_dependency(rows)
        return found


class AttentionPooled(NISQA):
    """NISQA with attention pooling: every score is a weighted mean of the segments' scores."""

    def frame_scores(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return weights and scores (batch, dimension, segment), and spans of segments.

        A score is linear in the pooled features, so it is the same mean of the scores of segments.
        Spans (segment, 2) in seconds are a step long, about the centre of a segment, which is 15
        frames long.
        """
        rows = self._rows(features)
        held = [one for head in self._heads() for one in head.children()]
        heads = [one for one in held if isinstance(one, AttentionPooling)]
        weights = torch.cat([head.weights(rows) for head in heads], dim=2).transpose(1, 2)
        scores = torch.cat([head.linear3(rows) for head in heads], dim=2).transpose(1, 2)
        centres = (_SEGMENT - 1) / 2 + self.step * torch.arange(rows.shape[1])
        half = self.step / 2
        return weights, scores, torch.stack([centres - half, centres + half], dim=1) * _HOP


@register(
    "nisqa",
    summary="NISQA's scores of speech quality, from a published file of weights: nisqa:FILE.tar",
    licence="code Apache-2.0; the published weights are CC BY-NC-SA 4.0, and the user's own copy",
    needs_file=True,
)
def load_nisqa(path: Path) -> Model:
    """Load ``nisqa.tar``, ``nisqa_mos_only.tar`` or ``nisqa_tts.tar``.

    Raises
    ------
    ModelError
        If the file does not hold weights of NISQA, or of a version that is not known.
    """
    stored: Any = read_torch(path)
    if not isinstance(stored, dict) or not {"args", "model_state_dict"} <= set(stored):
        raise ModelError(f"{path}: no weights of NISQA (args and model_state_dict are missing)")
    state, args = stored["model_state_dict"], stored["args"]
    if not isinstance(state, dict) or not isinstance(args, dict):
        raise ModelError(f"{path}: no weights of NISQA (args and model_state_dict are no tables)")
    synthetic = args.get("td") == "lstm"
    dimensions = len({name.split(".")[1] for name in state if name.startswith("pool_layers.")})
    kind = NISQA if synthetic else AttentionPooled
    network = kind(max(dimensions, 1), synthetic=synthetic)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            f"{path}: the weights do not fit NISQA: {' '.join(str(error).split())[:200]}"
        ) from error
    front_end = DecibelMel(RATE, float(args.get("ms_fmax", 20000)))
    seconds = front_end.hop / RATE
    most = (int(args.get("ms_max_segments", 1300)) - 1) * network.step + _SEGMENT - 1
    return wrap(
        network.eval(), features=front_end, sample_rate=RATE, labels=LABELS[: max(dimensions, 1)],
        output="scores", task="regression", lengths=((_SEGMENT - 1) * seconds, most * seconds),
        plane=0.02, name=path.stem,
    )  # fmt: skip
