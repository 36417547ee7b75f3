"""A small network from a classifier's hidden maps to gains on the plane.

L-MAC's decoder (Paissan, Ravanelli, Subakan 2024, section 2.2) in slim: each layer is narrowed by a
1x1 convolution, what came from the deeper layers is resized to it, and 3x3 convolutions do the
rest. The last map lies on the finest layer's own frequencies and is carried to the plane's bins and
frames by linear interpolation, so any length gives exactly (freq, frame) gains.

The decoder is conditioned on the target by the mean gradient of that output on each channel of the
deepest layer (``Activations.conditioning``). It weights that layer's maps, where they are read, and
scales and shifts every level. So no class has weights of its own in the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.layers.finding import HiddenLayer
from earwitness.plane.mel import hz_to_mel, mel_to_hz
from earwitness.plane.stft import Plane

_BANDS = 16  # that a layer without frequencies is unfolded into, for each of its frames
_BEGIN = 0.25
_STEEP = 4.0
_CONDITIONING_SPREAD = 0.5  # by how much conditionings differ to begin with
_LEAST = 1e-12


class Decoder(nn.Module):
    """Hidden maps, and what the answer makes of the deepest of them, in; gains on the plane out.

    Parameters
    ----------
    layers : sequence of HiddenLayer
        Deepest first; the conditioning is asked of the first of them.
    plane : Plane
    widths : sequence of int
        Channels at each layer that is mapped.
    """

    conditioned = True
    place: Tensor

    def __init__(self, layers: Sequence[HiddenLayer], plane: Plane, widths: Sequence[int]) -> None:
        super().__init__()
        channels, self._weighted = layers[0].channels, layers[0].mapped
        layers = [layer for layer in layers if layer.mapped]
        self._tokens = [layer.freq_axis is None for layer in layers]
        self.readers = nn.ModuleList(
            nn.Conv2d(layer.channels, width * (_BANDS if tokens else 1), 1, bias=False)
            for layer, width, tokens in zip(layers, widths, self._tokens, strict=True)
        )
        self.levels = nn.ModuleList(nn.GroupNorm(1, width) for width in widths)
        self.downs = nn.ModuleList(
            nn.Conv2d(before, after, 1) for before, after in pairwise(widths)
        )
        self.joins = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1, bias=False) for width in widths
        )
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for width in widths)
        self.asks = nn.ModuleList(nn.Linear(channels, 2 * width, bias=False) for width in widths)
        self.last = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.level = nn.Parameter(torch.tensor(_BEGIN))
        with torch.no_grad():
            for one in self.asks.parameters():
                one.normal_(std=_CONDITIONING_SPREAD / channels**0.5)
        freqs = torch.tensor(layers[-1].freqs) if layers[-1].freqs else _mel_spaced(plane)
        self.register_buffer("place", interpolation(freqs, plane.freqs()), persistent=False)

    def forward(self, maps: Sequence[Tensor], conditioning: Tensor, frames: int) -> Tensor:
        """Map layers (batch, channel, freq, frame) to gains (batch, freq, frame) in (0, 1).

        Parameters
        ----------
        maps : sequence of Tensor
            Of the layers that are mapped, in their order.
        conditioning : Tensor, shape (batch, channel of the first layer)
        frames : int
            Of the plane, for the sound the maps are of.
        """
        return self.logits(maps, conditioning, frames).float().sigmoid()

    def logits(self, maps: Sequence[Tensor], conditioning: Tensor, frames: int) -> Tensor:
        """Return what ``forward`` takes the sigmoid of."""
        last: Tensor | None = None
        first = maps[0] * conditioning[:, :, None, None] if self._weighted else maps[0]
        for k, one in enumerate([first, *maps[1:]]):
            level = self.readers[k](one) / _size(one)
            if self._tokens[k]:
                level = level.squeeze(2).unflatten(1, (-1, _BANDS))
            level = self.levels[k](level)
            if last is not None:
                before = self.downs[k - 1](last)
                level = level + functional.interpolate(
                    before, size=level.shape[2:], mode="bilinear", align_corners=False
                )
            level = self.norms[k](self.joins[k](level.relu()))
            scale, shift = self.asks[k](conditioning)[:, :, None, None].chunk(2, dim=1)
            last = (level * (1 + scale) + shift).relu()
        assert last is not None
        rows = self.last(last).squeeze(1) + self.level  # (batch, row, frame)
        if rows.shape[-1] != frames:
            rows = functional.interpolate(rows, size=frames, mode="linear", align_corners=False)
        return self.place @ (_STEEP * rows)


def _size(maps: Tensor) -> Tensor:
    """Return the root mean square of each clip's maps, so that their level does not matter."""
    norms = torch.linalg.vector_norm(maps, dim=(1, 2, 3), keepdim=True)
    return (norms / maps[0].numel() ** 0.5).clamp(min=_LEAST)


def interpolation(knots: Tensor, at: Tensor) -> Tensor:
    """Return the matrix (at, knot) that interpolates between knots, constant beyond them."""
    order = knots.argsort()
    sorted_knots = knots[order].contiguous()
    right = torch.searchsorted(sorted_knots, at).clamp(1, len(knots) - 1)
    left = right - 1
    gap = (sorted_knots[right] - sorted_knots[left]).clamp(min=1e-9)
    share = ((at - sorted_knots[left]) / gap).clamp(0, 1)
    matrix = torch.zeros(len(at), len(knots))
    rows = torch.arange(len(at))
    matrix[rows, order[left]] = 1 - share
    matrix[rows, order[right]] += share
    return matrix


def default_widths(layers: Sequence[HiddenLayer]) -> tuple[int, ...]:
    """Return widths of about half of a small classifier's work, a hundredth of a large one's."""
    count = sum(layer.mapped for layer in layers)
    if count == 1:
        return (32,)
    wide = [40, 32, 16, *[12] * count]
    return (*wide[: count - 1], 8)


def _mel_spaced(plane: Plane) -> Tensor:
    highest = float(hz_to_mel(torch.tensor(plane.rate / 2)))
    return mel_to_hz((torch.arange(_BANDS) + 0.5) / _BANDS * highest)
