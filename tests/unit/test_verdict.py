"""Effect and verdict: known answers, and cases in which a verdict of success would be false."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

import earwitness
from earwitness.errors import ParameterError
from earwitness.evaluation.orders import Orders
from earwitness.evaluation.trust import trust_card
from earwitness.evaluation.verdict import ahead_of, sentence, verdict
from earwitness.explanation import Explanation
from earwitness.masks.measure import measure_mask
from earwitness.models.model import Model
from earwitness.models.target import make_target
from earwitness.perturbation.background.registry import with_backgrounds
from earwitness.probe import Probe
from earwitness.scores import Control, Effect, Outcome, Pair, TrustCard
from earwitness.types import Mask

RATE = 8000
HALF = RATE // 2


def bursts() -> np.ndarray:
    """Two equal bursts, one in each half of a second, silence between them."""
    time = np.arange(RATE) / RATE
    on = ((time > 0.1) & (time < 0.35)) | ((time > 0.6) & (time < 0.85))
    return (0.3 * np.sin(2 * np.pi * 1000 * time) * on).astype(np.float32)


class Halves(nn.Module):
    """A function of how much of each half's energy is present, from 0 to 1."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.full = float((bursts()[:HALF] ** 2).sum())

    def forward(self, waves: Tensor) -> Tensor:
        first, second = (half.square().sum(dim=1) / self.full for half in waves.split(HALF, dim=1))
        return self.function(first, second)[:, None]


def regression(function: Callable[[Tensor, Tensor], Tensor], **facts: Any) -> Model:
    return earwitness.wrap(
        Halves(function), sample_rate=RATE, output="scores", labels=["value"], **facts
    )


def card_of(
    model: Model, background: str = "silence", direction: Any = "up"
) -> tuple[TrustCard, Mask]:
    """Return the card of a mask that keeps the first half."""
    wave = torch.from_numpy(bursts())
    with torch.no_grad():
        whole = model(wave[None])[0]
    probe = Probe(model, wave, make_target(model, whole, direction=direction))
    gains = np.zeros(probe.shape, np.float32)
    gains[:, np.asarray(probe.times) < 0.5] = 1
    magnitude = probe.magnitude.numpy()
    mask = measure_mask(gains, magnitude, "by hand")
    card, _ = trust_card(
        probe, mask, whole, Orders(magnitude, 0), "full", with_backgrounds(probe, background)
    )
    assert isinstance(card, TrustCard)
    return card, mask


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (lambda a, b: 3 * a + b, 3.0),  # additive: its own part
        (lambda a, b: 2 * a * b, 1.0),  # needed but not sufficient: half of two
        (lambda a, b: 2 * torch.maximum(a, b), 1.0),  # sufficient but not needed
        (lambda a, b: 0 * a + 2 * b, 0.0),  # the other half alone
        (lambda a, b: b - a, -1.0),
    ],
)
def test_the_effect_is_the_shapley_value_of_the_evidence(function: Any, wanted: float) -> None:
    card, _ = card_of(regression(function))
    assert_allclose(card.effect.value, wanted, atol=0.01)  # windows reach into the silence between
    card, _ = card_of(regression(function), direction="down")
    assert_allclose(card.effect.value, -wanted, atol=0.01)


def test_the_effect_is_a_share_of_the_range_or_of_the_distance_from_the_background() -> None:
    def three(a: Tensor, b: Tensor) -> Tensor:
        return 1 + 3 * a + b

    card, _ = card_of(regression(three))
    assert_allclose([card.effect.share, card.effect.of], [3 / 4, 4.0], atol=0.01)
    card, _ = card_of(regression(three, range=(0, 10)))
    assert_allclose([card.effect.share, card.effect.of], [0.3, 10.0], atol=0.003)
    model = earwitness.wrap(
        nn.Sequential(Halves(three), nn.Sigmoid()), sample_rate=RATE, task="multi-label",
        output="probabilities",
    )  # fmt: skip
    card, _ = card_of(model)
    assert card.effect.of == 1.0
    assert card.effect.share == card.effect.value


