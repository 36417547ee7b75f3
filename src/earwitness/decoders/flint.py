"""FLINT: a decision as a sum over attributes of a sound, each of which can be decoded.

The attribute network maps the classifier's activations to attributes ``phi >= 0``, one number each
for a segment of fixed length. Theta, a linear layer without bias, maps them to the classifier's
outputs, and a decoder maps them to the spectrogram of the segment (Parekh, Mozharovskyi,
d'Alche-Buc 2021, section 3). So the share of an attribute in an output is ``phi_j theta_(c, j)``,
and decoded alone it is a part of the sound.

The decoder has no biases, so ``decoder(a phi) = a decoder(phi)`` for ``a >= 0``: an attribute alone
always has the same pattern, scaled. What of the sound is not decoded, at the decoder's resolution,
is the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.decoders.components import PowerShares, rms
from earwitness.decoders.dictionary import log_magnitude
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

_WIDTH = 96  # channels of the attribute network
_LEAST = 1e-9  # sum of weights; a band between two bins of a coarse plane has none
_READ = 512  # rows times channels that a layer is reduced to
_FEWEST = 4  # channels of a layer with many rows
_GROWN = (32, 24, 16, 12)  # channels of the decoder, coarse to fine; each step doubles the grid
_SEED_ROWS = 8  # of the decoder's coarsest grid
BANDS = _SEED_ROWS * 2 ** (len(_GROWN) - 1)  # of the decoder's finest grid
_BEGIN = 1.0  # initial ln(1 + |X|) if all attributes are 1
_MOST_FRAMES = 8  # frames of the plane per frame of the decoder's coarsest grid
_AT_ONCE = 16  # segments per forward pass
_BLUR = 9  # frames, over which the sound is averaged to compare it with what is decoded


class Attributes(nn.Module):
    """From activations of layers to attributes, for any number of frames.

    The activations of each layer are divided by their root mean square over the clip. A 1x1
    convolution reduces the channels. The mean and the maximum over time of every row and channel
    are mapped to the same number of channels and added over layers. Two linear layers follow.

    Parameters
    ----------
    layers : sequence of HiddenLayer
    attributes : int
    """

    def __init__(self, layers: Sequence[HiddenLayer], attributes: int) -> None:
        super().__init__()
        layers = [layer for layer in layers if layer.mapped]
        rows = [max(1, len(layer.freqs)) for layer in layers]
        widths = [
            min(layer.channels, max(_FEWEST, _READ // count))
            for layer, count in zip(layers, rows, strict=True)
        ]
        self.norms = nn.ModuleList(nn.BatchNorm2d(layer.channels) for layer in layers)
        self.readers = nn.ModuleList(
            nn.Conv2d(layer.channels, few, 1) for layer, few in zip(layers, widths, strict=True)
        )
        self.pools = nn.ModuleList(
            nn.Linear(2 * few * count, _WIDTH) for few, count in zip(widths, rows, strict=True)
        )
        self.begin = nn.LayerNorm(_WIDTH)
        self.middle = nn.Linear(_WIDTH, _WIDTH)
        self.last = nn.Linear(_WIDTH, attributes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map activations (batch, channel, freq, frame) to attributes (batch, attribute)."""
        total = None
        for norm, reader, pool, one in zip(self.norms, self.readers, self.pools, maps, strict=True):
            level = reader(norm(one / rms(one)[:, :, None, None])).relu()
            both = torch.cat([level.mean(dim=3), level.amax(dim=3)], dim=1).flatten(1)
            total = pool(both) if total is None else total + pool(both)
        found: Tensor = self.last(self.middle(self.begin(total).relu()).relu()).relu()
        return found.float()


