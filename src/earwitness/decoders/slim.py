"""A small decoder from a classifier's activations to gains on the plane.

A smaller version of L-MAC's decoder (Paissan, Ravanelli, Subakan 2024, section 2.2): a 1x1
convolution reduces the channels of each layer, the result of the deeper layers is upsampled and
added, and a 3x3 convolution follows. The last map has the frequencies of the finest layer and is
interpolated linearly to the bins and frames of the plane, so any length gives (freq, frame) gains.

The decoder is conditioned on the target by the mean gradient of that output with respect to each
channel of the deepest layer (``Activations.conditioning``). The conditioning weights the channels
of that layer, and scales and shifts the features at every level (FiLM). So the decoder has no
weights that are specific to a class.

A sized decoder takes the share of cells to keep as well. Without a share the sigmoid of its logits
``L`` is a soft mask. With one, cells are ordered by ``z = L + a ln(|X| / rms)``, with a fixed
multiple ``a`` of the cell's level, and the mask is the share of cells of largest ``z``. So one
decoder serves every size. The level orders cells that ``L`` does not tell apart. Learnt by the
straight-through gradient, ``a`` ends near 0, where masks are worse. Soft gains have no such term,
since it does not depend on the model.

A guided decoder upsamples its last map by local linear models of the input, as a guided filter does
(He, Sun, Tang 2010; learnt: Gharbi et al. 2017): ``L = l + u c``, with ``l`` and ``u`` of its own
bands and frames, and the contrast ``c`` of the cell to its neighbourhood. So it can keep or remove
partials and onsets, or the noise between them, which the bands of the classifier do not resolve.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.layers.finding import HiddenLayer
from earwitness.plane.contrast import contrast
from earwitness.plane.cutting import cut, loudness
from earwitness.plane.knots import interpolate
from earwitness.plane.mel import hz_to_mel, mel_to_hz
from earwitness.plane.stft import Plane

_BANDS = 16  # that a layer without a frequency axis is unfolded into, per frame
_BEGIN = 0.25  # initial bias of the map; gains start at 0.73, keeping most of the input
_GUIDE = 0.25  # of the contrast, which is 1 for few cells
_STEEP = 4.0  # factor on the logits; reaches gains near 0 and 1 with small weights
_CONDITIONING_SPREAD = 0.5  # initial standard deviation of scales and shifts
_LEAST = 1e-12  # root mean square; avoids a division by zero for silent activations
_LEVEL = 1.5  # multiple of the level (benchmarks/lmac_level.md)
_MIDDLE = 0.1  # share at which the size's code is neutral
_SIZE_CODE = 2  # channels: whether a share is asked for, and its logarithm


class Decoder(nn.Module):
    """Decoder from activations and a conditioning to gains on the plane.

    Parameters
    ----------
    layers : sequence of HiddenLayer
        Deepest first; the conditioning belongs to the first.
    plane : Plane
    widths : sequence of int
        Channels of the decoder at each mapped layer.
    sized : bool
        Whether it takes the share of cells to keep, and levels.
    guided : bool
        Whether its logits follow the contrast of the input, and it takes levels.
    """

    conditioned = True
    place: Tensor
    loudness: Tensor

    def __init__(
        self,
        layers: Sequence[HiddenLayer],
        plane: Plane,
        widths: Sequence[int],
        *,
        sized: bool = False,
        guided: bool = False,
    ) -> None:
        super().__init__()
        self.sized, self.guided = sized, guided
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
        given = channels + (_SIZE_CODE if sized else 0)
        self.asks = nn.ModuleList(nn.Linear(given, 2 * width, bias=False) for width in widths)
        self.last = nn.Conv2d(widths[-1], 2 if guided else 1, 3, padding=1, bias=False)
        self.level = nn.Parameter(torch.tensor(_BEGIN))
        if sized:
            self.register_buffer("loudness", torch.tensor(_LEVEL))  # decoders may have their own
        with torch.no_grad():
            # drawing meta tensors would import much of torch, for a second
            for one in (own for own in self.asks.parameters() if not own.is_meta):
                one.normal_(std=_CONDITIONING_SPREAD / channels**0.5)
        freqs = torch.tensor(layers[-1].freqs) if layers[-1].freqs else _mel_spaced(plane)
        self.register_buffer(
            "place", interpolate(torch.eye(len(freqs)), freqs, plane.freqs()).T, persistent=False
        )

    def forward(
        self,
        maps: Sequence[Tensor],
        conditioning: Tensor,
        frames: int,
        magnitude: Tensor | None = None,
        share: Tensor | None = None,
    ) -> Tensor:
        """Map activations (batch, channel, freq, frame) to gains (batch, freq, frame) in [0, 1].

        Parameters
        ----------
        maps : sequence of Tensor
            Activations of the mapped layers, in their order.
        conditioning : Tensor, shape (batch, channel of the first layer)
        frames : int
            Number of frames of the plane for this sound.
        magnitude : Tensor, shape (batch, freq, frame)
            Linear magnitude of the input, for a share or a guided decoder.
        share : Tensor, shape (batch,), optional
            Share of cells to keep; gains are then 0 or 1, and gradients pass as through a sigmoid.
        """
        logits = self.logits(maps, conditioning, frames, magnitude, share).float()
        return logits.sigmoid() if share is None else cut(logits, share)

    def logits(
        self,
        maps: Sequence[Tensor],
        conditioning: Tensor,
        frames: int,
        magnitude: Tensor | None = None,
        share: Tensor | None = None,
    ) -> Tensor:
        """Return the logits of the gains, which order the cells."""
        asked = conditioning
        if self.sized:
            asked = torch.cat([conditioning, _size_code(share, conditioning)], dim=1)
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
            scale, shift = self.asks[k](asked)[:, :, None, None].chunk(2, dim=1)
            last = (level * (1 + scale) + shift).relu()
        assert last is not None
        rows = self.last(last)
        rows = torch.cat([rows[:, :1] + self.level, rows[:, 1:]], dim=1)
        rows = rows.flatten(0, 1)  # (batch * map, row, frame)
        if rows.shape[-1] != frames:
            rows = functional.interpolate(rows, size=frames, mode="linear", align_corners=False)
        found, *slope = (self.place @ (_STEEP * rows)).unflatten(0, (len(asked), -1)).unbind(1)
        cut_to_share = self.sized and share is not None
        if not (self.guided or cut_to_share):
            return found
        assert magnitude is not None
        loud = loudness(magnitude)
        if self.guided:
            found = torch.addcmul(found, slope[0], contrast(loud), value=_GUIDE)
        return found + self.loudness * loud if cut_to_share else found


def _size(maps: Tensor) -> Tensor:
    """Return the root mean square of each clip's activations, used to normalise them."""
    norms = torch.linalg.vector_norm(maps, dim=(1, 2, 3), keepdim=True)
    return (norms / maps[0].numel() ** 0.5).clamp(min=_LEAST)


def _size_code(share: Tensor | None, like: Tensor) -> Tensor:
    """Return the code (batch, 2) of shares (batch,): zeros where none is asked for."""
    if share is None:
        return like.new_zeros(len(like), _SIZE_CODE)
    logs = (share.to(like) / _MIDDLE).log()
    return torch.stack([torch.ones_like(logs), logs], dim=1)


def default_widths(layers: Sequence[HiddenLayer]) -> tuple[int, ...]:
    """Return widths that cost about half of a small classifier, a hundredth of a large one."""
    count = sum(layer.mapped for layer in layers)
    if count == 1:
        return (32,)
    wide = [40, 32, 16, *[12] * count]
    return (*wide[: count - 1], 8)


def _mel_spaced(plane: Plane) -> Tensor:
    highest = float(hz_to_mel(torch.tensor(plane.rate / 2)))
    return mel_to_hz((torch.arange(_BANDS) + 0.5) / _BANDS * highest)