@pytest.mark.parametrize("limits", [(5, 1), (1, 1), (0, np.inf), 4, ("a", "b")])
def test_a_range_is_refused_in_one_line(limits: Any) -> None:
    with pytest.raises(ParameterError, match="range is"):
        regression(lambda a, _: a, range=limits)


def test_a_classifier_has_no_declared_range() -> None:
    with pytest.raises(ParameterError, match="probabilities range from 0 to 1"):
        earwitness.wrap(Halves(lambda a, _: a), sample_rate=RATE, range=(0, 2))


def test_the_effect_with_a_background_is_that_of_filled_sounds(tmp_path: Path) -> None:
    fill = 0.2 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    soundfile.write(tmp_path / "fill.wav", fill, RATE, subtype="FLOAT")
    model = regression(lambda a, b: (a * b + a).sqrt())
    card, _ = card_of(model, str(tmp_path / "fill.wav"))
    sound, cut = bursts(), np.arange(RATE) < HALF
    rows = [fill, np.where(cut, sound, fill), np.where(cut, fill, sound), sound]
    with torch.no_grad():
        waves = torch.from_numpy(np.stack(rows).astype(np.float32))
        nothing, kept, removed, whole = model.module(waves)[:, 0].tolist()
    assert_allclose(card.effect.value, ((kept - nothing) + (whole - removed)) / 2, rtol=0.02)
    assert_allclose(card.controls["background"].mean.evidence.audio, nothing, rtol=1e-4)
    assert card.controls["background"].effect == 0.0
    # files hold no background: the audio score of the evidence is that of the burst alone
    assert_allclose(card.outcome.evidence.audio, 1.0, atol=0.01)


def test_silence_is_a_control_on_every_card() -> None:
    card, mask = card_of(regression(lambda a, b: 2 + a - b))
    silence = card.controls["silence"]
    assert_allclose(silence.mean.evidence.audio, 2.0, atol=1e-6)
    assert silence.mean.remainder.audio == card.input
    assert "silence" in ahead_of(card, mask)
    card, mask = card_of(regression(lambda a, b: 2 - a + b))
    assert ahead_of(card, mask) == []
    assert verdict(card, mask).grade == "none"


def test_a_class_that_silence_has_too_is_not_explained_by_silence() -> None:
    class Quiet(nn.Module):  # "quiet" unless the second half is loud; the first does not matter
        def forward(self, waves: Tensor) -> Tensor:
            loud = waves[:, HALF:].square().mean(dim=1)
            return torch.stack([3 - 500 * loud, -3 + 500 * loud], dim=1)

    model = earwitness.wrap(Quiet(), sample_rate=RATE, labels=["quiet", "loud"])
    sound = bursts()
    sound[HALF:] *= 0.01
    found = earwitness.explain(model, (sound, RATE), "energy", keep="area:20%")
    assert found.trust.outcome.evidence.audio > 0.99  # which looks like a success
    assert found.verdict.grade == "none"
    assert "silence does at least as well" in sentence(found.verdict)


class Level(nn.Module):
    """A quality from 1 to 5: the share of frames that are not silent."""

    def forward(self, waves: Tensor) -> Tensor:
        power = waves.unfold(-1, 400, 160).square().mean(dim=-1)
        return 1 + 4 * (power / (power + 1e-4)).mean(dim=-1, keepdim=True)


