"""Scores that are a mean over frames: what each frame adds, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from earwitness.errors import NotApplicableError, ParameterError
from earwitness.explanation import Explanation
from earwitness.methods.frame_scores import spread
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.models.zoo.mosnet import VARIANTS, MOSNet, mosnet_model
from earwitness.models.zoo.nisqa import LABELS, NISQA, AttentionPooled, DecibelMel
from earwitness.pipeline import explain
from earwitness.types import Audio

RATE = 8000
FRAMES = np.array([[1.0, 2.0, 4.0, 5.0], [2.0, 2.0, 0.0, 0.0]], np.float32)  # (output, frame)


def noise(seconds: float, rate: int = RATE) -> Audio:
    samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate))
    return Audio(samples.astype(np.float32), rate)


def framed(**facts: Any) -> Model:
    """Return a model of two scores in four frames, whatever it is given."""
    facts = {"output": "scores", "task": "regression", **facts}
    return wrap(
        lambda waves: np.stack([FRAMES.T] * len(waves)), sample_rate=RATE, labels=["MOS", "noise"],
        per_frame=True, **facts,
    )  # fmt: skip


def quality() -> Model:
    """Return NISQA of five dimensions with weights at random."""
    torch.manual_seed(0)
    front_end = DecibelMel(48000, 20000.0)
    return wrap(
        AttentionPooled(5).eval(), features=front_end, sample_rate=48000, labels=LABELS,
        output="scores", task="regression", lengths=(0.14, 2.0), plane=0.02,
    )  # fmt: skip


def of(model: Model, clip: Audio, **kwargs: Any) -> Explanation:
    return explain(model, clip, "frame-scores", trust="none", **kwargs)


def quarters(found: Explanation, count: int = 4) -> list[float]:
    """Return the sums of the map over quarters of the sound of 2 s."""
    times = found.attribution.times
    part = np.minimum((times / 2 * count).astype(int), count - 1)
    return [float(found.attribution.values[:, part == k].sum()) for k in range(count)]


def test_frames_add_their_share_of_the_distance_from_the_reference() -> None:
    # a frame of the plane across an edge belongs to both, so sums differ by a frame's width
    width = 0.02
    found = of(framed(), noise(2.0))
    np.testing.assert_allclose(quarters(found), [-0.5, -0.25, 0.25, 0.5], atol=width)
    np.testing.assert_allclose(found.attribution.values.sum(), 0, atol=1e-6)
    zero = of(framed(), noise(2.0), reference="0")
    np.testing.assert_allclose(quarters(zero), [0.25, 0.5, 1.0, 1.25], atol=0.06)
    np.testing.assert_allclose(zero.attribution.values.sum(), 3.0, rtol=1e-5)
    down = of(framed(), noise(2.0), direction="down", reference="4.5")
    np.testing.assert_allclose(down.attribution.values.sum(), 1.5, rtol=1e-5)
    np.testing.assert_allclose(quarters(down)[3], -0.125, atol=width)


def test_span_and_contrast_of_frames() -> None:
    span = of(framed(), noise(2.0), span=(0.0, 1.0))
    np.testing.assert_allclose(quarters(span), [-0.25, 0.25, 0, 0], atol=0.03)
    against = of(framed(), noise(2.0), target="MOS", versus="noise", reference="0")
    np.testing.assert_allclose(quarters(against), [-0.25, 0, 1.0, 1.25], atol=0.06)
    np.testing.assert_allclose(against.attribution.values.sum(), 2.0, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_mosnets_frames_add_up_to_its_score(variant: str) -> None:
    torch.manual_seed(0)
    model, clip = mosnet_model(MOSNet(variant)), noise(1.0, 16000)
    found = of(model, clip, reference="0")
    with torch.no_grad():
        score = float(model.module(model._features(torch.from_numpy(clip.samples)[None]))[0])
    np.testing.assert_allclose(found.attribution.values.sum(dtype=float), score, rtol=1e-4)


@pytest.mark.parametrize("seconds", [1.0, 3.1])  # in one part, and in three windows
def test_nisqas_segments_add_up_to_its_score(seconds: float) -> None:
    model, clip = quality(), noise(seconds, 48000)
    with torch.no_grad():
        scores = model(torch.from_numpy(clip.samples)[None])[0]
    for index, label in enumerate(LABELS):
        found = of(model, clip, target=label, reference="0")
        total = found.attribution.values.sum(dtype=float)
        np.testing.assert_allclose(total, float(scores[index]), atol=1e-5)
        assert abs(found.attribution.details["completeness_gap"]) < 1e-5
    against = of(model, clip, target="noisiness", versus="coloration", reference="0")
    total = against.attribution.values.sum(dtype=float)
    np.testing.assert_allclose(total, float(scores[1] - scores[3]), atol=1e-5)


def test_a_segment_of_nisqa_has_its_weight_times_its_score_at_its_time() -> None:
    model, clip = quality(), noise(1.0, 48000)
    network: Any = model.module
    features = model._features(torch.from_numpy(clip.samples)[None])  # type: ignore[attr-defined]
    with torch.no_grad():
        rows = network._rows(features)[0]
        head = network.pool_layers[2].model
        weights = head.linear2(head.linear1(rows).relu())[:, 0].softmax(dim=0)
        wanted = weights * head.linear3(rows)[:, 0]
    found = of(model, clip, target="discontinuity", reference="0")
    times = found.attribution.times  # a segment of 15 frames of 10 ms begins every 40 ms
    for number in (0, 7, len(wanted) - 1):
        centre = 0.07 + 0.04 * number
        inside = np.abs(times - centre) < 0.015
        density = found.attribution.values[:, inside].sum(axis=0) / np.diff(times).mean()
        np.testing.assert_allclose(density, float(wanted[number]) / 0.04, rtol=1e-4)


def test_nisqas_score_over_time_is_that_of_its_segments() -> None:
    found = of(quality(), noise(1.0, 48000), target="coloration").course
    assert found is not None
    assert len(found.values) == 22  # of 101 frames
    assert found.starts[0] == pytest.approx(0.05)
    assert found.ends[-1] == pytest.approx(0.93)


def test_segments_of_nisqas_later_windows_lie_later() -> None:
    found = of(quality(), noise(3.1, 48000)).course  # windows from 0, 0.55 and 1.1 s, of 2 s
    assert found is not None
    starts = np.array(found.starts).reshape(3, -1)
    np.testing.assert_allclose(starts[:, 0], [0.05, 0.6, 1.15], atol=1e-6)
    assert found.ends[-1] == pytest.approx(1.1 + 1.93)


def test_windows_of_a_long_sound_are_frames() -> None:
    def loudest(waves: np.ndarray) -> np.ndarray:
        return np.abs(waves).max(axis=1, keepdims=True)

    clip = noise(2.0)
    clip.samples[round(1.9 * RATE)] = 0.9
    model = wrap(loudest, sample_rate=RATE, labels=["peak"], output="scores", lengths=(None, 1.0))
    found = of(model, clip, reference="0")
    peaks = [np.abs(clip.samples[k * RATE // 2 :][:RATE]).max() for k in range(3)]
    np.testing.assert_allclose(found.attribution.values.sum(), np.mean(peaks), rtol=1e-5)
    # the last half second is of the last window alone, which is half of its length
    np.testing.assert_allclose(quarters(found)[3], peaks[2] / 3 / 2, rtol=0.05)
    model = wrap(
        loudest, sample_rate=RATE, labels=["peak"], output="scores", lengths=(None, 1.0),
        pool="topk",
    )  # fmt: skip
    with pytest.raises(NotApplicableError, match="largest outputs of its windows, which is no sum"):
        of(model, clip)


def test_models_without_such_a_sum_are_refused_with_the_reason() -> None:
    model = wrap(
        lambda waves: waves.mean(axis=1, keepdims=True), sample_rate=RATE, labels=["mean"],
        output="scores",
    )  # fmt: skip
    with pytest.raises(NotApplicableError, match="not known to be a sum over frames; wrap a model"):
        of(model, noise(1.0))
    synthetic = wrap(
        NISQA(synthetic=True).eval(), features=DecibelMel(48000, 8000.0), sample_rate=48000,
        labels=["MOS"], output="scores", lengths=(0.14, None), plane=0.02,
    )  # fmt: skip
    with pytest.raises(NotApplicableError, match="one output for the whole sound"):
        of(synthetic, noise(1.0, 48000))
    shares = wrap(
        lambda waves: np.full((len(waves), 2), 0.5, np.float32), sample_rate=RATE,
        labels=["a", "b"], output="probabilities", lengths=(None, 1.0),
    )  # fmt: skip
    with pytest.raises(NotApplicableError, match="difference of their logarithms is no sum"):
        of(shares, noise(2.0), target="a", versus="b")


def test_a_reference_that_is_no_value_is_refused() -> None:
    for text in ("clean", "nan", "inf"):
        with pytest.raises(ParameterError, match=f"mean or a value of the score, got '{text}'"):
            of(framed(), noise(2.0), reference=text)


def test_values_are_spread_over_the_frames_they_last() -> None:
    times = torch.arange(5, dtype=torch.float64)  # edges at 0, 0.5, 1.5, 2.5, 3.5 and 4
    values, starts = torch.tensor([2.0, 1.0]).double(), torch.tensor([0.5, 3.0]).double()
    found = spread(values, starts, starts + 2, times, 4.0)
    # the second lasts to 5, beyond the end: half of it is in the last frame, with what is after
    torch.testing.assert_close(found, torch.tensor([0, 1, 1, 0.25, 0.75]).double())
