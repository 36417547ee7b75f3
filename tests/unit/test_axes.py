"""Where layers lie, found by asking networks whose layout is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.layers.axes import LayerAxes, find_axes
from earwitness.layers.finding import _channels
from earwitness.layers.tokens import Tokens
from earwitness.models.registry import load_model
from earwitness.models.wrapping import wrap
from earwitness.models.zoo.checkpoint import default_recipe
from earwitness.pipeline import explain
from earwitness.plane.mel import hz_to_mel, mel_edges
from earwitness.types import Audio
from tests.toys import RATE, TOY_PLANE, Magnitude

SAMPLES = 24000


def axes_of(model: Any, layer: str, samples: int = SAMPLES) -> Any:
    modules = {layer: dict(model.module.named_modules())[layer]}
    return find_axes(model, modules, samples).get(layer)


class Strided(nn.Module):
    """One convolution with strides 3 (frequency) and 4 (time), axes in any order."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order = order
        stride = (3, 4) if order == "ft" else (4, 3)
        self.conv = nn.Conv2d(1, 6, (3, 4) if order == "ft" else (4, 3), stride=stride)
        self.head = nn.Linear(6, 2)

    def forward(self, features: Tensor) -> Tensor:
        if self.order == "tf":
            features = features.transpose(2, 3)
        return self.head(torch.relu(self.conv(features)).mean(dim=(2, 3)))


@pytest.mark.parametrize(("order", "time_axis", "freq_axis"), [("ft", 3, 2), ("tf", 2, 3)])
def test_strides_and_order_are_found(order: str, time_axis: int, freq_axis: int) -> None:
    axes = axes_of(wrap(Strided(order), sample_rate=RATE, features=Magnitude()), "conv")
    assert (axes.time_axis, axes.freq_axis) == (time_axis, freq_axis)
    # index k covers frames 4k..4k+3 and bins 3k..3k+2
    count = (TOY_PLANE.frames(SAMPLES) - 4) // 4 + 1
    times = (4 * np.arange(count) + 1.5) * TOY_PLANE.hop / RATE
    np.testing.assert_allclose(axes.times.numpy(), times, atol=0.02)
    freqs = (3 * np.arange(43) + 1) * RATE / TOY_PLANE.n_fft
    # no finer than the bands of the calibration, which are 1/24 of the mel scale
    mels = hz_to_mel(torch.from_numpy(freqs)).numpy()
    found = hz_to_mel(axes.freqs).numpy()
    np.testing.assert_allclose(found, mels, atol=float(hz_to_mel(torch.tensor(8000.0))) / 24)
    np.testing.assert_allclose(found[2:-6], mels[2:-6], atol=0.8)


@pytest.mark.parametrize("kind", ["conv1d", "lstm"])
def test_layers_without_a_frequency_axis(kind: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(TOY_PLANE.bins, 16, 5, padding=2)
            self.lstm = nn.LSTM(16, 12, batch_first=True)
            self.head = nn.Linear(12, 2)

        def forward(self, features: Tensor) -> Tensor:
            found, _ = self.lstm(torch.relu(self.conv(features[:, 0])).transpose(1, 2))
            return self.head(found.mean(dim=1))

    model = wrap(Net(), sample_rate=RATE, features=Magnitude())
    axes = axes_of(model, "conv" if kind == "conv1d" else "lstm")
    assert axes.freq_axis is None
    assert axes.time_axis == (2 if kind == "conv1d" else 1)
    noise = torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0)).numpy() * 0.1
    found = explain(model, Audio(noise, RATE, "noise"), "gradcam")
    assert found.attribution.details["axes"] == "time only"
    spread = np.ptp(found.attribution.values, axis=0)
    np.testing.assert_array_equal(spread, np.zeros_like(spread))


