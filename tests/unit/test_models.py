from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from earwitness.errors import ModelError, NotApplicableError, ParameterError, UnknownNameError
from earwitness.models.registry import load_model
from earwitness.models.target import (
    explained_score,
    make_target,
    output_index,
    probabilities,
    reported_score,
)
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.probe import Probe
from tests.toys import RATE, TOY_PLANE, Magnitude, RegionNet, spectral, waveform

LABELS = ["dog", "rooster", "rain"]


class Mean(nn.Module):
    """Answers with fixed numbers, and remembers how long the sounds were."""

    def __init__(self, answer: list[float]) -> None:
        super().__init__()
        self.answer = answer
        self.lengths: list[int] = []

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        self.lengths.append(waves.shape[1])
        return waves.mean(dim=1, keepdim=True) * 0 + torch.tensor(self.answer)


def model(answer: list[float], **facts: Any) -> Any:
    return wrap(Mean(answer), sample_rate=RATE, **facts)


def noise(samples: int = 16000) -> torch.Tensor:
    return 0.1 * torch.randn(2, samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("build", [spectral, waveform])
@pytest.mark.parametrize("samples", [900, 16000, 40001])
def test_all_ones_score_what_the_model_scores(build: Any, samples: int) -> None:
    one = build()
    wave = noise(samples)[0]
    with torch.no_grad():
        whole = one(wave[None])
        probe = Probe(one, wave, make_target(one, whole[0]))
        masked = probe.outputs(torch.ones(1, *probe.shape))
    torch.testing.assert_close(masked, whole, rtol=1e-5, atol=1e-5)


def test_the_shortcut_and_the_waveform_agree_for_smooth_gains() -> None:
    wave = noise()[0]
    answers = []
    for one in (spectral(), waveform()):
        assert one.plane == TOY_PLANE
        assert one.plane == TOY_PLANE
        probe = Probe(one, wave, make_target(one, torch.zeros(2), 0))
        slope = torch.linspace(1, 0.2, probe.shape[0])[:, None] * torch.linspace(
            0.5, 1, probe.shape[1]
        )
        answers.append(probe.score(slope[None]).detach())
    torch.testing.assert_close(answers[0], answers[1], rtol=0.01, atol=1e-3)


def test_softmax_is_applied_once() -> None:
    logits = model([2.0, 1.0, 0.0], labels=LABELS)
    answer = logits(noise()[:1])
    target = make_target(logits, answer[0])
    assert target.label == "dog"
    wanted = np.exp(2) / (np.exp(2) + np.exp(1) + 1)
    np.testing.assert_allclose(float(reported_score(logits, answer, target)), wanted, rtol=1e-6)
    assert float(explained_score(logits, answer, target)) == 2.0
    given = model([0.5, 0.3, 0.2], labels=LABELS, output="probabilities")
    answer = given(noise()[:1])
    np.testing.assert_allclose(
        float(reported_score(given, answer, make_target(given, answer[0]))), 0.5
    )


def test_contrasts_are_differences_of_logits() -> None:
    logits = model([2.0, 1.0, 0.0], labels=LABELS)
    target = make_target(logits, logits(noise()[:1])[0], "dog", "rain")
    assert (target.kind, str(target)) == ("logit-difference", "dog versus rain")
    assert float(explained_score(logits, torch.tensor([[2.0, 1.0, -1.5]]), target)) == 3.5
    given = model([0.5, 0.3, 0.2], labels=LABELS, output="probabilities")
    answer = given(noise()[:1])
    found = explained_score(given, answer, make_target(given, answer[0], "dog", "rain"))
    np.testing.assert_allclose(float(found), np.log(0.5 / 0.2), rtol=1e-5)


def test_several_labels_at_once() -> None:
    tags = model([0.0, 3.0, -1.0], labels=LABELS, task="multi-label")
    answer = tags(noise()[:1])
    np.testing.assert_allclose(
        probabilities(tags, answer)[0].numpy(), 1 / (1 + np.exp([0, -3, 1])), rtol=1e-6
    )


def test_regression() -> None:
    quality = model([3.2], output="scores")
    assert (quality.task, quality.labels) == ("regression", ("value",))
    target = make_target(quality, torch.tensor([3.2]))
    assert (target.kind, target.index) == ("value", 0)
    np.testing.assert_allclose(float(reported_score(quality, torch.tensor([[3.2]]), target)), 3.2)


@pytest.mark.parametrize(
    ("name", "words"),
    [("dgo", "did you mean 'dog'"), ("Rain Storm", "did you mean 'rain'"), (7, "0..2")],
)
def test_unknown_classes_suggest_the_nearest(name: str | int, words: str) -> None:
    with pytest.raises((UnknownNameError, ParameterError), match=words):
        make_target(model([1.0, 2.0, 3.0], labels=LABELS), torch.zeros(3), name)


def test_labels_of_any_case_are_found() -> None:
    one = wrap(Mean([0.0, 0.0]), sample_rate=RATE, labels=["crying_baby", "dog"])
    assert output_index(one, "Crying Baby") == 0
    assert output_index(one, "DOG") == 1
    both = wrap(Mean([0.0, 0.0]), sample_rate=RATE, labels=["Dog", "dog"])
    assert [output_index(both, "Dog"), output_index(both, "dog")] == [0, 1]


@pytest.mark.parametrize(
    ("answer", "facts", "words"),
    [
        ([1.0, 2.0, 3.0], {"labels": ["a", "b"]}, "2 labels were given, but the model has 3"),
        ([float("nan")], {"output": "scores"}, "NaN"),
        ([1j], {"output": "scores"}, "real numbers"),
        ([0.2, 0.9], {"output": "probabilities"}, "must sum to 1"),
        ([2.0, -1.0], {"output": "probabilities"}, "output='logits'"),
    ],
)
def test_answers_that_break_the_declaration(
    answer: list[float], facts: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        model(answer, **facts)(noise())


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"output": "softmax"}, "output must be"),
        ({"task": "tagging"}, "task must be"),
        ({"task": "regression", "output": "logits"}, "does not go with"),
        ({"labels": ["a", "a"]}, "different"),
        ({"sample_rate": 0}, "positive"),
        ({"sample_rate": 44100.5}, "whole"),
        ({"lengths": (5.0, 1.0)}, "lengths"),
        ({"lengths": (None, 1e-9)}, "lengths"),
        ({"lengths": 3}, "lengths"),
        ({"lengths": (float("nan"), None)}, "lengths"),
        ({"labels": "dog"}, "list of names"),
        ({"sample_rate": "16k"}, "positive"),
    ],
)
def test_contradictory_declarations_are_refused(facts: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        wrap(Mean([1.0]), **{"sample_rate": RATE, **facts})


def test_things_that_are_no_model_are_refused() -> None:
    with pytest.raises(ParameterError, match="torch module or a function"):
        wrap("model", sample_rate=RATE)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"Mean is a class: give an instance"):
        wrap(Mean, sample_rate=RATE)


