"""Scores at a dozen sizes of the mask, against sounds cut by hand."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

import earwitness
from earwitness.errors import ParameterError
from earwitness.evaluation.curve import AREAS, KEEP, score_curve
from earwitness.evaluation.passes import evaluate
from earwitness.explanation import Explanation
from earwitness.masks.keep import make_mask, parse_keep
from earwitness.models.model import Model
from earwitness.pipeline import count_passes, explain, explain_subject
from earwitness.plane.stft import Plane
from earwitness.scores import Curve
from earwitness.subject import open_subject
from earwitness.types import Audio, Request
from tests.command import explain as command
from tests.toys import RATE, spectral, waveform

Array = np.ndarray[Any, Any]
N_FFT, HOP = 256, 128
PLANE = Plane(RATE, N_FFT, HOP)
WINDOW = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)


def windowed(sound: Array, frames: int) -> Array:
    """Spectra (frame, bin) of frames centred on multiples of the hop, zeros around the sound."""
    padded = np.zeros(frames * HOP + 2 * N_FFT)
    padded[N_FFT // 2 : N_FFT // 2 + len(sound)] = sound
    return np.stack([np.fft.rfft(WINDOW * padded[k * HOP :][:N_FFT]) for k in range(frames)])


def kept(sound: Array, gains: Array) -> Array:
    """The sound that gains (bin, frame) keep: least squares over the windows."""
    frames = gains.shape[1]
    total, weight = np.zeros(frames * HOP + 2 * N_FFT), np.full(frames * HOP + 2 * N_FFT, 1e-12)
    for k, row in enumerate(windowed(sound, frames) * gains.T):
        total[k * HOP :][:N_FFT] += WINDOW * np.fft.irfft(row)
        weight[k * HOP :][:N_FFT] += WINDOW**2
    return (total / weight)[N_FFT // 2 :][: len(sound)]


AB = ["a", "b"]


class PerFrame(nn.Module):
    """Loudness of the low and of the high half band every 10 ms, as logits of two classes."""

    def forward(self, waves: Tensor) -> Tensor:
        power = torch.fft.rfft(waves.unfold(1, 320, 160)).abs().square()
        return torch.stack([power[..., :80].mean(2), power[..., 80:].mean(2)], 2).mul(20).log1p()


def per_frame() -> Model:
    return earwitness.wrap(PerFrame(), sample_rate=RATE, per_frame=True, labels=AB, plane=PLANE)


def value() -> Model:
    network = nn.Sequential(PerFrame(), Mean())
    return earwitness.wrap(network, sample_rate=RATE, output="scores", labels=AB, plane=PLANE)


class Mean(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return rows.mean(dim=1)


CASES: dict[str, tuple[Callable[[], Model], dict[str, Any], Callable[[Tensor], Tensor]]] = {
    "front end": (spectral, {"target": "low"}, lambda out: out.softmax(1)[:, 1]),
    "waveform": (waveform, {"target": "high"}, lambda out: out.softmax(1)[:, 0]),
    "versus": (waveform, {"target": 0, "versus": 1}, lambda out: out[:, 0] - out[:, 1]),
    "value": (value, {"target": 1, "direction": "down"}, lambda out: out[:, 1]),
    "span": (
        per_frame,
        {"target": 0, "span": (0.4, 0.8)},
        lambda out: out.softmax(2)[:, 39:80, 0].mean(1),
    ),
}


def network(model: Model) -> nn.Module:
    found = model.parts[0]
    if any(isinstance(part, nn.Conv2d) for part in found.children()):  # on the toys' magnitude
        return lambda waves: found(model.plane.analyse(waves).abs().unsqueeze(1))
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_scores_are_those_of_sounds_cut_by_hand(case: str, white: Audio) -> None:
    make, request, score = CASES[case]
    model = make()
    found = explain(model, white, "input-x-gradient", trust="none", curve=True, **request)
    significand, exponent = np.frexp(found.attribution.values.astype(np.float64))
    values = np.ldexp(np.round(significand * 2**12), exponent - 12)  # as stored
    curve = found.curve
    sound = white.samples.astype(np.float64)
    positive = np.sort(values[values > 0])[::-1]
    held = np.cumsum(positive) / positive.sum()
    forward = network(model)

    def scored(wave: Array) -> float:
        with torch.no_grad():
            outputs = forward(torch.from_numpy(wave.astype(np.float32))[None])
        return float(score(outputs)[0])

    assert curve.keep == (1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 80, 100)
    spread = []
    for k, percent in enumerate(curve.keep):
        least = positive[np.flatnonzero(held >= percent / 100 * (1 - 1e-9))[0]]
        gains = (values >= least).astype(float)
        evidence = kept(sound, gains)
        assert_allclose(curve.area[k], gains.mean(), rtol=1e-12)
        wanted = [scored(evidence), scored(sound - evidence)]
        # float32 transforms; scores are of order one
        assert_allclose([curve.evidence[k], curve.remainder[k]], wanted, atol=2e-4)
        spread += wanted
    assert np.ptp(spread) > 0.05  # so that the comparison above says something


def test_the_controls_are_masks_made_by_hand(white: Audio) -> None:
    found = explain(spectral(), white, "saliency", target="low", seed=3, curve=True)
    model, sound = spectral(), white.samples.astype(np.float64)
    level, forward = found.magnitude, network(model)
    order = np.argsort(-level, axis=None, kind="stable")
    noise = np.random.default_rng(3).standard_normal(level.shape).astype(np.float32)
    phases = np.fft.rfft2(noise)
    phases /= np.abs(phases)
    assert len(found.curve.energy.area) == len(AREAS) == 12
    for k, percent in enumerate(AREAS):
        count = max(1, round(percent / 100 * level.size))
        loud, random = np.zeros(level.size), np.zeros(level.size)
        loud[order[:count]] = 1
        spectrum = np.abs(np.fft.rfft2((loud - loud.mean()).reshape(level.shape)))
        surrogate = np.fft.irfft2(spectrum * phases, s=level.shape)
        random[np.argsort(-surrogate, axis=None)[:count]] = 1
        for control, gains in ((found.curve.energy, loud), (found.curve.random, random)):
            evidence = kept(sound, gains.reshape(level.shape))
            waves = np.stack([evidence, sound - evidence]).astype(np.float32)
            with torch.no_grad():
                wanted = forward(torch.from_numpy(waves)).softmax(1)[:, 1]
            assert_allclose(control.area[k], count / level.size, rtol=1e-12)
            # a cell in 24,000 at the edge may change sides by the rounding of float32
            assert_allclose([control.evidence[k], control.remainder[k]], wanted, atol=2e-3)


def test_the_share_of_the_trust_card_scores_the_same_on_the_curve(white: Audio) -> None:
    found = explain(waveform(), white, "saliency", keep="20%", curve=True)
    at = found.curve.keep.index(20)
    assert_allclose(found.curve.area[at], found.mask.area, rtol=1e-12)
    card = found.trust.outcome
    assert_allclose(found.curve.evidence[at], card.evidence.audio, rtol=1e-5)
    assert_allclose(found.curve.remainder[at], card.remainder.audio, rtol=1e-5)


def test_controls_are_computed_once_for_each_sound_and_target(white: Audio) -> None:
    subject = open_subject(spectral(), white)
    counts: list[int] = []

    def cost(method: str, target: str, *, first: bool) -> int:
        counts.clear()
        request = Request(method, target=target, trust="none", curve=True)
        explain_subject(subject, request, on_passes=counts.append)
        assert sum(counts) == count_passes(request, first=first)
        return sum(counts)

    assert cost("energy", "low", first=True) == 24 + 48
    assert cost("all-ones", "low", first=False) == 24
    assert cost("saliency", "low", first=False) == 24 + 3  # a gradient counts three
    assert cost("energy", "high", first=True) == 24 + 48
    for target in ("low", "high"):
        alone = explain(spectral(), white, "energy", target=target, trust="none", curve=True)
        again = explain_subject(subject, Request("energy", target=target, curve=True))
        assert again.curve == alone.curve
    assert count_passes(Request("energy", trust="none")) == 0


def test_masks_are_made_as_they_are_needed(white: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[Any]] = []
    most: list[int] = []

    def watched(probe: Any, gains: Any, **how: Any) -> Any:
        def counted() -> Any:
            for one in gains:
                alive.append(weakref.ref(one))
                most.append(sum(mask() is not None for mask in alive))
                yield one

        return evaluate(probe, counted(), **how)

    monkeypatch.setattr("earwitness.evaluation.curve.evaluate", watched)
    monkeypatch.setattr("earwitness.probe._CELLS_PER_PASS", 100_000)  # four maps of this sound
    explain(spectral(), white, "energy", trust="none", curve=True)
    assert len(most) == 36
    assert max(most) <= 4  # two in a batch, one on the way in and one on the way out


class LogLevel(nn.Module):
    """Divides by the level: not a number for silence."""

    def forward(self, waves: Tensor) -> Tensor:
        scaled = waves / waves.square().mean(dim=1, keepdim=True).sqrt()
        return torch.stack([scaled.abs().mean(1), scaled.abs().amax(1)], dim=1)


def test_silence_without_a_finite_output_is_left_out(white: Audio) -> None:
    model = earwitness.wrap(LogLevel(), sample_rate=RATE, output="scores", labels=AB)
    found = explain(model, white, "all-ones", trust="none", curve=True)
    with torch.no_grad():
        whole = float(LogLevel()(torch.from_numpy(white.samples)[None])[0, 0])
    assert_allclose(found.curve.evidence, [whole] * 12, rtol=1e-5)
    assert found.curve.area == (1.0,) * 12
    nothing = explain(model, white, "all-zeros", trust="none", curve=True).curve
    assert nothing.evidence == (None,) * 12
    assert nothing.area == (0.0,) * 12
    assert_allclose(nothing.remainder, [whole] * 12, rtol=1e-5)
    assert None not in nothing.energy.evidence


def test_a_model_that_fails_on_one_sound_loses_no_other(white: Audio) -> None:
    model = earwitness.wrap(LogLevel(), sample_rate=RATE, output="scores", labels=AB)
    subject = open_subject(model, white)
    request = Request("saliency", trust="none", curve=True)
    quiet = np.zeros((subject.magnitude.shape), np.float32)
    quiet[40:60, 20:30] = 1
    made: list[Any] = []

    def keep(probe: Any, attribution: Any, whole: Tensor, controls: Any) -> Curve:
        made.append(probe)
        return score_curve(probe, attribution, whole, controls)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("earwitness.pipeline.score_curve", keep)
        explain_subject(subject, request)
    undefined = torch.full((2,), torch.nan)
    masks = [quiet, np.zeros_like(quiet), 1 - quiet]
    sides = evaluate(made[0], masks, routes=("audio",), undefined=undefined).audio
    assert torch.isnan(sides.evidence).any(1).tolist() == [False, True, False]
    assert not torch.isnan(sides.remainder).any()
    alone = evaluate(made[0], [quiet], routes=("audio",)).audio
    assert_allclose(sides.evidence[0], alone.evidence[0], rtol=1e-6)


def test_the_curve_is_saved_and_loaded(tmp_path: Path, white: Audio) -> None:
    found = explain(spectral(), white, "energy", trust="none", curve=True)
    files = found.save(tmp_path / "e")
    facts = json.loads(files["explanation"].read_text())
    assert facts["schema"] == 2
    assert facts["curve"]["keep"] == list(KEEP)
    assert facts["curve"]["random"]["area"] == list(found.curve.random.area)
    assert Explanation.load(tmp_path / "e").curve == found.curve
    del facts["curve"]  # as versions without it wrote
    files["explanation"].write_text(json.dumps(facts))
    assert Explanation.load(tmp_path / "e").curve is None
    assert explain(spectral(), white, "energy", trust="none").curve is None


def test_the_command_has_a_curve_with_a_full_card_or_on_request(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {
        (): True,
        ("--no-curve",): False,
        ("--trust", "light"): False,
        ("--trust", "none", "--curve"): True,
    }
    for number, (words, wanted) in enumerate(cases.items()):
        assert command(capsys, "b.wav", *words, "-o", f"r{number}")[0] == 0
        assert (load(place / f"r{number}").curve is not None) == wanted, words


def load(report: Path) -> Explanation:
    return Explanation.load(report / "b" / "input-x-gradient")


def test_a_folder_without_curves_goes_on_without_them_and_says_so(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(capsys, "b.wav", "--no-curve", "-o", "r")[0] == 0
    record = place / "r" / "report.json"
    facts = json.loads(record.read_text())

    def former(found: Any) -> Any:  # as versions without curves wrote it
        if isinstance(found, dict):
            return {key: former(one) for key, one in found.items() if key != "curve"}
        return found

    record.write_text(json.dumps(former(facts)))
    assert former(facts) != facts
    code, out, err = command(capsys, "b.wav", "-o", "r")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "holds explanations with curve False, not True" in err
    assert command(capsys, "b.wav", "--no-curve", "-o", "r")[0] == 0


def test_a_curve_is_true_or_false(white: Audio) -> None:
    with pytest.raises(ParameterError, match="curve is true or false, got 'yes'"):
        explain(spectral(), white, "energy", curve="yes")


def test_all_thresholds_at_once_are_the_masks_of_each_share() -> None:
    rng = np.random.default_rng(5)
    values = np.round(rng.standard_normal((30, 40)), 1)  # with many ties
    from earwitness.masks.shares import attribution_thresholds

    percents = [*range(1, 101)]
    least = attribution_thresholds(values, [one / 100 for one in percents])
    for percent, one in zip(percents, least, strict=True):
        mask = make_mask(values, np.ones(values.shape), parse_keep(f"{percent}%"))
        np.testing.assert_array_equal(mask.gains, values >= one)
    assert attribution_thresholds(-np.abs(values), [0.5, 1]).tolist() == [np.inf, np.inf]