def test_a_waveform_network_is_placed_in_time() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 8, 400, stride=160)
            self.head = nn.Linear(8, 2)

        def forward(self, waves: Tensor) -> Tensor:
            return self.head(torch.relu(self.conv(waves[:, None])).mean(dim=2))

    axes = axes_of(wrap(Net(), sample_rate=RATE), "conv")
    wanted = (np.arange(len(axes.times)) * 160 + 199.5) / RATE
    np.testing.assert_allclose(axes.times.numpy(), wanted, atol=0.02)


def test_the_default_network_is_placed_through_its_mel_bands() -> None:
    recipe = default_recipe(["a", "b"])
    model = recipe.model(recipe.network(), "fresh")
    axes = axes_of(model, "blocks.4", 160000)  # rows of four mel bands
    assert (axes.time_axis, axes.freq_axis) == (3, 2)
    assert (np.diff(axes.freqs.numpy()) > -1e-6).all()
    centres = mel_edges(64, 0, 16000)[1:-1].numpy()
    rows = len(axes.freqs)
    wanted = centres.reshape(rows, -1).mean(axis=1)
    inner = slice(rows // 8, -rows // 8)
    np.testing.assert_allclose(axes.freqs.numpy()[inner], wanted[inner], rtol=0.15)


def test_coarse_layers_of_the_default_model_are_placed_within_a_row() -> None:
    model = load_model("esc10")
    highest = float(hz_to_mel(torch.tensor(16000.0)))
    centres = hz_to_mel(mel_edges(64, 0, 16000)[1:-1])
    for layer in ("blocks.1", "blocks.4", "blocks.7", "blocks.10"):
        axes = axes_of(model, layer, 160000)
        rows = len(axes.freqs)
        error = (hz_to_mel(axes.freqs) - centres.reshape(rows, -1).mean(dim=1)) / (highest / rows)
        # fields are cut off at the ends of the network's own bands
        assert float(error.abs().max()) < 1.1, layer
        assert float(error.abs().mean()) < 0.6, layer
        assert bool((axes.freqs.diff() > 0).all()), layer


class Halving(nn.Module):
    """Three blocks that halve both axes, on linear frequencies from bin ``low`` to ``high``."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.used = slice(low, high)
        sizes = [(1, 12), (12, 16), (16, 24)]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 3, stride=2, padding=1),
                nn.BatchNorm2d(b),
                nn.ReLU(),
                nn.Conv2d(b, b, 3, padding=1),
                nn.ReLU(),
            )
            for a, b in sizes
        )
        self.head = nn.Linear(24, 2)

    def forward(self, features: Tensor) -> Tensor:
        values = features[:, :, self.used]
        for block in self.blocks:
            values = block(values)
        return self.head(values.mean(dim=(2, 3)))


@pytest.mark.parametrize(("low", "high"), [(0, 129), (16, 81)])
@pytest.mark.parametrize("seed", [0, 1])
def test_wide_fields_on_linear_frequencies_are_placed_within_a_row(
    seed: int, low: int, high: int
) -> None:
    torch.manual_seed(seed)
    model = wrap(Halving(low, high), sample_rate=RATE, features=Magnitude())
    axes = axes_of(model, "blocks.2", 2 * SAMPLES)
    wanted = low + 8.0 * torch.arange(len(axes.freqs), dtype=torch.float64)
    error = axes.freqs * TOY_PLANE.n_fft / RATE / 8 - wanted / 8  # in rows
    assert float(error.abs().max()) < 1.0
    assert float(error.abs().mean()) < 0.4


class Leaking(nn.Module):
    """Halving on a spectrogram of its own, without a window, of the middle frequencies."""

    def __init__(self) -> None:
        super().__init__()
        self.halving = Halving(24, 89)

    def forward(self, waves: Tensor) -> Tensor:
        frames = waves.unfold(1, 256, 128)
        return self.halving(torch.fft.rfft(frames).abs().transpose(1, 2)[:, None])


@pytest.mark.parametrize("seed", [0, 1])
def test_ends_that_only_leak_into_a_layer_do_not_stretch_it(seed: int) -> None:
    torch.manual_seed(seed)
    axes = axes_of(wrap(Leaking(), sample_rate=RATE), "halving.blocks.2", 2 * SAMPLES)
    wanted = (24 + 8.0 * torch.arange(len(axes.freqs), dtype=torch.float64)) * RATE / 256
    error = (axes.freqs - wanted) / (8 * RATE / 256)
    assert float(error.abs().max()) < 1.0


@pytest.mark.parametrize(("start", "frequency"), [(0.4, 1000), (2.9, 6000)])
def test_a_burst_is_found_by_the_default_architecture(start: float, frequency: float) -> None:
    torch.manual_seed(0)
    recipe = default_recipe(["a", "b"])
    network = recipe.network()
    with torch.no_grad():
        network.head.weight.fill_(0.01)  # every map speaks for every class: loud is evidence
    rate = recipe.rate
    wave = np.zeros(4 * rate, np.float32)
    time = np.arange(int(0.25 * rate)) / rate
    wave[int(start * rate) :][: len(time)] = 0.5 * np.sin(2 * np.pi * frequency * time)
    found = explain(recipe.model(network, "fresh"), Audio(wave, rate, "burst"), "gradcam")
    values = found.attribution.values
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert start - 0.15 <= found.attribution.times[column] <= start + 0.4
    # the last layer has eight rows for 16 kHz: some 600 Hz each at the bottom
    error = abs(float(found.attribution.freqs[row]) - frequency)
    assert error <= max(600, 0.5 * frequency)


class Peaky(nn.Module):
    """Divides by the peak of its input before it listens."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        nn.init.constant_(self.conv.weight, 1 / 9)
        nn.init.zeros_(self.conv.bias)

    def forward(self, waves: Tensor) -> Tensor:
        waves = waves / waves.abs().amax(dim=1, keepdim=True).clamp(min=1e-6)
        heard = self.conv(TOY_PLANE.analyse(waves).abs()[:, None]).mean(dim=(1, 2, 3))
        return torch.stack([heard, -heard], dim=1)


@pytest.mark.parametrize("seconds", [1, 4])
def test_a_network_that_normalises_is_placed(seconds: int) -> None:
    wave = np.zeros(seconds * RATE, np.float32)
    time = np.arange(1280) / RATE
    wave[4800:6080] = 0.5 * np.sin(2 * np.pi * 1000 * time) * np.hanning(1280)  # at 0.34 s
    found = explain(
        wrap(Peaky(), sample_rate=RATE), Audio(wave, RATE, "burst"), "gradcam", target=0
    )
    row, column = np.unravel_index(
        found.attribution.values.argmax(), found.attribution.values.shape
    )
    np.testing.assert_allclose(found.attribution.times[column], 0.34, atol=0.02)
    np.testing.assert_allclose(found.attribution.freqs[row], 1000, atol=70)


class Cell(nn.Module):
    """Hears nothing but three bins in three frames."""

    def __init__(self, row: int, column: int, swap: bool) -> None:
        super().__init__()
        self.row, self.column, self.swap = row, column, swap
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        nn.init.constant_(self.conv.weight, 1 / 9)
        nn.init.zeros_(self.conv.bias)

    def forward(self, features: Tensor) -> Tensor:
        gate = torch.zeros_like(features)
        gate[:, :, self.row : self.row + 3, self.column : self.column + 3] = 1
        heard = features * gate
        maps = self.conv(heard.transpose(2, 3) if self.swap else heard)
        score = maps.mean(dim=(1, 2, 3)) * 1e4
        return torch.stack([score, -score], dim=1)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(("row", "column"), [(20, 30), (5, 80), (60, 60), (100, 150)])
def test_a_single_small_cell_is_found(row: int, column: int, swap: bool) -> None:
    noise = torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0)).numpy() * 0.1
    model = wrap(Cell(row, column, swap), sample_rate=RATE, features=Magnitude())
    found = explain(model, Audio(noise, RATE, "noise"), "gradcam", target=0)
    place = np.unravel_index(found.attribution.values.argmax(), found.attribution.values.shape)
    assert abs(int(place[0]) - (row + 1)) <= 1
    assert abs(int(place[1]) - (column + 1)) <= 1


