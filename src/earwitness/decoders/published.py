"""L-MAC's published decoder, to load its weights and to reproduce its results.

Nine transposed convolutions upsample and sum the outputs of CNN14's last four blocks (Paissan,
Ravanelli, Subakan 2024; sizes as in the SpeechBrain implementation). It needs about ninety times
the operations of ``Decoder``. The published code accepts 7 of 32 lengths. Here, terms of unequal
size are cropped to their intersection, and missing frames at the end repeat the last one. It was
designed for 80 mel bands: with 64, as in PANNs' front end, it covers three quarters of the plane's
bins, and those above repeat the last one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from earwitness.errors import NotApplicableError
from earwitness.layers.finding import HiddenLayer
from earwitness.models.model import Model
from earwitness.plane.stft import Plane

_BLOCKS = ("conv_block6", "conv_block5", "conv_block4", "conv_block3")
# kernel, stride and padding along (frame, mel) of each layer; channels as shares of the deepest
_LAYERS: tuple[tuple[int, int, tuple[int, int], tuple[int, int], tuple[int, int]], ...] = (
    (1, 1, (3, 3), (2, 4), (1, 1)),
    (2, 1, (3, 3), (2, 4), (1, 1)),
    (1, 1, (7, 4), (2, 4), (1, 1)),
    (4, 1, (5, 4), (2, 4), (1, 1)),
    (1, 2, (3, 5), (2, 2), (1, 1)),
    (8, 2, (3, 3), (2, 4), (1, 1)),
    (2, 4, (4, 3), (2, 2), (0, 5)),
    (4, 8, (3, 4), (2, 2), (0, 2)),
    (8, 0, (1, 5), (1, 4), (0, 0)),
)


def published_layers(model: Model) -> tuple[HiddenLayer, ...]:
    """Return CNN14's last four blocks, deepest first; outputs are (batch, channel, frame, mel).

    Raises
    ------
    NotApplicableError
        If the model has no such blocks.
    """
    modules = {} if model.module is None else dict(model.module.named_modules())
    missing = [name for name in _BLOCKS if f"{name}.conv2" not in modules]
    if missing:
        raise NotApplicableError(
            f"the published decoder takes CNN14's last four blocks; {model.name} has no "
            f"{missing[0]}"
        )
    channels = (int(modules[f"{name}.conv2"].weight.shape[0]) for name in _BLOCKS)
    return tuple(HiddenLayer(name, 2, 3, n, ()) for name, n in zip(_BLOCKS, channels, strict=True))


class PublishedDecoder(nn.Module):
    """Decoder from the activations of the last four blocks to gains on ``ln(1 + |X|)``.

    Its modules have the names of the published weights (``convt1`` to ``convt9``).

    Parameters
    ----------
    plane : Plane
    width : int, divisible by 8
        Channels of the deepest block; 2048 in CNN14. The others have 1/2, 1/4 and 1/8 of it.
    """

    conditioned = False
    sized = False

    def __init__(self, plane: Plane, width: int = 2048) -> None:
        super().__init__()
        self.bins = plane.bins
        for number, (before, after, kernel, stride, padding) in enumerate(_LAYERS, start=1):
            outputs = width // after if after else 1
            layer = nn.ConvTranspose2d(width // before, outputs, kernel, stride, padding)
            self.add_module(f"convt{number}", layer)

    def forward(
        self,
        maps: Sequence[Tensor],
        conditioning: Tensor | None,
        frames: int,
        magnitude: Tensor | None = None,
        share: Tensor | None = None,
    ) -> Tensor:
        """Map blocks (batch, channel, mel, frame), deepest first, to gains (batch, freq, frame).

        Conditioning, magnitude and share are ignored.
        """
        return self.logits(maps, conditioning, frames, magnitude, share).float().sigmoid()

    def logits(
        self,
        maps: Sequence[Tensor],
        conditioning: Tensor | None,
        frames: int,
        magnitude: Tensor | None = None,
        share: Tensor | None = None,
    ) -> Tensor:
        """Return the logits of the gains; see ``forward``."""
        del conditioning, magnitude, share
        deep, second, third, fourth = (one.transpose(2, 3) for one in maps)
        total = _sum(self._layer(1, deep), self._layer(2, second))
        total = _sum(self._layer(3, total), self._layer(4, third))
        total = _sum(self._layer(5, total), self._layer(6, fourth))
        total = self.get_submodule("convt8")(self._layer(7, total))
        found = self.get_submodule("convt9")(total)[:, 0, :frames, : self.bins].transpose(1, 2)
        missing = (0, frames - found.shape[2], 0, self.bins - found.shape[1])
        return functional.pad(found, missing, mode="replicate")

    def _layer(self, number: int, maps: Tensor) -> Tensor:
        result: Tensor = self.get_submodule(f"convt{number}")(maps)
        return torch.relu(result)


def _sum(one: Tensor, other: Tensor) -> Tensor:
    rows, columns = (min(one.shape[axis], other.shape[axis]) for axis in (2, 3))
    return one[:, :, :rows, :columns] + other[:, :, :rows, :columns]