class Growing(nn.Module):
    """From attributes to the spectrogram of a segment, in bands that are evenly spaced in mel.

    A linear map gives the mean spectrum, and convolutions on a growing grid what changes over time.

    Parameters
    ----------
    attributes : int
    frames : int
        Of the plane for a segment.
    """

    def __init__(self, attributes: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        steps = len(_GROWN) - 1
        self._seed = (_GROWN[0], _SEED_ROWS, -(-frames // (_MOST_FRAMES * 2**steps)))
        first, rows, columns = self._seed
        self.spectrum = nn.Linear(attributes, BANDS, bias=False)
        nn.init.constant_(self.spectrum.weight, _BEGIN / attributes)
        self.first = nn.Linear(attributes, first * rows * columns, bias=False)
        self.steps = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1, bias=False) for before, after in pairwise(_GROWN)
        )
        self.last = nn.Conv2d(_GROWN[-1], 1, 3, padding=1, bias=False)

    def forward(self, attributes: Tensor) -> Tensor:
        """Map attributes (batch, attribute) to ``ln(1 + |X|)`` (batch, band, frame), >= 0."""
        level = self.first(attributes).unflatten(1, self._seed).relu()
        for step in self.steps:
            level = functional.interpolate(
                level, scale_factor=2.0, mode="bilinear", align_corners=False
            )
            level = step(level).relu()
        found = self.last(level).squeeze(1) + self.spectrum(attributes).unsqueeze(2)
        return functional.interpolate(
            found.relu().float(), size=self.frames, mode="linear", align_corners=False
        )


class FlintNetwork(ExplainerNetwork):
    """Attribute network, Theta and decoder.

    Parameters
    ----------
    layers : sequence of HiddenLayer
    plane : Plane
    outputs : int
        Of the classifier.
    attributes : int
    samples : int
        Of a segment.
    """

    method = "flint"
    parts: ClassVar[Mapping[str, str]] = {
        "attributes.": "the attribute network", "theta.": "Theta", "decoder.": "the decoder",
    }  # fmt: skip
    place: Tensor

    def __init__(
        self,
        layers: Sequence[HiddenLayer],
        plane: Plane,
        outputs: int,
        *,
        attributes: int,
        samples: int,
    ) -> None:
        super().__init__()
        self.sizes = {"attributes": attributes, "samples": samples}
        self.attributes = Attributes(layers, attributes)
        self.theta = nn.Linear(attributes, outputs, bias=False)
        self.decoder = Growing(attributes, plane.frames(samples))
        self.register_buffer("place", _placed(plane), persistent=False)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return attributes, logits (batch, output) and ``ln(1 + |X|)`` (batch, freq, frame)."""
        attributes = self.attributes(maps)
        return attributes, self.theta(attributes), self.place @ self.decoder(attributes)

    def patterns(self) -> Tensor:
        """Return what every attribute of 1 is alone, (attribute, band, frame)."""
        found: Tensor = self.decoder(torch.eye(self.sizes["attributes"], device=self.place.device))
        return found

    def centre(self) -> None:
        """Subtract the mean over outputs from the weights of every attribute.

        A softmax of the outputs is the same before and after.
        """
        with torch.no_grad():
            self.theta.weight -= self.theta.weight.mean(dim=0, keepdim=True)

    def shares(self, attributes: Tensor, output: int, versus: int | None = None) -> Tensor:
        """Return ``phi_j theta_(c, j)`` (..., attribute), which sums to the logit of an output.

        With ``versus``, it sums to the difference of the logits of two outputs.
        """
        weights = self.theta.weight[output]
        if versus is not None:
            weights = weights - self.theta.weight[versus]
        return attributes * weights


def _placed(plane: Plane) -> Tensor:
    """Return the matrix (freq, band) from bands, evenly spaced in mel, to the bins of a plane."""
    highest = float(hz_to_mel(torch.tensor(plane.rate / 2, device="cpu")))
    centres = mel_to_hz((torch.arange(BANDS, device="cpu") + 0.5) / BANDS * highest)
    freqs = torch.arange(plane.bins, device="cpu") * (plane.rate / plane.n_fft)
    return interpolate(torch.eye(BANDS, device="cpu"), centres, freqs).T.contiguous()


def load_flint(folder: Path) -> Learned[FlintNetwork]:
    """Load what ``train_flint`` wrote; see ``load_learned``."""
    return load_learned(folder, FlintNetwork)


def attributes_of(
    found: Learned[FlintNetwork], model: Model, wave: Tensor
) -> tuple[Tensor, Tensor, list[int]]:
    """Return the attributes (segment, attribute) of a sound, what is to be decoded, and the starts.

    Segments overlap by about a half. A sound that is shorter than one is padded with silence. What
    is to be decoded is ``ln(1 + |X|)`` (segment, band, frame) at the decoder's resolution. Starts
    of segments are in samples.

    Parameters
    ----------
    wave : Tensor, shape (samples,)
    """
    length = found.network.sizes["samples"]
    starts = segments(len(wave), length)
    padded = functional.pad(wave, (0, max(0, length - len(wave))))
    rows, levels = [], []
    for some in torch.tensor(starts).split(1 if model.one_by_one else _AT_ONCE):
        waves = torch.stack([padded[start : start + length] for start in some.tolist()])
        magnitude = model.plane.analyse(waves).abs()
        with activations_of(model, found.layers) as recorded, torch.no_grad():
            if model.frontend is None:
                model(waves)
            else:
                model.from_magnitude(magnitude)
            rows.append(found.network.attributes(recorded.maps()))
        levels.append(coarse(log_magnitude(magnitude, waves, model.plane), found.network.place))
    return torch.cat(rows), torch.cat(levels), starts


def coarse(values: Tensor, place: Tensor) -> Tensor:
    """Average values (batch, freq, frame) over bands and neighbouring frames.

    Parameters
    ----------
    place : Tensor, shape (freq, band)
        From bands to bins.
    """
    shares = place.T / place.sum(dim=0)[:, None].clamp(min=_LEAST)
    return functional.avg_pool1d(
        shares @ values, _BLUR, stride=1, padding=_BLUR // 2, count_include_pad=False
    )


def segments(samples: int, length: int) -> list[int]:
    """Return where segments of a length start that cover a sound and overlap by about a half."""
    if samples <= length:
        return [0]
    count = -(-(samples - length) // max(1, length // 2)) + 1
    return [round(k * (samples - length) / (count - 1)) for k in range(count)]


class AttributeShares(PowerShares):
    """The attributes of one sound, each its share of the power of a cell, and the rest.

    An attribute alone is decoded to ``v = ln(1 + |X|)``, so its magnitude is ``exp(v) - 1``. The
    rest is what the sound has in excess of all attributes decoded together, as if it were one more,
    and a constant floor.

    Parameters
    ----------
    network : FlintNetwork
    attributes : Tensor, shape (segment, attribute)
    levels : Tensor, shape (segment, band, frame)
        ``ln(1 + |X|)`` of the sound at the decoder's resolution.
    starts : sequence of int
        Of the segments, in samples.
    hop, frames : int
        Of the plane, for the sound.
    names : sequence of str
    """

    def __init__(
        self,
        network: FlintNetwork,
        attributes: Tensor,
        levels: Tensor,
        starts: Sequence[int],
        hop: int,
        frames: int,
        names: Sequence[str],
    ) -> None:
        with torch.no_grad():
            self._patterns = network.patterns()
            missing = (levels - network.decoder(attributes)).relu()
        self._attributes, self._place = attributes, network.place
        self._starts, self._hop, self._frames = starts, hop, frames
        active = (attributes.amax(dim=0) > 0).nonzero().flatten().tolist()
        super().__init__(names, active, self._power_of(missing))

    def _power(self, number: int) -> Tensor:
        return self._power_of(self._attributes[:, number, None, None] * self._patterns[number])

    def _power_of(self, values: Tensor) -> Tensor:
        """Return the power (freq, frame) of the values (segment, band, frame) of segments."""
        whole = joined_windows(values, self._starts, self._hop, self._frames)
        return (self._place @ whole).expm1().square()
