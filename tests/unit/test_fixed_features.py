"""Features relative to the loudest part of a sound, which methods keep at that of the input."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.comparing.comparison import compare
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.types import Audio, Target

RATE = 8000


class Relative(nn.Module):
    """Power of both halves of a second in bels above a floor of six below the louder one."""

    def __init__(self) -> None:
        super().__init__()
        self.loudest: Tensor | None = None

    def for_sound(self, wave: Tensor) -> Relative:
        other = copy.copy(self)
        other.loudest = self.bels(wave[None]).amax()
        return other

    def bels(self, waves: Tensor) -> Tensor:
        halves = waves.unflatten(1, (2, -1))
        return (halves.square().mean(dim=2) + 1e-12).log10()

    def forward(self, waves: Tensor) -> Tensor:
        bels = self.bels(waves)
        loudest = bels.amax(dim=1, keepdim=True) if self.loudest is None else self.loudest
        return torch.maximum(bels - loudest, torch.tensor(-6.0)) + 6


class Second(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features[:, 1:]


def model(**kwargs: object) -> Model:
    return wrap(
        Second(), features=Relative(), sample_rate=RATE, labels=["late"], output="scores",
        **kwargs,  # type: ignore[arg-type]
    )  # fmt: skip


def clip() -> Audio:
    """Return a second whose first half is 40 dB louder than the second, with a gap between."""
    samples = 0.3 * np.random.default_rng(0).standard_normal(RATE)
    samples[RATE // 2 :] *= 0.01
    samples[3000:5000] = 0
    return Audio(samples.astype(np.float32), RATE)


@pytest.mark.parametrize("method", ["occlusion", "lime", "integrated-gradients"])
def test_only_the_part_that_decides_has_attribution(method: str) -> None:
    found = explain(model(), clip(), method, trust="none", background="silence").attribution
    early = found.times < 0.5
    late = found.times >= 0.5
    share = np.abs(found.values[:, early]).sum() / np.abs(found.values[:, late]).sum()
    assert share < 0.02  # more than 1 where the floor follows what is left


def test_scores_are_those_of_the_whole_model() -> None:
    card = explain(model(), clip(), "occlusion", keep="area:50%", background="silence").trust
    assert card is not None
    # evidence is the late half, at 6 bels by itself, and 2 below the louder half of the input
    np.testing.assert_allclose(card.input, 2.0, atol=0.05)
    assert card.outcome.evidence.audio is not None
    assert card.outcome.evidence.audio > 5.5


def test_the_input_has_its_own_score_and_windows_are_left_as_they_are() -> None:
    wave = torch.from_numpy(clip().samples)
    one = model()
    fixed = one.fixed(wave)
    torch.testing.assert_close(fixed(wave[None]), one(wave[None]), rtol=0, atol=0)
    assert fixed is not one
    probe = Probe(one, wave, Target(0, "late", "value"))
    ones = torch.ones(1, *probe.shape)
    torch.testing.assert_close(probe.fixed().score(ones), probe.score(ones), rtol=1e-5, atol=1e-5)
    windowed = model(lengths=(None, 0.5))
    assert windowed.fixed(wave) is windowed


def test_a_comparison_begins_where_its_map_begins() -> None:
    other = clip()
    louder = Audio(other.samples.copy(), RATE)
    louder.samples[: RATE // 2] *= 10  # which is what the late half is compared with
    louder.samples[RATE // 2 :] *= 5
    found = compare(model(), louder, other, trust="none")
    change = found.scores["a"] - found.scores["start"]
    assert abs(change) > 1
    total = np.asarray(found.explanation.attribution.values, np.float64).sum()
    np.testing.assert_allclose(abs(total), abs(change), rtol=0.02)
