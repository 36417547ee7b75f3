"""An information bottleneck at a layer (Schulz et al. 2020): noise in place of activations.

The bottleneck replaces an activation ``R`` by ``Z = keep R + (1 - keep) e`` with noise
``e ~ N(mu, sigma^2)``. The information that ``Z`` has about the input is at most
``KL(N(keep R + (1 - keep) mu, (1 - keep)^2 sigma^2) || N(mu, sigma^2))`` (eq. 6 there). ``mu`` and
``sigma`` are of one channel at one frequency: sounds are not aligned in time as pictures are in
place, so all frames count alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from earwitness.layers.axes import LayerAxes
from earwitness.layers.placing import as_maps, as_output

_LEAST_NOISE = 1e-6  # of 1 - keep; the information would be infinite at 0
_CONSTANT = 1e-6  # of the root mean square deviation; a feature with less is constant
_LEAST_DEVIATION = 1e-2  # of the root mean square deviation, as the divisor
_RADIUS = 3  # standard deviations of the smoothing kernel
Draw = Callable[[torch.Size], Tensor]


class Moments:
    """Mean and standard deviation of every channel and frequency, of any number of outputs."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: Tensor | None = None
        self._square: Tensor | None = None  # sum of squared differences from the mean

    def add(self, maps: Tensor) -> None:
        """Add values (batch, channel, freq, frame), which are not kept."""
        maps = maps.detach().double()
        count = len(maps) * maps.shape[-1]
        mean = maps.mean(dim=(0, 3))
        square = (maps - mean[..., None]).square().sum(dim=(0, 3))
        if self._mean is None or self._square is None:
            self._count, self._mean, self._square = count, mean, square
            return
        total, step = self._count + count, mean - self._mean
        self._square = self._square + square + step.square() * self._count * count / total
        self._mean, self._count = self._mean + step * count / total, total

    def statistics(self) -> Statistics:
        """Return the mean and the standard deviation, both (channel, freq)."""
        if self._mean is None or self._square is None:
            raise ValueError("no values were added")
        return Statistics(self._mean.float(), (self._square / self._count).sqrt().float())


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of a layer's output.

    Attributes
    ----------
    mean, deviation : Tensor, shape (channel, freq)
    """

    mean: Tensor
    deviation: Tensor

    @property
    def varies(self) -> Tensor:
        """Which features vary, shape (channel, freq, 1); a constant one has no information."""
        return (self.deviation > _CONSTANT * self._usual)[..., None]

    @property
    def divisor(self) -> Tensor:
        """The standard deviation, not much below that of the other features (channel, freq, 1)."""
        least = max(_LEAST_DEVIATION * self._usual, torch.finfo(torch.float32).tiny)
        return self.deviation.clamp(min=least)[..., None]

    @property
    def _usual(self) -> float:
        return float(self.deviation.double().square().mean().sqrt())

    def normalised(self, maps: Tensor) -> Tensor:
        """Return ``(R - mu) / sigma`` for maps (batch, channel, freq, frame)."""
        return (maps - self.mean[..., None]) / self.divisor


def information(normalised: Tensor, keep: Tensor) -> Tensor:
    """Return the divergence of every feature in nats.

    Parameters
    ----------
    normalised : Tensor
        ``(R - mu) / sigma``.
    keep : Tensor
        Share of the activation in [0, 1], as opposed to noise.

    Examples
    --------
    >>> float(information(torch.tensor(2.0), torch.tensor(0.0)))
    0.0
    """
    noise = (1 - keep).clamp(min=_LEAST_NOISE)
    return (noise.square() + (keep * normalised).square() - 1) / 2 - noise.log()


def smoothed(maps: Tensor, width: float) -> Tensor:
    """Blur maps (batch, channel, freq, frame) along both axes; edges are repeated outwards.

    Parameters
    ----------
    width : float
        Standard deviation of the Gaussian kernel in cells of the layer; 0 for none.
    """
    if not width:
        return maps
    radius = max(1, math.ceil(_RADIUS * width))
    places = torch.arange(-radius, radius + 1, device=maps.device, dtype=maps.dtype)
    kernel = (-0.5 * (places / width) ** 2).exp()
    kernel = kernel / kernel.sum()
    flat = maps.flatten(0, 1).unsqueeze(1)
    for axis in (2, 3):
        if flat.shape[axis] == 1:
            continue
        pad = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
        shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
        flat = functional.conv2d(functional.pad(flat, pad, mode="replicate"), kernel.view(shape))
    return flat.reshape(maps.shape)


@dataclass(frozen=True)
class Bottleneck:
    """What takes the place of a layer's output.

    Attributes
    ----------
    axes : LayerAxes
    statistics : Statistics
    keep : Tensor, shape (window, channel, freq, frame)
        Share of the activation.
    draw : callable
        Returns standard normal noise of a shape.
    """

    axes: LayerAxes
    statistics: Statistics
    keep: Tensor
    draw: Draw

    def __call__(self, _name: str, output: Tensor) -> Tensor:
        """Return the output with noise, in its own layout; the batch is draws of every window."""
        maps = as_maps(output.detach(), self.axes).float()
        keep = self.keep.repeat_interleave(len(maps) // len(self.keep), dim=0)
        one = self.statistics
        noise = one.mean[..., None] + one.divisor * self.draw(maps.shape)
        mixed = torch.where(one.varies, keep * maps + (1 - keep) * noise, maps)
        return as_output(mixed, output, self.axes).to(output.dtype)
