"""Maps of layers are zero where the network reads nothing, and layers are found in any network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from earwitness.layers.choosing import deciding_layer
from earwitness.layers.recording import leaf_modules
from earwitness.models.model import Model
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.plane.mel import mel_edges
from tests.toys import RATE

SAMPLES = 24000
HOP, N_FFT = 64, 256


class Reads(nn.Module):
    """Two convolutions of what ``part`` gives of the magnitudes (batch, freq, frame) of a wave."""

    def __init__(self, part: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.part = part
        self.first = nn.Conv2d(1, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, 2)

    def forward(self, waves: Tensor) -> Tensor:
        window = torch.hann_window(N_FFT)
        magnitudes = torch.stft(waves, N_FFT, HOP, window=window, return_complex=True).abs()
        maps = torch.log1p(100 * self.part(magnitudes))[:, None]
        maps = nn.functional.avg_pool2d(torch.relu(self.first(maps)), 2)
        found: Tensor = self.head(torch.relu(self.second(maps)).mean(dim=(2, 3)))
        return found


def bands(low: float, high: float) -> Callable[[Tensor], Tensor]:
    """Return 24 triangular bands, spaced in mel."""
    edges = mel_edges(24, low, high)
    freqs = torch.linspace(0, RATE / 2, N_FFT // 2 + 1, dtype=torch.float64)[:, None]
    up = (freqs - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - freqs) / (edges[2:] - edges[1:-1])
    weights = torch.minimum(up, down).clamp(min=0).T.float()
    return lambda magnitudes: weights @ magnitudes


def shown(method: str, part: Callable[[Tensor], Tensor]) -> Any:
    noise = 0.1 * np.random.default_rng(0).standard_normal(SAMPLES).astype(np.float32)
    model = wrap(Reads(part).eval(), sample_rate=RATE, labels=["a", "b"], output="logits")
    return explain(model, (noise, RATE), method, trust="none", target="b").attribution


NYQUIST, END = RATE / 2, SAMPLES / RATE


@pytest.mark.parametrize("method", ["gradcam", "iba"])
@pytest.mark.parametrize(
    ("part", "band", "span"),
    [
        (lambda m: m[:, :33], (0, 33 * RATE / N_FFT), (0, END)),
        (bands(0.0, 2000.0), (0, 2000), (0, END)),
        (bands(1500.0, 4000.0), (1500, 4000), (0, END)),
        (lambda m: m[:, :, :125], (0, NYQUIST), (0, 125 * HOP / RATE)),
        (lambda m: m[:, :, -125:], (0, NYQUIST), (END - 125 * HOP / RATE, END)),
    ],
)
def test_nothing_is_attributed_to_what_the_network_does_not_read(
    method: str,
    part: Callable[[Tensor], Tensor],
    band: tuple[float, float],
    span: tuple[float, float],
) -> None:
    found = shown(method, part)
    values = np.abs(np.asarray(found.values))
    # a change of a few cells beside the edge leaks over it
    hertz, seconds = 4 * RATE / N_FFT, 5 * HOP / RATE
    inside = (found.freqs >= band[0] - hertz) & (found.freqs <= band[1] + hertz)
    within = (found.times >= span[0] - seconds) & (found.times <= span[1] + seconds)
    assert values[~inside].sum() + values[:, ~within].sum() == 0
    marginal = values.sum(axis=1)[inside], values.sum(axis=0)[within]
    assert all(one[:12].any() and one[-12:].any() for one in marginal)  # to both edges


def test_a_network_that_reads_everything_has_no_edges() -> None:
    counted: list[int] = []
    for part in (lambda m: m, bands(0.0, NYQUIST)):
        model = wrap(Reads(part).eval(), sample_rate=RATE, labels=["a", "b"], output="logits")
        layer = layer_of(model, counted.append)
        assert layer.axes.band == layer.axes.span == (-np.inf, np.inf)
    # a gradient counts 3; the noise and six changes of it locate a layer, and four try the ends
    assert sum(counted) == 2 * (3 + 7 + 4)


def layer_of(model: Model, tick: Callable[[int], object] = lambda _count: None) -> Any:
    with model.undisturbed():
        noise = 0.1 * torch.randn(1, SAMPLES, generator=torch.Generator().manual_seed(0))
        target = make_target(model, model(noise)[0].detach(), 0)
        return deciding_layer(model, target, SAMPLES, lambda count: tick(count) and None)


def weighted(network: Reads) -> nn.Module:
    parametrizations.weight_norm(network.first)
    parametrizations.weight_norm(network.second)
    return network


class Cast(nn.Module):
    """A network that computes in half precision, with weights in single precision."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, waves: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            found: Tensor = self.network(waves)
        return found.float()


def test_modules_with_parametrizations_are_leaves() -> None:
    gru, conv = nn.GRU(4, 4), nn.Conv1d(4, 4, 1)
    parametrizations.weight_norm(gru, "weight_hh_l0")
    parametrizations.weight_norm(conv)
    network = nn.Sequential(nn.Sequential(conv, nn.ReLU()), gru)
    assert list(leaf_modules(network)) == ["0.0", "0.1", "1"]
    assert leaf_modules(None) == {}


class Sized(Reads):
    """A network that is false as a condition."""

    def __len__(self) -> int:
        return 0


def test_a_network_of_length_0_has_its_layers() -> None:
    model = wrap(Sized(lambda m: m).eval(), sample_rate=RATE, labels=["a", "b"], output="logits")
    assert layer_of(model).name == "second"


@pytest.mark.parametrize(("change", "name"), [(weighted, "second"), (Cast, "network.second")])
def test_layers_with_parametrizations_or_under_autocast_are_found(
    change: Callable[[Reads], nn.Module], name: str
) -> None:
    plain = wrap(Reads(lambda m: m).eval(), sample_rate=RATE, labels=["a", "b"], output="logits")
    model = wrap(
        change(Reads(lambda m: m).eval()), sample_rate=RATE, labels=["a", "b"], output="logits"
    )
    assert layer_of(plain).name == "second"
    found = layer_of(model)
    assert (found.name, found.axes.freq_axis) == (name, 2)
