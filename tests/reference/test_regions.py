"""Region search: against all rectangles in float64, and planted bursts at known places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from earwitness.methods.region_search import _Search
from earwitness.methods.registry import METHODS
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.perturbation.pieces.bands import erb_edges
from earwitness.perturbation.regions import Grid, Region, coarse_regions
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.types import Audio, Target
from tests.reference import slow_pieces
from tests.toys import RATE, TOY_PLANE, Magnitude, additive

SAMPLES = 24000  # 1.5 s
SHAPE = (TOY_PLANE.bins, TOY_PLANE.frames(SAMPLES))


def noise(seed: int = 0) -> torch.Tensor:
    return 0.01 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(seed))


def searched(where: Probe, **options: Any) -> Any:
    spec = METHODS.get("region-search")
    return spec.function(where, **spec.settle(options))


def erb_rate(frequency: float) -> float:
    """Glasberg and Moore 1990, eq. 4."""
    return 21.4 * np.log10(1 + 4.37 * frequency / 1000)


@pytest.mark.parametrize("compact", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("centre", [(0.2, 0.3), (0.5, 0.9), (0.8, 0.6)])
def test_the_first_region_is_the_best_of_all_rectangles(
    compact: float, centre: tuple[float, float]
) -> None:
    # a hill of weights, no grid's edges, that is negative around
    rows_at, columns_at = (torch.linspace(0, 1, size) for size in SHAPE)
    across = (rows_at[:, None] - centre[0]).square() / 0.02
    weights = (-across - (columns_at - centre[1]).square() / 0.03).exp() - 0.1
    where = Probe(additive(weights), noise(), Target(0, "sum", "value"))
    found = searched(where, background="silence", regions=1, segments=8, bands=6, compact=compact)
    freqs, times = (one.double().numpy() for one in (where.freqs, where.times))
    rates = np.linspace(0, erb_rate(RATE / 2), 7)
    edges = 1000 / 4.37 * (10 ** (rates / 21.4) - 1)
    seconds = np.linspace(0, SAMPLES / RATE, 9)
    rows = slow_pieces.raised_cosines(freqs, edges, 4 * RATE / 256)
    columns = slow_pieces.raised_cosines(times, seconds, 2 * 128 / RATE)
    cells = weights.double().numpy() * where.magnitude.double().numpy()
    place, effect, size = slow_pieces.best_rectangle(rows, columns, seconds, rates, cells, compact)
    first, last, low, high = place
    np.testing.assert_allclose(found.details["effects"], [effect], rtol=1e-3)
    wanted = rows[low:high].sum(0)[:, None] * columns[first:last].sum(0) * effect / size
    np.testing.assert_allclose(found.values.numpy(), wanted, rtol=2e-3, atol=1e-3 * wanted.max())


LIMIT = 1e-3


class Loud(nn.Module):
    """Five, minus what is louder than a limit in the mean."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return 5 - 1e3 * (features[:, 0] - LIMIT).relu().mean(dim=(1, 2))[:, None]


def quality() -> Any:
    return wrap(
        Loud(), sample_rate=RATE, labels=["MOS"], features=Magnitude(), output="scores",
        task="regression",
    )  # fmt: skip


def burst(start: float, end: float, low: float, high: float) -> torch.Tensor:
    """Return noise in a band of frequencies and a stretch of time, and nothing else."""
    first, last = round(start * RATE), round(end * RATE)
    spectrum = torch.fft.rfft(torch.randn(last - first, generator=torch.Generator().manual_seed(1)))
    freqs = torch.fft.rfftfreq(last - first, 1 / RATE)
    band = torch.fft.irfft(spectrum * ((freqs > low) & (freqs < high)), last - first)
    return torch.nn.functional.pad(band / band.std(), (first, SAMPLES - last))