def dropout(background: str, seed: int) -> Explanation:
    """Explain what lowers the quality of a tone in noise with a second of silence."""
    time = np.arange(48000) / 16000
    noise = 0.05 * np.random.default_rng(0).standard_normal(48000)
    sound = (noise + 0.3 * np.sin(2 * np.pi * 500 * time)).astype(np.float32)
    sound[16000:32000] = 0
    model = earwitness.wrap(
        Level(), sample_rate=16000, output="scores", labels=["quality"], range=(1, 5)
    )
    return earwitness.explain(
        model, (sound, 16000), "lime", direction="down", background=background, seed=seed
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("background", ["silence", "noise-floor"])
def test_silence_as_background_and_as_defect_explains_nothing(background: str, seed: int) -> None:
    found = dropout(background, seed)
    assert found.verdict.grade == "none"
    assert "silence does at least as well" in sentence(found.verdict)


def test_the_mean_background_finds_what_a_dropout_costs() -> None:
    found = dropout("mean", 0)
    positive = np.maximum(found.attribution.values, 0)
    inside = (found.attribution.times >= 1) & (found.attribution.times <= 2)
    assert positive[:, inside].sum() / positive.sum() > 0.9  # chance: 0.33
    # filling the missing second raises 3.68 to 5; the mask keeps 80 % of the attribution to it
    assert_allclose(found.trust.effect.value, 0.7 * (5 - 3.68), atol=0.1)
    assert found.trust.effect.share == found.trust.effect.value / 4
    assert found.verdict.grade == "moderate"
    assert "sound that is missing" in sentence(found.verdict)


def test_the_mean_background_is_as_loud_where_the_input_is_silent() -> None:
    sound = 0.1 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    sound[6000:10000] = 0
    model = earwitness.wrap(Level(), sample_rate=16000, output="scores", labels=["quality"])
    probe = Probe(model, torch.from_numpy(sound), make_target(model, torch.ones(1)))
    (filled,) = with_backgrounds(probe, "mean")
    wave = filled.sound(torch.zeros(1, *probe.shape))[0]
    # three quarters of the frames hold sound, so the mean magnitude is 2.5 dB lower
    gap, rest = (float(part.square().mean().sqrt()) for part in (wave[7000:9000], wave[1000:5000]))
    assert_allclose([gap, rest], [0.075 * 0.886] * 2, rtol=0.2)  # Rayleigh: mean / rms = 0.886


def test_a_sound_that_hardly_changes_the_value_has_no_strong_evidence() -> None:
    card, mask = card_of(regression(lambda a, b: 4.974 + 0.010 * a + 0.001 * b))
    assert_allclose(card.effect.value, 0.010, atol=1e-4)
    assert card.effect.of == card.input
    assert verdict(card, mask).grade == "none"
    assert "hardly changes it" in sentence(verdict(card, mask))
    card, mask = card_of(regression(lambda a, b: 4.974 + 0.010 * a + 0.001 * b, range=(1, 5)))
    assert_allclose(card.effect.share, 0.0025, atol=1e-4)
    assert verdict(card, mask).grade == "none"


def test_a_model_without_output_for_silence_is_explained_and_says_so() -> None:
    class Normalised(nn.Module):
        def forward(self, waves: Tensor) -> Tensor:
            level = waves.square().mean(dim=1, keepdim=True).sqrt()
            return (waves / level)[:, :HALF].square().mean(dim=1, keepdim=True)

    model = earwitness.wrap(Normalised(), sample_rate=RATE, output="scores", labels=["value"])
    card, mask = card_of(model)
    assert "silence" not in card.controls
    assert_allclose(card.effect.value, card.input - card.outcome.remainder.audio)
    assert "no finite output for silence" in sentence(verdict(card, mask))


def test_grades_of_forty_explanations_agree_with_the_truth() -> None:
    script = Path(__file__).parents[2] / "scripts" / "verdicts.py"
    done = subprocess.run(  # its own process: it registers a method
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def made_card(share: float, **ties: float) -> TrustCard:
    """Return a card of one effect whose controls have the given effects, else 0."""
    controls = {}
    for name in ("random", "energy", "silence"):
        effect = ties.get(name, 0.0)
        # for silence, the effect is in the audio scores
        one = Outcome(Pair(None, 2 * effect if name == "silence" else 0.0), Pair(None, 1.0))
        controls[name] = Control(one, one, one, 1, 0.1, 0.1, effect)
    own = Outcome(Pair(share, 2 * share), Pair(share, 1.0))
    return TrustCard("probability", 1.0, own, controls, effect=Effect(share, share, 1.0))


SOME = Mask(np.zeros((2, 2), np.float32), "by hand", 0.5, 0.5)


@pytest.mark.parametrize(
    ("share", "ties", "grade"),
    [
        (0.50, {}, "strong"),
        (0.49, {}, "moderate"),
        (0.20, {}, "moderate"),
        (0.19, {}, "weak"),
        (0.05, {}, "weak"),
        (0.04, {}, "none"),
        (-0.9, {}, "none"),
        (0.9, {"energy": 0.896}, "weak"),
        (0.9, {"energy": 0.88}, "weak"),
        (0.9, {"energy": 0.8}, "moderate"),
        (0.9, {"random": 0.65}, "strong"),
        (0.3, {"random": 0.2}, "moderate"),
        (0.9, {"random": 0.896}, "weak"),
        (0.9, {"silence": 0.9}, "weak"),
        (0.9, {"random": 0.9, "energy": 0.9}, "none"),
    ],
)
def test_a_grade_is_never_better_than_the_weakest_control(
    share: float, ties: dict[str, float], grade: str
) -> None:
    card = made_card(share, **ties)
    found = verdict(card, SOME)
    assert found.grade == grade
    words = {
        "energy": "the loudest cells of the same size raise it by 0.9 too",
        "random": "random places raise it by 0.9 too",
        "silence": "silence does at least as well",
    }
    for name in ties:
        if ties[name] > share - 0.01:
            assert f"{words[name]}" in sentence(found)


def test_a_control_that_does_the_opposite_is_not_told_as_doing_the_same() -> None:
    card = replace(made_card(0.3, random=-0.3, energy=0.1), sign=-1, kind="value")
    said = sentence(verdict(card, SOME))
    assert "the evidence lowers the value by 0.3, 30 % of" in said
    assert "random places raise it by 0.3; the loudest cells of the same size lower" in said


def test_evidence_that_is_not_sufficient_is_weak() -> None:
    card = replace(made_card(0.5), outcome=Outcome(Pair(0.0, 0.0), Pair(0.0, 0.0)))
    assert ahead_of(card, SOME) == ["random", "energy", "silence"]
    found = verdict(card, SOME)
    assert found.grade == "weak"
    assert "not sufficient" in sentence(found)


def test_evidence_that_is_the_loudest_sound_is_told_so_as_a_fact() -> None:
    def judged(energy: float) -> str:
        card = made_card(0.9, energy=0.9)
        loudest = replace(card.controls["energy"], energy=0.8)
        card = replace(card, controls={**card.controls, "energy": loudest})
        return sentence(verdict(card, replace(SOME, energy=energy)))

    assert judged(0.7).startswith("No better than loudness: ")
    assert "mostly the loudest sound" in judged(0.7)
    assert "mostly the loudest sound" not in judged(0.2)


def test_a_degenerate_mask_has_its_own_grade() -> None:
    found = verdict(made_card(0.9), replace(SOME, degenerate="full"))
    assert found.grade == "degenerate"
    assert ahead_of(made_card(0.9), replace(SOME, degenerate="full")) == []


def test_a_card_of_an_earlier_version_is_not_graded() -> None:
    assert verdict(replace(made_card(0.9), effect=None), SOME) is None
    assert sentence(None) == "Not graded (no trust card)."


@pytest.mark.parametrize(("change", "words"), [(0.2, "raise it by at most 0.2"),
                                               (-0.2, "lower it by at least 0.2")])  # fmt: skip
def test_the_best_of_several_random_orders_is_told_as_a_limit(change: float, words: str) -> None:
    card = made_card(0.9, random=change)
    several = replace(card.controls["random"], draws=8)
    card = replace(card, controls={**card.controls, "random": several})
    assert f"random places {words}; " in sentence(verdict(card, SOME))
