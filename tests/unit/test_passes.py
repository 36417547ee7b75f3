"""One question to the model for all masks: routes, domains, sharing; and what comes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from earwitness.errors import UnknownNameError
from earwitness.evaluation.cases import make_cases, measure
from earwitness.evaluation.passes import evaluate
from earwitness.masks.keep import make_mask, parse_keep
from earwitness.masks.measure import gains_as_heard
from earwitness.methods.registry import METHODS
from earwitness.metrics.registry import FIELDS, METRICS
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.target import make_target, reported_score
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.plane.domains import DOMAINS
from earwitness.probe import Probe
from earwitness.render.evidence import render
from earwitness.signals import scene
from earwitness.types import Audio, Target
from tests.reference import slow_metrics
from tests.toys import RATE, REGIONS, WaveNet, region, spectral, two_layers, waveform


def probe_of(model: Model, clip: Audio, target: int | None = 0, **kwargs: Any) -> Probe:
    wave = torch.from_numpy(clip.samples)
    with torch.no_grad():
        question = make_target(model, model(wave[None])[0], target)
    return Probe(model, wave, question, **kwargs)


def some_gains(probe: Probe, count: int = 3) -> np.ndarray:
    return np.random.default_rng(5).random((count, *probe.shape)).astype(np.float32)


@pytest.mark.parametrize("build", [spectral, waveform])
def test_evidence_and_remainder_on_both_routes(build: Any, white: Audio) -> None:
    probe = probe_of(build(), white)
    gains = some_gains(probe)
    passes = evaluate(probe, gains, sounds=True)
    for k, gain in enumerate(torch.from_numpy(gains)):
        sounds = render(probe.model.plane, probe.spectrum, gain, probe.wave)
        both = torch.stack([gain, 1 - gain])
        with torch.no_grad():
            audio = probe.model(torch.stack(sounds))
            direct = probe.outputs(both)
        # batching changes the last digits of float32
        close = {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(passes.audio.evidence[k], audio[0], **close)
        torch.testing.assert_close(passes.audio.remainder[k], audio[1], **close)
        torch.testing.assert_close(passes.spectrogram.evidence[k], direct[0], **close)
        torch.testing.assert_close(passes.spectrogram.remainder[k], direct[1], **close)
        torch.testing.assert_close(passes.sounds[k], sounds[0], rtol=0, atol=1e-6)


def test_equal_masks_are_asked_about_once(white: Audio) -> None:
    told: list[int] = []
    probe = probe_of(spectral(), white, on_passes=told.append)
    gains = some_gains(probe)
    several = [gains[0], gains[1], gains[0], gains[2], gains[1]]
    passes = evaluate(probe, several, sounds=True, memo={})
    assert sum(told) == 4 * 3
    for sides in (passes.spectrogram, passes.audio):
        torch.testing.assert_close(sides.evidence[2], sides.evidence[0], rtol=0, atol=0)
        torch.testing.assert_close(sides.remainder[4], sides.remainder[1], rtol=0, atol=0)
        assert (sides.evidence[3] - sides.evidence[0]).abs().max() > 0
    torch.testing.assert_close(passes.sounds[2], passes.sounds[0], rtol=0, atol=0)
    told.clear()
    waves = probe_of(waveform(), white, on_passes=told.append)
    evaluate(waves, some_gains(waves))
    assert sum(told) == 2 * 3  # one route only


def test_a_batch_of_many_is_cut_in_chunks(white: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    model = spectral()
    model.optimise = False
    probe = probe_of(model, white)
    gains = some_gains(probe, 7)
    whole = evaluate(probe, gains)
    largest: list[int] = []
    forward = model.module.forward
    monkeypatch.setattr(Probe, "chunk", 4)
    monkeypatch.setattr(model.module, "forward", lambda x: (largest.append(len(x)), forward(x))[1])
    parts = evaluate(probe, gains)
    assert max(largest) == 4
    torch.testing.assert_close(
        parts.spectrogram.evidence, whole.spectrogram.evidence, rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(parts.audio.remainder, whole.audio.remainder, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("domain", DOMAINS)
def test_domains_reach_the_model_on_both_routes(domain: str, white: Audio) -> None:
    probe = probe_of(spectral(), white)
    ones = np.ones((1, *probe.shape), np.float32)
    passes = evaluate(probe, ones, domain=domain)
    with torch.no_grad():
        whole = probe.model(probe.wave[None])
    for sides in (passes.spectrogram, passes.audio):
        torch.testing.assert_close(sides.evidence, whole, rtol=1e-4, atol=1e-4)
    half = evaluate(probe, 0.5 * ones, domain=domain)
    linear = evaluate(probe, 0.5 * ones)
    if domain != "linear":
        assert (half.spectrogram.evidence - linear.spectrogram.evidence).abs().max() > 0.1
        assert (half.audio.evidence - linear.audio.evidence).abs().max() > 0.1


def test_domains_are_those_of_transforms_that_are_not_scaled(white: Audio) -> None:
    probe = probe_of(spectral(), white)
    gains = some_gains(probe, 1)
    raw = torch.stft(
        probe.wave,
        256,
        128,
        window=torch.hann_window(256),
        pad_mode="constant",
        return_complex=True,
    ).abs()
    gain = torch.from_numpy(gains[0])[:, : raw.shape[1]]
    level = 20 * raw.clamp(min=1e-5).log10()
    masked = {
        "log1p": (gain * raw.log1p()).expm1(),
        "dB": 10 ** (((level + 100) * gain - 100) / 20),
    }
    for domain, cells in masked.items():
        magnitude = torch.zeros(1, *probe.shape)
        magnitude[0, :, : raw.shape[1]] = cells / 128
        with torch.no_grad():
            wanted = probe.model.from_magnitude(magnitude)
        found = evaluate(probe, gains, domain=domain).spectrogram.evidence
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("label", ["crying_baby", "rain"])
def test_soft_masks_are_heard_as_they_are_scored(label: str) -> None:
    model = load_model("esc10")
    made = scene(model.rate)
    wave = torch.from_numpy(made.mixture.samples)
    rules = ["minmax", "minmax+", "80%,smooth:1.5", "80%"]
    gaps = {}
    with model.undisturbed(), torch.no_grad():
        question = make_target(model, model(wave[None])[0], label)
        probe = Probe(model, wave, question)
        for method in ("gradcam", "integrated-gradients"):
            values = METHODS.get(method).function(probe).values.numpy()
            masks = [make_mask(values, probe.magnitude.numpy(), parse_keep(r)) for r in rules]
            passes = evaluate(probe, [mask.gains for mask in masks])
            plane, heard = (
                torch.stack(
                    [reported_score(model, side, question) for side in (s.evidence, s.remainder)]
                )
                for s in (passes.spectrogram, passes.audio)
            )
            gaps[method] = (plane - heard).abs().amax(dim=0).numpy()
    # gains that change little from cell to cell: nearly the transform of a sound
    assert gaps["gradcam"][:3].max() < 0.01
    assert gaps["integrated-gradients"][2] < 0.01
    # soft gains that are as rough as the map
    assert gaps["integrated-gradients"][:2].max() < 0.1
    # hard edges are not bounded; on one of the two questions they are off by a quarter
    if label == "crying_baby":
        assert gaps["integrated-gradients"][3] > 0.1


def test_fields_of_a_case(white: Audio) -> None:
    probe = probe_of(spectral(), white)
    gains = some_gains(probe)
    cases = make_cases(probe, gains, attribution=gains[0], steps=5)
    assert list(cases) == ["spectrogram", "audio"]
    for case in cases.values():
        assert set(case) <= set(FIELDS)
        assert case["p_evidence"].shape == (3,)
        assert case["all_remainder"].shape == (3, 2)
        assert case["insertion"].shape == case["shares"].shape == (1, 5)
        assert case["sounds"].shape == (3, 24000)
        np.testing.assert_allclose(case["p_input"], case["insertion"][0, -1], atol=1e-5)
        np.testing.assert_allclose(case["p_input"], case["deletion"][0, 0], atol=1e-5)
        np.testing.assert_allclose(case["insertion"][0, 0], case["deletion"][0, -1], atol=1e-6)
        figures = measure(case)
        assert {"faithfulness", "insertion", "sparseness", "clicks", "si-sdr-input"} <= set(figures)
        assert not {"relevance-mass", "stability-seed", "transfer", "stoi"} & set(figures)
    plain = make_cases(probe, gains, sounds=False)["spectrogram"]
    assert "insertion" not in plain
    assert "sounds" not in plain


def test_gains_as_heard_are_those_of_the_sound(white: Audio) -> None:
    probe = probe_of(spectral(), white)
    rng = np.random.default_rng(0)
    gains = np.zeros((2, *probe.shape), np.float32)
    gains[0, 20:60, 40:80] = 1  # a block
    gains[1].ravel()[rng.permutation(gains[1].size)[: 40 * 40]] = 1  # as many scattered cells
    case = make_cases(probe, gains)["audio"]
    for k in range(2):
        wave = probe.wave.double().numpy()
        plane = probe.model.plane
        wanted = slow_metrics.heard(wave, gains[k].astype(float), plane.n_fft, plane.hop)
        inside = slice(2, -2)  # at the edges the input itself is next to nothing
        np.testing.assert_allclose(case["heard"][k][:, inside], wanted[:, inside], atol=2e-3)
    figures = measure(case, ["area", "effective-area", "effective-area-audio"])
    np.testing.assert_allclose(figures["effective-area"], figures["area"], rtol=1e-6)
    block, scattered = figures["effective-area-audio"] / figures["area"]
    assert block < 1.3
    assert scattered > 2.5  # they spread in the inverse transform
    cells = np.array([[0.5, 0.6e-5, 0.4e-5, 0]], np.float32)  # -98 and -102 dB
    silent = gains_as_heard(np.ones_like(cells), cells)
    np.testing.assert_array_equal(silent, [[1, 1, 0, 0]])
    nothing = gains_as_heard(np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32))
    np.testing.assert_array_equal(nothing, [[0, 0]])


def test_what_a_filter_leaves_is_not_heard() -> None:
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(16000))
    spectrum[2000:] *= 1e-6  # above 2 of 8 kHz
    samples = np.fft.irfft(spectrum)
    probe = probe_of(spectral(), Audio(samples.astype(np.float32), 16000))
    figures = measure(make_cases(probe, np.ones((1, *probe.shape), np.float32))["audio"])
    cells = probe.magnitude.numpy()
    share = (cells > 1e-5 * cells.max()).mean()
    assert 0.25 < share < 0.5  # a quarter, and leakage of the window
    np.testing.assert_allclose(figures["effective-area-audio"], share, atol=1e-3)
    np.testing.assert_allclose(figures["effective-area"], 1)


def test_the_card_has_the_effective_area_of_the_sound(white: Audio) -> None:
    found = explain(spectral(), white, "integrated-gradients", keep="area:5%")
    assert found.trust is not None
    plane = found.attribution
    probe = probe_of(spectral(), white)
    case = make_cases(probe, found.mask.gains[None])["audio"]
    assert plane.values.shape == case["heard"][0].shape
    wanted = measure(case, ["effective-area-audio"])["effective-area-audio"][0]
    np.testing.assert_allclose(found.trust.effective_area, wanted, rtol=1e-5)
    energy, random = found.trust.controls["energy"], found.trust.controls["random"]
    assert energy.effective_area not in (None, found.trust.effective_area)
    assert random.effective_area is None


def test_answers_are_what_the_model_says(white: Audio) -> None:
    model = spectral()
    probe = probe_of(model, white, target=1)
    gains = np.stack([region(*one, probe.shape[1]).numpy() for one in REGIONS])
    case = make_cases(probe, gains)["audio"]
    with torch.no_grad():
        z = model(torch.from_numpy(case["sounds"])).double()
    np.testing.assert_allclose(case["z_evidence"], z[:, 1], rtol=1e-4, atol=1e-5)
    p = 1 / (1 + np.exp((z[:, 0] - z[:, 1]).numpy()))
    np.testing.assert_allclose(case["p_evidence"], p, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(case["odds_evidence"], z[:, 1] - z[:, 0], rtol=1e-4, atol=1e-4)
    assert case["p_evidence"][1] > 0.9 > case["p_evidence"][0]
    figures = measure(case, ["faithfulness", "fidelity"])
    assert figures["faithfulness"][1] > figures["faithfulness"][0]


def test_log_odds_do_not_saturate(white: Audio) -> None:
    class Sure(torch.nn.Module):
        def forward(self, waves: Tensor) -> Tensor:
            return waves.abs().mean(dim=1)[:, None] * torch.tensor([[2000.0, 0.0, 0.0]])

    model = wrap(Sure(), sample_rate=RATE)
    probe = probe_of(model, white)
    ones = np.ones((1, *probe.shape), np.float32)
    case = make_cases(probe, np.concatenate([0 * ones, ones]))["spectrogram"]
    loud = float(probe.wave.abs().mean())
    np.testing.assert_allclose(case["p_input"], 1.0)
    np.testing.assert_allclose(case["odds_input"], 2000 * loud - np.log(2), rtol=1e-5)
    found = measure(case, ["log-odds"])["log-odds"]
    np.testing.assert_allclose(found, [0.0, 2000 * loud], rtol=1e-4, atol=0.05)


@pytest.mark.parametrize(
    ("facts", "absent"),
    [
        ({"task": "multi-label"}, {"fidelity", "top-fidelity"}),
        (
            {"output": "scores"},
            {"fidelity", "faithfulness", "average-drop", "log-odds", "insertion"},
        ),
    ],
)
def test_what_a_task_has_no_answer_to_is_not_asked(
    facts: dict[str, Any], absent: set[str], white: Audio
) -> None:
    model = wrap(WaveNet(), sample_rate=RATE, labels=["high", "low"], **facts)
    probe = probe_of(model, white)
    gains = some_gains(probe)
    figures = measure(make_cases(probe, gains, attribution=gains[0], steps=3)["audio"])
    assert not absent & set(figures)
    assert "faithfulness-logit" in figures


def test_a_regression_has_curves_of_its_score_in_the_direction_asked(white: Audio) -> None:
    model = wrap(WaveNet(), sample_rate=RATE, labels=["high", "low"], output="scores")
    wave = torch.from_numpy(white.samples)
    areas = {}
    for sign in (1, -1):
        probe = Probe(model, wave, Target(0, "high", "value", sign=sign))
        gains = some_gains(probe)
        case = make_cases(probe, gains, attribution=sign * gains[0], steps=4)["audio"]
        assert not {"insertion", "deletion"} & set(case)
        with torch.no_grad():
            whole, nothing = model(torch.stack([wave, 0 * wave]))[:, 0].tolist()
        np.testing.assert_allclose(case["insertion_score"][0, -1], sign * whole, rtol=1e-4)
        np.testing.assert_allclose(case["insertion_score"][0, 0], sign * nothing, atol=1e-4)
        np.testing.assert_allclose(case["deletion_score"][0, 0], sign * whole, rtol=1e-4)
        figures = measure(case)
        areas[sign] = float(figures["insertion-score"][0]), float(figures["deletion-score"][0])
    assert areas[1] != areas[-1]


def test_published_definitions_are_asked_for_by_name(white: Audio) -> None:
    probe = probe_of(two_layers(), white)
    case = make_cases(probe, some_gains(probe), domain="log1p")["spectrogram"]
    names = {"FF", "AI", "AD", "AG", "FidIn", "SPS", "COMP"}
    assert set(measure(case, compat="lmac")) == set(measure(case, compat="pak")) == names
    assert set(measure(case, ["AD"], compat="pak")) == {"AD"}
    with pytest.raises(UnknownNameError, match="known: lmac, pak"):
        measure(case, compat="speechbrain")
    with pytest.raises(UnknownNameError, match="did you mean 'faithfulness'"):
        measure(case, ["faithfullness"])
    assert METRICS.get("average-drop").name == "average-drop"
