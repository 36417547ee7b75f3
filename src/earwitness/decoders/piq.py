"""PIQ: gains decoded from codes that belong to one class.

An adapter maps the classifier's deepest activations to vectors, a quantiser replaces each by the
nearest code of the explained class, and a decoder maps the codes to gains (Paissan, Subakan,
Ravanelli 2023, section 3). The codebook is divided among the classes, so a mask consists of
patterns that were learnt on sounds decided for its class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.decoders.components import rms
from earwitness.decoders.trained import (
    ExplainerNetwork,
    Learned,
    joined_windows,
    load_learned,
)
from earwitness.layers.activations import activations_of
from earwitness.layers.finding import HiddenLayer
from earwitness.models.model import Model
from earwitness.plane.knots import interpolate
from earwitness.plane.mel import hz_to_mel, mel_to_hz
from earwitness.plane.stft import Plane

_BANDS = 16  # that a layer without a frequency axis is unfolded into, per frame
_GROWN = (24, 16, 12)  # channels of the decoder, coarse to fine; each step doubles the grid
_MOST_ROWS = 64  # to which the rows of a coarser layer grow
_FRAMES = 4  # frames of the plane per frame of the codes, at least


class Quantiser(nn.Module):
    """Replaces vectors by the nearest codes of a class (van den Oord et al. 2017, section 3).

    Parameters
    ----------
    outputs : int
        Of the classifier.
    codes : int
        For each output.
    width : int
        Of a code.
    """

    def __init__(self, outputs: int, codes: int, width: int) -> None:
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(outputs, codes, width))

    def forward(self, vectors: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes of vectors, and which they are.

        The result is differentiable in the codebook only, which is trained by ``distances``; see
        ``straight_through`` for gradients of the vectors.

        Parameters
        ----------
        vectors : Tensor, shape (batch, width, freq, frame)
        target : Tensor, shape (batch,), int64
            Output whose codes are taken.

        Returns
        -------
        quantised : Tensor, shape (batch, width, freq, frame)
        index : Tensor, shape (batch, freq, frame), int64
        """
        codes = self.codebook[target]  # (batch, code, width)
        flat = vectors.flatten(2).transpose(1, 2)  # (batch, place, width)
        index = torch.cdist(flat.detach(), codes.detach()).argmin(dim=2)
        nearest = codes.gather(1, index[:, :, None].expand(-1, -1, codes.shape[2]))
        nearest = nearest.transpose(1, 2).reshape(vectors.shape)
        return nearest, index.reshape(len(vectors), *vectors.shape[2:])


def straight_through(vectors: Tensor, codes: Tensor) -> Tensor:
    """Return the codes, with the gradient going to the vectors."""
    return vectors + (codes - vectors).detach()


