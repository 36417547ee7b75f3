"""Models whose decision is known to depend on one region of the plane, and on nothing else."""

from __future__ import annotations

import atexit
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.plane.stft import Plane

RATE = 16000
TOY_PLANE = Plane(RATE, 256, 128)
# seconds and Hz of what each class listens to; far from the diagonal, so swapped axes show
REGIONS = ((0.30, 0.50, 5500.0, 6500.0), (1.00, 1.25, 1000.0, 2000.0))


class Magnitude(nn.Module):
    """The toy plane's magnitude as a front end."""

    def __init__(self) -> None:
        super().__init__()
        self.plane = TOY_PLANE

    def forward(self, magnitude: Tensor) -> Tensor:
        return magnitude.unsqueeze(1)


class RegionNet(nn.Module):
    """Hears only two regions; ``swap`` puts time before frequency inside, ``flip`` reverses time.

    Functional and in-place activations on purpose. With a ``stride`` the layer is coarser than
    the plane, and decoders of it are quicker to train.
    """

    def __init__(self, swap: bool = False, flip: bool = False, stride: int = 1) -> None:
        super().__init__()
        self.swap, self.flip = swap, flip
        self.filters = nn.Conv2d(2, 2, 3, stride, padding=1, groups=2, bias=False)
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.filters.weight.fill_(1 / 9)
            self.head.weight.copy_(torch.tensor([[40.0, -10.0], [-10.0, 40.0]]))
            self.head.bias.zero_()

    def forward(self, features: Tensor) -> Tensor:
        gates = torch.stack([region(*one, features.shape[-1]) for one in REGIONS])
        maps = features * gates.to(features)
        if self.swap:
            maps = maps.transpose(2, 3)
        if self.flip:
            maps = maps.flip(2 if self.swap else 3)
        return self.head(torch.relu_(self.filters(maps)).mean(dim=(2, 3)) * 500)


class WaveNet(nn.Module):
    """The same on waveforms, with a transform of its own."""

    def __init__(self, **kwargs: int) -> None:
        super().__init__()
        self.net = RegionNet(**kwargs)

    def forward(self, waves: Tensor) -> Tensor:
        return self.net(TOY_PLANE.analyse(waves).abs().unsqueeze(1))


def region(start: float, end: float, low: float, high: float, frames: int) -> Tensor:
    """Return which cells of the toy plane lie in a region, shape (freq, frame)."""
    times, freqs = TOY_PLANE.times(frames), TOY_PLANE.freqs()
    inside = ((freqs >= low) & (freqs <= high))[:, None] & ((times >= start) & (times <= end))
    return inside.float()


def spectral(**kwargs: int) -> Model:
    """A model on the plane's magnitude: the shortcut is taken."""
    return wrap(RegionNet(**kwargs), sample_rate=RATE, labels=["high", "low"], features=Magnitude())


def waveform(**kwargs: int) -> Model:
    """A model on waveforms: the inverse transform is taken."""
    return wrap(WaveNet(**kwargs), sample_rate=RATE, labels=["high", "low"])


class TwoLayers(nn.Module):
    """Two convolutions with different filters, so that each gives another Grad-CAM map."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 5, padding=2)
        self.second = nn.Conv2d(2, 2, 3, padding=1, stride=2)
        self.head = nn.Linear(2, 2)
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for weights in self.parameters():
                weights.copy_(torch.rand(weights.shape, generator=generator))

    def forward(self, features: Tensor) -> Tensor:
        maps = torch.relu(self.second(torch.relu(self.first(features))))
        return self.head(maps.mean(dim=(2, 3)))


def two_layers() -> Model:
    return wrap(TwoLayers(), sample_rate=RATE, features=Magnitude())


class Curved(nn.Module):
    """Logarithms of the power in the two regions: no gradient is constant."""

    def forward(self, features: Tensor) -> Tensor:
        gates = torch.stack([region(*one, features.shape[-1]) for one in REGIONS]).to(features)
        return ((features * gates) ** 2).sum(dim=(2, 3)).add(1e-6).log()


def curved() -> Model:
    return wrap(Curved(), sample_rate=RATE, labels=["high", "low"], features=Magnitude())


class Quadratic(nn.Module):
    """``score = sum of weights * magnitude^2``: every gradient is known in closed form."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, features: Tensor) -> Tensor:
        score = (self.weights * features[:, 0] ** 2).sum(dim=(1, 2))
        return torch.stack([score, -score], dim=1)


def quadratic(weights: Tensor) -> Model:
    return wrap(Quadratic(weights), sample_rate=RATE, labels=["a", "b"], features=Magnitude())


class Additive(nn.Module):
    """``score = sum of weights * magnitude``: linear in the gains."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, features: Tensor) -> Tensor:
        return (self.weights * features[:, 0]).sum(dim=(1, 2))[:, None]


def additive(weights: Tensor) -> Model:
    return wrap(
        Additive(weights), sample_rate=RATE, labels=["sum"], features=Magnitude(), output="scores"
    )


@cache
def two_sounds() -> str:
    """Return a folder of two sounds."""
    folder = Path(mkdtemp(prefix="earwitness-test-"))
    atexit.register(rmtree, folder)
    rng = np.random.default_rng(1)
    for number in (1, 2):
        soundfile.write(folder / f"{number}.wav", 0.1 * number * rng.standard_normal(RATE), RATE)
    return str(folder)