@pytest.mark.parametrize("seed", range(8))
def test_channels_are_not_taken_for_frequencies(seed: int) -> None:
    class Narrow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(TOY_PLANE.bins, 16, 3, padding=1)
            self.head = nn.Linear(16, 2)

        def forward(self, features: Tensor) -> Tensor:
            gate = torch.zeros_like(features[:, 0])
            gate[:, 40:44] = 1
            return self.head(torch.relu(self.conv(features[:, 0] * gate)).mean(dim=2))

    torch.manual_seed(seed)
    axes = axes_of(wrap(Narrow(), sample_rate=RATE, features=Magnitude()), "conv")
    assert (axes.time_axis, axes.freq_axis) == (2, None)


def test_two_channels_of_different_bands_are_not_taken_for_frequencies() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(TOY_PLANE.bins, 2, 3, padding=1)
            with torch.no_grad():
                self.conv.weight.zero_()
                self.conv.weight[0, 5:15] = 1
                self.conv.weight[1, 80:100] = 1

        def forward(self, features: Tensor) -> Tensor:
            return torch.relu(self.conv(features[:, 0])).mean(dim=2)

    axes = axes_of(wrap(Two(), sample_rate=RATE, features=Magnitude()), "conv")
    assert (axes.time_axis, axes.freq_axis) == (2, None)