@pytest.mark.parametrize("background", ["silence", "median", "noise-floor"])
@pytest.mark.parametrize(("times", "bands"), [((0.30, 0.55), (10, 14)), ((0.80, 1.00), (17, 22))])
def test_a_burst_is_found_at_its_time_and_band_exactly(
    times: tuple[float, float], bands: tuple[int, int], background: str
) -> None:
    edges = erb_edges(24, RATE / 2)
    low, high = edges[list(bands)].tolist()
    model, wave = quality(), noise() + 0.2 * burst(*times, low, high)
    clip = Audio(wave.numpy(), RATE)
    found = explain(model, clip, "region-search", direction="down", background=background)
    details = found.attribution.details
    assert details["regions"] == [f"{times[0]:.2f}-{times[1]:.2f} s, {low:.0f}-{high:.0f} Hz"]
    assert details["settled"]
    rows, columns = np.nonzero(found.attribution.values > 0.5 * found.attribution.values.max())
    assert abs(found.attribution.times[columns.min()] - times[0]) < 0.01
    assert abs(found.attribution.times[columns.max()] - times[1]) < 0.01
    assert abs(found.attribution.freqs[rows.min()] - low) < RATE / 256
    assert abs(found.attribution.freqs[rows.max()] - high) < RATE / 256
    # as a piece: its effect, and its sound
    piece, rest = found.pieces
    assert (piece.weight, rest.name, rest.weight) == (details["effects"][0], "all else", 0.0)
    assert piece.energy > 0.85
    assert details["effects"][0] > 0.8 * (5 - float(model(torch.from_numpy(clip.samples)[None])))


def test_two_bursts_are_two_regions_and_the_effects_add_up() -> None:
    edges = erb_edges(24, RATE / 2)
    one = 0.4 * burst(0.30, 0.55, *edges[[10, 14]].tolist())
    two = 0.1 * burst(1.00, 1.20, *edges[[17, 22]].tolist())
    model, wave = quality(), noise() + one + two
    where = Probe(model, wave, make_target(model, torch.zeros(1), direction="down"))
    found = searched(where, background="silence", regions=3)
    assert [name.split(",")[0] for name in found.details["regions"]] == [
        "0.30-0.55 s",
        "1.00-1.20 s",
    ]
    first, second = found.details["effects"]
    assert first > second > 0
    switches = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    gains = found.played.mix(switches)
    scores = where.score(gains)
    torch.testing.assert_close(gains[2], torch.ones(SHAPE), rtol=0, atol=1e-6)
    np.testing.assert_allclose(float(scores[2] - scores[0]), first, rtol=1e-4)
    np.testing.assert_allclose(float(scores[0] - scores[1]), second, rtol=1e-4)
    # one of two is not enough to settle; nothing positive is no region
    assert not searched(where, background="silence", regions=1).details["settled"]
    up = Probe(model, wave, make_target(model, torch.zeros(1), direction="up"))
    nothing = searched(up, background="silence")
    assert nothing.details["effects"] == []
    assert float(nothing.values.abs().max()) == 0.0


def test_regions_that_overlap_share_no_cell_and_sum_to_the_sound() -> None:
    weights = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    where = Probe(additive(weights), noise(), Target(0, "sum", "value"))
    search = _Search(where, "silence", Grid(where, 8, 6), 0.5)
    one, two = Region(1, 4, 1, 4), Region(2, 6, 2, 6)
    gains = []
    for region in (one, two):
        search.evaluate([region])
        effect = search.effect(region)
        gains.append(search.replace(region))
        cells = weights * gains[-1] * where.magnitude
        np.testing.assert_allclose(effect, float(cells.sum()), rtol=1e-3)
    torch.testing.assert_close(gains[0] + gains[1] + search.left, torch.ones(SHAPE))
    whole = search.grid.gains(two)
    torch.testing.assert_close(gains[1], whole * (1 - gains[0]), rtol=1e-5, atol=1e-6)


def test_the_cost_is_declared_and_no_region_is_evaluated_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    weights = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    where = Probe(additive(weights), noise(), Target(0, "sum", "value"), on_passes=seen.append)
    gains_of, asked = Grid.gains, []

    def counted(grid: Grid, region: Region) -> torch.Tensor:
        asked.append(region)
        return gains_of(grid, region)

    monkeypatch.setattr(Grid, "gains", counted)
    found = searched(where, background="silence", regions=1, segments=16)
    assert found.details["evaluations"] == sum(seen)
    assert len(asked) - len(set(asked)) == 1  # the region found, to replace it
    spec = METHODS.get("region-search")
    declared = spec.passes(spec.settle({"regions": 1, "segments": 16}))
    assert 0.5 * declared < sum(seen) < 1.5 * declared


def test_coarse_rectangles_cover_every_sound() -> None:
    for segments, bands in ((1, 1), (3, 2), (7, 24), (80, 5)):
        found = coarse_regions(segments, bands)
        covered = np.zeros((bands, segments))
        for one in found:
            covered[one.low : one.high, one.first : one.last] += 1
        assert covered.min() > 0
        assert len(set(found)) == len(found)
