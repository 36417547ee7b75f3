"""Every kind of question: a span of an answer per frame, and what lowers a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.errors import ModelError, NotApplicableError, ParameterError
from earwitness.evaluation.cases import make_cases, measure
from earwitness.evaluation.verdict import ahead_of
from earwitness.explanation import Explanation
from earwitness.jobs.predicting import predict
from earwitness.models.model import Model
from earwitness.models.target import decided_labels, explained_score, make_target, reported_score
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.types import Audio
from tests.toys import RATE, TOY_PLANE, Magnitude, additive

FRAME = 800  # samples


class Levels(nn.Module):
    """Level and minus level of every frame of 50 ms: (batch, frame, output)."""

    def forward(self, waves: Tensor) -> Tensor:
        usable = waves[:, : waves.shape[1] // FRAME * FRAME].unflatten(1, (-1, FRAME))
        level = usable.square().mean(dim=2) * 100
        return torch.stack([level, 0.5 - level], dim=2)


def levels(**facts: Any) -> Model:
    given: dict[str, Any] = {"labels": ["loud", "quiet"], "per_frame": True, **facts}
    return wrap(Levels(), sample_rate=RATE, **given)


def test_labels_of_several_are_decided_from_a_probability_of_a_half() -> None:
    outputs = torch.tensor([[[0.4, 0.7], [0.5, 0.5], [0.2, 0.7], [0.9, 0.0]]])  # two frames
    model = wrap(
        Levels(), sample_rate=RATE, labels=["a", "b", "c", "d"], per_frame=True,
        task="multi-label", output="probabilities",
    )  # fmt: skip
    assert decided_labels(model, outputs).tolist() == [[True, True, False, False]]
    logits = wrap(Levels(), sample_rate=RATE, labels=["a", "b"], task="multi-label")
    assert decided_labels(logits, torch.tensor([[-0.1, 0.1]])).tolist() == [[False, True]]


def steps() -> Audio:
    """A second each of soft, loud and soft noise."""
    noise = np.random.default_rng(2).standard_normal(3 * RATE)
    noise *= np.repeat([0.01, 0.2, 0.01], RATE)
    return Audio(noise.astype(np.float32), RATE, "steps")


def test_answers_per_frame_are_averaged_over_the_span() -> None:
    model = levels()
    answer = model(torch.from_numpy(steps().samples)[None])
    assert answer.shape == (1, 2, 60)
    target = make_target(model, answer[0], "loud", span=(1.0, 1.5), seconds=3.0)
    assert target.frames == (20, 30)
    wanted = (steps().samples[RATE : RATE + RATE // 2].astype(float) ** 2).mean() * 100
    np.testing.assert_allclose(float(explained_score(model, answer, target)), wanted, rtol=1e-5)
    logits = np.stack([answer[0, 0, 20:30], answer[0, 1, 20:30]]).astype(float)
    wanted = (np.exp(logits[0]) / np.exp(logits).sum(axis=0)).mean()
    np.testing.assert_allclose(float(reported_score(model, answer, target)), wanted, rtol=1e-5)


def test_the_decision_is_the_spans_own() -> None:
    model, clip = levels(), steps()
    assert str(explain(model, clip, "energy", span=(1.2, 1.4)).target) == "loud from 1.2 to 1.4 s"
    assert explain(model, clip, "energy", span=(1.2, 99)).target.span == (1.2, clip.seconds)
    assert explain(model, clip, "energy", span=(0.2, 0.8)).target.label == "quiet"


@pytest.mark.parametrize("method", ["integrated-gradients", "saliency", "lime"])
def test_a_span_is_explained_by_what_is_in_it(method: str) -> None:
    noise = 0.1 * np.random.default_rng(3).standard_normal(3 * RATE)
    clip = Audio(noise.astype(np.float32), RATE, "noise")
    for start, end in ((0.5, 1.0), (2.0, 2.5)):
        found = explain(levels(), clip, method, target="loud", span=(start, end))
        attribution = found.attribution
        inside = (attribution.times > start - 0.06) & (attribution.times < end + 0.06)
        share = np.abs(attribution.values[:, inside]).sum() / np.abs(attribution.values).sum()
        assert share > (0.7 if method == "lime" else 0.99)


def test_without_a_span_the_whole_answer_counts() -> None:
    model, clip = levels(output="scores", task="regression"), steps()
    answer = predict(model, clip)["outputs"]
    np.testing.assert_allclose(
        answer["loud"], (clip.samples.astype(float) ** 2).mean() * 100, rtol=1e-4
    )
    found = explain(model, clip, "input-x-gradient")
    np.testing.assert_allclose(found.trust.input, answer["loud"], rtol=1e-5)


@pytest.mark.parametrize("samples", [400, 4000, 16000, 40123])
def test_answers_per_frame_of_any_length(samples: int) -> None:
    # frames are 50 ms whatever the window; a ramp of level tells them apart
    ramp = np.sqrt(np.linspace(0, 1, samples)) * np.sign(np.sin(np.arange(samples)))
    model = levels(lengths=(0.1, 1.0), output="scores", task="regression")
    answer = model(torch.from_numpy(ramp.astype(np.float32))[None])[0, 0]
    assert abs(len(answer) - samples / FRAME) <= 1
    if samples >= FRAME:
        centres = (np.arange(len(answer)) + 0.5) / len(answer)
        # a window may start up to half a frame beside the grid
        np.testing.assert_allclose(answer, 100 * centres, atol=100 * FRAME / samples)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        ((2.0, 1.0), "within the 3.00 s"),
        ((3.5, 4.0), "within the 3.00 s"),
        ((-1.0, 1.0), "within the 3.00 s"),
        ((float("nan"), 1.0), "within the 3.00 s"),
        ("soon", r"\(start, end\) in seconds"),
    ],
)
def test_impossible_spans(span: Any, text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        explain(levels(), steps(), "energy", span=span)


@pytest.mark.parametrize("bound", [float("nan"), float("inf"), "soon"])
@pytest.mark.parametrize("name", ["start", "end"])
def test_impossible_bounds(name: str, bound: Any) -> None:
    with pytest.raises(ParameterError, match="start and end are seconds, got"):
        explain(levels(), steps(), "energy", **{name: bound})


def test_a_span_may_end_after_the_sound() -> None:
    found = explain(levels(), steps(), "energy", target="loud", span=(2.5, 99.0))
    assert found.target.frames == (50, 60)


def test_models_that_answer_once_refuse_spans() -> None:
    model = additive(torch.ones(TOY_PLANE.bins, 376))
    with pytest.raises(NotApplicableError, match="one output for the whole sound"):
        explain(model, steps(), "energy", span=(1.0, 2.0))


def test_answers_of_the_wrong_shape_are_named() -> None:
    clip = steps()
    with pytest.raises(ModelError, match=r"got shape \(1, 60, 2\); if .* use per_frame=True"):
        explain(levels(per_frame=False), clip, "energy")
    once = wrap(lambda waves: np.zeros((len(waves), 2, 3, 4)), sample_rate=RATE, per_frame=True)
    with pytest.raises(ModelError, match=r"outputs must be \(batch, frame, output\)"):
        explain(once, clip, "energy")


class Balance(nn.Module):
    """Level of low frequencies minus level of high ones."""

    def forward(self, features: Tensor) -> Tensor:
        half = features.shape[2] // 2
        low, high = features[:, 0, :half], features[:, 0, half:]
        return (low.mean(dim=(1, 2)) - high.mean(dim=(1, 2)))[:, None] * 1000


def balance(**facts: Any) -> Model:
    return wrap(Balance(), sample_rate=RATE, features=Magnitude(), **facts)


SIGNED = ["integrated-gradients", "input-x-gradient", "lime", "occlusion", "deep-shap"]


@pytest.mark.parametrize("method", SIGNED)
def test_what_lowers_a_value_is_the_opposite_of_what_raises_it(method: str, white: Audio) -> None:
    model = balance(output="scores")
    silence = {"background": "silence"} if method != "input-x-gradient" else {}
    up = explain(model, white, method, **silence).attribution.values
    down = explain(model, white, method, direction="down", **silence).attribution.values
    np.testing.assert_allclose(down, -up, atol=1e-4 * np.abs(up).max())
    half = up.shape[0] // 2
    assert up[:half].sum() > 0 > up[half:].sum()


def test_evidence_for_a_low_value_is_judged_the_other_way_round(white: Audio) -> None:
    model = balance(output="scores")
    # 99 %: all high frequencies, far more than controls of the size reach
    silence = {"background": "silence"}
    found = explain(model, white, "occlusion", direction="down", keep="99%", **silence)
    assert str(found.target) == "lower value"
    outcome = found.trust.outcome
    assert outcome.evidence.audio < 0 < outcome.remainder.audio
    assert ahead_of(found.trust, found.mask) == ["random", "energy", "silence"]
    np.testing.assert_allclose(found.trust.input, float(model(_wave(white))), rtol=1e-4)
    # the very same figures, read as if high values were wanted, are behind
    other = explain(model, white, "occlusion", keep="99%", **silence)
    assert other.trust.outcome.evidence.audio > 0


def _wave(clip: Audio) -> Tensor:
    return torch.from_numpy(clip.samples)[None]


def test_classifiers_have_no_direction(white: Audio) -> None:
    model = wrap(nn.Linear(24000, 3), sample_rate=RATE)
    with pytest.raises(NotApplicableError, match="compare classes with versus"):
        explain(model, white, "energy", direction="down")
    with pytest.raises(ParameterError, match="direction is up or down"):
        explain(balance(output="scores"), white, "energy", direction="left")  # type: ignore[arg-type]


def test_the_question_survives_the_disk(tmp_path: Path, white: Audio) -> None:
    found = explain(levels(), steps(), "energy", target="loud", span=(1.0, 2.0))
    found.save(tmp_path / "span")
    assert Explanation.load(tmp_path / "span").target == found.target
    found = explain(balance(output="scores"), white, "energy", direction="down")
    found.save(tmp_path / "down")
    loaded = Explanation.load(tmp_path / "down")
    assert loaded.target.sign == loaded.trust.sign == -1


def test_metrics_of_answers_per_frame_are_about_the_span() -> None:
    """Loudness in the span decides; by hand from the samples of each mask's sound."""
    model, clip = levels(), steps()
    wave = torch.from_numpy(clip.samples)
    whole = model(wave[None])[0]
    target = make_target(model, whole, "loud", span=(1.0, 1.5), seconds=3.0)
    probe = Probe(model, wave, target)
    late = (probe.times > 1.6).float().expand(probe.shape).numpy()
    cases = make_cases(probe, [late, 1 - late], whole=whole)
    found = cases["audio"]
    span = clip.samples[RATE : RATE + RATE // 2].astype(float)
    np.testing.assert_allclose(found["z_input"], 100 * (span**2).mean(), rtol=1e-5)
    # the first mask keeps nothing of the span, the second all of it
    np.testing.assert_allclose(found["z_evidence"], [0, found["z_input"]], atol=1e-3)
    np.testing.assert_allclose(found["z_remainder"], [found["z_input"], 0], atol=1e-3)
    figures = measure(found)
    raised = np.exp(whole[:, 20:30].double().numpy())
    chances = raised[0] / raised.sum(axis=0)
    np.testing.assert_allclose(found["p_input"], float(chances.mean()), rtol=1e-6)
    np.testing.assert_allclose(found["all_input"].sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(figures["faithfulness-logit"], [0, found["z_input"]], atol=1e-3)
    assert figures["faithfulness"][1] > 0.1
    assert figures["faithfulness"].shape == figures["log-odds"].shape == (2,)