def test_two_rows_beside_channels_are_an_axis_of_frequency() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 8, (64, 3), stride=(64, 1), padding=(0, 1))

        def forward(self, features: Tensor) -> Tensor:
            return torch.relu(self.conv(features)).mean(dim=(2, 3))

    torch.manual_seed(0)
    axes = axes_of(wrap(Rows(), sample_rate=RATE, features=Magnitude()), "conv")
    assert (axes.time_axis, axes.freq_axis) == (3, 2)
    # bins 0 to 63 and 64 to 127 of 62.5 Hz; the mean in mel lies below the middle in Hz
    assert 0 < float(axes.freqs[0]) < 4000 < float(axes.freqs[1]) < 8000


def test_a_layer_that_hears_only_loud_sounds_is_found() -> None:
    class Deaf(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)
            nn.init.ones_(self.conv.weight)
            nn.init.constant_(self.conv.bias, -0.02)
            self.relu = nn.ReLU()

        def forward(self, features: Tensor) -> Tensor:
            heard = self.relu(self.conv(features)).mean(dim=(1, 2, 3))
            return torch.stack([heard, -heard], dim=1)

    axes = axes_of(wrap(Deaf(), sample_rate=RATE, features=Magnitude()), "relu")
    assert (axes.time_axis, axes.freq_axis) == (3, 2)


def test_a_module_used_at_places_of_several_sizes_is_passed_over() -> None:
    class Reused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 2, 3, padding=1)
            self.second = nn.Conv2d(2, 2, 3, padding=1, stride=2)
            self.relu = nn.ReLU()

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            maps = self.relu(self.first(features))
            return self.relu(self.second(maps)).mean(dim=(2, 3))

    torch.manual_seed(0)
    net = Reused()
    model = wrap(net, sample_rate=RATE, features=Magnitude())
    found = find_axes(model, dict(net.named_children()), 16000)
    assert "first" in found
    assert "relu" not in found


def test_an_output_whose_tokens_make_no_grid_has_no_channels() -> None:
    """As of a network with a state, which has outputs of other lengths than it was asked with."""
    grid = LayerAxes(2, 1, torch.arange(22.0), torch.arange(8.0), Tokens(1, 0, 0, 8, True))
    assert _channels(grid, torch.Size([1, 8 * 22, 5])) == 5
    assert _channels(grid, torch.Size([1, 186, 5])) == 0