def test_short_sounds_are_padded_and_long_ones_read_in_windows() -> None:
    one = model([1.0], output="scores", lengths=(1.0, 2.0))
    for samples in (8000, 24000, 80000):
        one(noise(samples))
    assert list(dict.fromkeys(one.module.lengths)) == [16000, 24000, 32000]
    windows = one.windows(80000)
    assert windows[0] == (0, 32000)
    assert windows[-1] == (48000, 32000)
    starts = np.array([start for start, _ in windows])
    assert (np.diff(starts) <= 16000).all()


def test_windows_average_the_answers() -> None:
    class First(nn.Module):
        def forward(self, waves: torch.Tensor) -> torch.Tensor:
            return waves[:, :1]

    one = wrap(First(), sample_rate=10, output="scores", lengths=(None, 1.0))
    wave = torch.arange(30.0)[None]
    starts = [start for start, _ in one.windows(30)]
    np.testing.assert_allclose(float(one(wave)), np.mean(starts))


def test_a_front_end_reads_windows_of_frames() -> None:
    one = wrap(
        RegionNet(), sample_rate=RATE, features=Magnitude(), labels=["a", "b"], lengths=(None, 1.0)
    )
    wave = noise(48000)
    frames = TOY_PLANE.frames(16000)
    magnitude = TOY_PLANE.analyse(wave).abs()
    starts = [start // TOY_PLANE.hop for start, _ in one.windows(48000)]
    with torch.no_grad():
        parts = [one.module(magnitude[:, None, :, s : s + frames]) for s in starts]
        torch.testing.assert_close(one(wave), torch.stack(parts).mean(dim=0))


def test_black_boxes_get_numpy() -> None:
    seen = []

    def ask(waves: np.ndarray) -> np.ndarray:
        seen.append((type(waves), waves.dtype, waves.shape))
        return np.stack([waves.mean(axis=1), waves.std(axis=1)], axis=1)

    one = wrap(ask, sample_rate=RATE)
    one.settle(noise()[:1])
    seen.clear()
    answer = one(noise())
    assert seen == [(np.ndarray, np.float32, (2, 16000))]
    assert answer.shape == (2, 2)


class Jittery(nn.Module):
    """Features with everything that changes in training mode, and a draw of chance."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.drop = nn.Dropout(0.5)

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        dither = 1e-4 * torch.randn(waves.shape)
        return self.drop(self.norm((waves + dither)[:, None]))[:, 0]


def test_a_module_of_features_is_left_alone_and_does_not_jitter() -> None:
    features = Jittery()
    one = wrap(Mean([1.0, 2.0]), sample_rate=RATE, features=features)
    before, chance = features.norm.running_mean.clone(), torch.get_rng_state()
    first, second = (
        explain(one, (noise()[0].numpy(), RATE), "occlusion", target=0) for _ in range(2)
    )
    np.testing.assert_array_equal(first.attribution.values, second.attribution.values)
    torch.testing.assert_close(features.norm.running_mean, before, rtol=0, atol=0)
    torch.testing.assert_close(torch.get_rng_state(), chance, rtol=0, atol=0)
    assert features.training


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "occlusion"])
def test_a_model_that_writes_on_its_input_does_no_harm(method: str) -> None:
    class Greedy(nn.Module):
        def forward(self, waves: torch.Tensor) -> torch.Tensor:
            waves *= 0.5
            return torch.stack([waves.abs().mean(dim=1), waves.std(dim=1)], dim=1)

    wave = noise()[0].numpy()
    one = wrap(Greedy(), sample_rate=RATE, output="logits")
    found = explain(one, (wave.copy(), RATE), method, target=0)
    np.testing.assert_array_equal(found.input.samples, wave)
    total = found.evidence.samples.astype(float) + found.remainder.samples
    np.testing.assert_allclose(total, wave, atol=1e-5)


def test_one_output_is_not_one_of_many() -> None:
    with pytest.raises(ModelError, match="one output cannot be single-label"):
        model([3.0], labels=["dog"])(noise())
    detector = model([3.0], labels=["dog"], task="multi-label")
    np.testing.assert_allclose(
        float(probabilities(detector, detector(noise()))[0]), 0.9526, atol=1e-4
    )


def test_all_ones_are_exact_in_digital_silence() -> None:
    class Floorless(nn.Module):
        def forward(self, waves: torch.Tensor) -> torch.Tensor:
            level = (TOY_PLANE.analyse(waves).abs() + 1e-12).log().mean(dim=(1, 2))
            return torch.stack([level, -level], dim=1)

    wave = torch.zeros(16000)
    wave[4000:5000] = noise()[0, :1000]
    one = wrap(Floorless(), sample_rate=RATE)
    probe = Probe(one, wave, make_target(one, torch.zeros(2), 0))
    with torch.no_grad():
        masked = probe.outputs(torch.stack([torch.ones(probe.shape), torch.zeros(probe.shape)]))
        wanted = one(torch.stack([wave, torch.zeros_like(wave)]))
    torch.testing.assert_close(masked, wanted, rtol=1e-5, atol=1e-5)


def test_a_background_fills_what_is_removed() -> None:
    one, wave, other = waveform(), noise()[0], noise(16000)[1]
    background = one.plane.analyse(other[None])[0]
    for build in (waveform, spectral):
        one = build()
        background = one.plane.analyse(other[None])[0]
        probe = Probe(one, wave, make_target(one, torch.zeros(2), 0), background=background)
        with torch.no_grad():
            found = probe.outputs(torch.stack([torch.ones(probe.shape), torch.zeros(probe.shape)]))
            wanted = one(torch.stack([wave, other]))
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_subnormal_samples_do_no_harm() -> None:
    wave = noise()[0].numpy()
    wave[:4000] *= np.float32(1e-39)
    found = explain(waveform(), (wave, RATE), "saliency", target=0)
    assert np.isfinite(found.attribution.values).all()


def test_explaining_inside_inference_mode_works() -> None:
    one, wave = waveform(), noise()[0].numpy()
    with torch.inference_mode():
        found = explain(one, (wave, RATE), "input-x-gradient", target=0)
    assert np.abs(found.attribution.values).max() > 0


def test_numpy_numbers_name_a_class() -> None:
    assert output_index(spectral(), np.int64(1)) == 1


def test_undefined_gradients_are_explained() -> None:
    class Root(nn.Module):
        def forward(self, waves: torch.Tensor) -> torch.Tensor:
            level = TOY_PLANE.analyse(waves).abs().pow(2).sqrt().mean(dim=(1, 2))
            return torch.stack([level, -level], dim=1)

    wave = noise()[0].numpy()
    wave[:8000] = 0
    with pytest.raises(NotApplicableError, match="undefined gradients"):
        explain(wrap(Root(), sample_rate=RATE), (wave, RATE), "saliency")


def test_a_backward_pass_that_fails_says_so() -> None:
    class Clumsy(nn.Module):
        def forward(self, waves: torch.Tensor) -> torch.Tensor:
            heard = waves.exp()
            heard *= 0.5
            return torch.stack([heard.mean(dim=1), heard.std(dim=1)], dim=1)

    one = wrap(Clumsy(), sample_rate=RATE, output="logits")
    with pytest.raises(NotApplicableError, match="cannot be differentiated"):
        explain(one, (noise()[0].numpy(), RATE), "saliency")


def test_a_folder_called_as_a_built_in_model_does_not_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "esc10").mkdir()  # of sounds, say
    monkeypatch.chdir(tmp_path)
    assert "dog" in load_model("esc10").labels
    with pytest.raises(ModelError, match="no trained model"):
        load_model("./esc10")