def distances(vectors: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean squared distance (batch,) twice: training the codes, and the vectors.

    Parameters
    ----------
    vectors, codes : Tensor, shape (batch, width, freq, frame)
    """
    book = (codes - vectors.detach()).square().mean(dim=(1, 2, 3))
    commitment = (codes.detach() - vectors).square().mean(dim=(1, 2, 3))
    return book, commitment


class PiqNetwork(ExplainerNetwork):
    """Adapter, quantiser and decoder.

    Parameters
    ----------
    layers : sequence of HiddenLayer
        The first one is used.
    plane : Plane
    outputs : int
        Of the classifier.
    codes : int
        For each output.
    width : int
        Of a code.
    """

    method = "piq"
    parts: ClassVar[Mapping[str, str]] = {
        "adapter.": "the adapter", "quantiser.": "the codebook", "decoder.": "the decoder",
    }  # fmt: skip
    place: Tensor

    def __init__(
        self,
        layers: Sequence[HiddenLayer],
        plane: Plane,
        outputs: int,
        *,
        codes: int,
        width: int,
    ) -> None:
        super().__init__()
        self.sizes = {"codes": codes, "width": width}
        layer = layers[0]
        self._tokens = layer.freq_axis is None
        rows = _BANDS if self._tokens else len(layer.freqs)
        self._most_rows = min(rows * 2 ** len(_GROWN), max(rows, _MOST_ROWS))
        self.adapter = nn.ModuleDict({
            "norm": nn.BatchNorm2d(layer.channels),
            "reader": nn.Conv2d(layer.channels, width * (_BANDS if self._tokens else 1), 1),
            "mixer": nn.Conv2d(width, width, 3, padding=1),
            "last": nn.Conv2d(width, width, 1),
            "scale": nn.GroupNorm(1, width),
        })  # fmt: skip
        self.quantiser = Quantiser(outputs, codes, width)
        widths = (width, *_GROWN)
        self.decoder = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise((*widths, 1))
        )
        self.decoder_rows = nn.Parameter(torch.zeros(width, rows, 1))
        place = _placed(plane, layer.freqs, self._most_rows)
        self.register_buffer("place", place, persistent=False)

    def vectors(self, maps: Tensor, frames: int) -> Tensor:
        """Map activations (batch, channel, freq, frame) to vectors (batch, width, freq, frame).

        Parameters
        ----------
        frames : int
            Of the plane; a layer with as many or more is averaged over groups of frames.
        """
        adapter, most = self.adapter, max(1, math.ceil(frames / _FRAMES))
        if maps.shape[3] > most:
            maps = functional.adaptive_avg_pool2d(maps, (maps.shape[2], most))
        level = adapter["reader"](adapter["norm"](maps / rms(maps)[:, :, None, None]))
        if self._tokens:
            level = level.squeeze(2).unflatten(1, (-1, _BANDS))
        level = level + adapter["mixer"](level.relu())
        found: Tensor = adapter["scale"](adapter["last"](level.relu()))
        return found.float()

    def logits(self, codes: Tensor, frames: int) -> Tensor:
        """Map codes (batch, width, freq, frame) to logits of gains (batch, freq, frame).

        An offset for each row tells the convolutions where in frequency a code lies.
        """
        level = codes + self.decoder_rows
        for step in self.decoder[:-1]:
            size = (min(2 * level.shape[2], self._most_rows), min(2 * level.shape[3], frames))
            level = functional.interpolate(level, size=size, mode="bilinear", align_corners=False)
            level = step(level).relu()
        rows = self.decoder[-1](level).squeeze(1).float()
        rows = functional.interpolate(rows, size=frames, mode="linear", align_corners=False)
        return self.place @ rows

    def forward(
        self, maps: Sequence[Tensor], target: Tensor, frames: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits of gains (batch, freq, frame), the vectors, and their codes.

        Parameters
        ----------
        maps : sequence of Tensor, shape (batch, channel, freq, frame)
            The first one is used.
        target : Tensor, shape (batch,), int64
            Output whose codes are taken.
        frames : int
            Of the plane for this sound.
        """
        vectors = self.vectors(maps[0], frames)
        codes, _ = self.quantiser(vectors, target)
        return self.logits(straight_through(vectors, codes), frames), vectors, codes


def _placed(plane: Plane, freqs: Sequence[float], count: int) -> Tensor:
    """Return the matrix (freq, row) from rows to the bins of a plane.

    The rows divide the distances between the frequencies of a layer evenly in mel, also beyond the
    first and the last. Those of a layer with fewer than two cover the whole range.
    """
    cpu = torch.device("cpu")
    if len(freqs) > 1:
        knots = hz_to_mel(torch.tensor(freqs, device=cpu))
        knots = torch.cat([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
        at = (torch.arange(count, device=cpu) + 0.5) * len(freqs) / count - 0.5
        mels = interpolate(knots, torch.arange(-1.0, len(freqs) + 1.0, device=cpu), at)
    else:
        highest = float(hz_to_mel(torch.tensor(plane.rate / 2, device=cpu)))
        mels = (torch.arange(count, device=cpu) + 0.5) / count * highest
    bins = torch.arange(plane.bins, device=cpu) * (plane.rate / plane.n_fft)
    return interpolate(torch.eye(count, device=cpu), mel_to_hz(mels), bins).T.contiguous()


def load_piq(folder: Path) -> Learned[PiqNetwork]:
    """Load what ``train_piq`` wrote; see ``load_learned``."""
    return load_learned(folder, PiqNetwork)


def gains_of(
    found: Learned[PiqNetwork], model: Model, magnitude: Tensor, wave: Tensor, target: int
) -> tuple[Tensor, int]:
    """Return gains (freq, frame) of a sound, in [0, 1], and how many codes they are made of.

    Parameters
    ----------
    magnitude : Tensor, shape (freq, frame)
    wave : Tensor, shape (samples,)
    target : int
        Output whose codes are taken.
    """
    with activations_of(model, found.layers) as recorded, torch.no_grad():
        if model.frontend is None:
            model(wave.unsqueeze(0))
        else:
            model.from_magnitude(magnitude.unsqueeze(0))
        windows = model.windows(len(wave))
        maps, frames = recorded.maps()[0], found.plane.frames(windows[0][1])
        vectors = found.network.vectors(maps, frames)
        targets = torch.full((len(vectors),), target, device=vectors.device)
        codes, index = found.network.quantiser(vectors, targets)
        gains = found.network.logits(codes, frames).sigmoid()
    starts = [start for start, _ in windows]
    whole = joined_windows(gains, starts, found.plane.hop, magnitude.shape[-1])
    return whole, len(index.unique())
