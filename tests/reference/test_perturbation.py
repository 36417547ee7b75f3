"""Pieces, backgrounds and the game that estimators play, against slow versions and closed forms;
and the published defects that each of these tests would catch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from earwitness.audio import write_audio
from earwitness.errors import ParameterError, UnknownNameError
from earwitness.methods.registry import METHODS
from earwitness.models.target import make_target
from earwitness.perturbation.background.registry import with_backgrounds
from earwitness.perturbation.estimators.designs import fair_draws
from earwitness.perturbation.estimators.game import Game
from earwitness.perturbation.estimators.lime import kernel
from earwitness.perturbation.pieces.harmonic_percussive import hpss
from earwitness.perturbation.pieces.nmf import factorise
from earwitness.perturbation.pieces.registry import Sizes, cut
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.types import Audio, Target
from tests.reference import slow_pieces
from tests.reference.games import SAMPLES, SHAPE, estimate, game, tangled, wave
from tests.toys import RATE, additive, spectral

NAMES = ["lime", "kernel-shap", "occlusion", "rise", "forest"]


# the game ---------------------------------------------------------------------------------------


def test_the_model_hears_every_draw_and_no_draw_twice() -> None:
    # published code asked the model about the same unperturbed inputs whatever was drawn, and
    # dropped rows at the end of batches
    where = game(13, tangled)
    probe = where._probes[0]
    probe.model.settle(probe.wave[None])
    toy = probe.model.module
    toy.asked.clear()
    draws = fair_draws(13, 150, torch.Generator().manual_seed(0))
    scores = where.scores(torch.cat([draws, draws[:40]]))
    heard = torch.cat(toy.asked)
    assert len(torch.unique(draws, dim=0)) == where.evaluations
    # two may be asked as the model is and fused, and all pieces twice to see what is computed
    assert len(heard) <= where.evaluations + 4
    others = {tuple(row) for row in heard.tolist()} - {(1.0,) * 13}
    assert others == {tuple(row) for row in draws.double().tolist()} - {(1.0,) * 13}
    np.testing.assert_allclose(scores.numpy()[:150], tangled(draws.double()), atol=1e-5)
    np.testing.assert_array_equal(scores[150:], scores[:40])


@pytest.mark.parametrize("name", NAMES)
def test_neither_order_of_calls_nor_batches_matter(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = estimate(name, game(14, tangled), samples=150)
    torch.rand(7)
    np.random.default_rng(3).random()
    estimate(name, game(14, tangled, seed=5), samples=60)
    monkeypatch.setattr(Probe, "chunk", 7)
    again = estimate(name, game(14, tangled), samples=150)
    torch.testing.assert_close(first.weights, again.weights, rtol=0, atol=1e-6)
    torch.testing.assert_close(first.low, again.low, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_no_component_is_dead_and_labels_start_anywhere(name: str) -> None:
    # published grids had components that selected nothing, and one that could never be on
    slopes = torch.tensor([1.0, 1, 1, 1, 1, 1], dtype=torch.float64)
    found = estimate(name, game(6, lambda on: on @ slopes))
    assert float(found.weights.min()) > 0.3


@pytest.mark.parametrize("name", NAMES)
def test_pieces_that_change_nothing_are_not_played(name: str) -> None:
    model = additive(torch.ones(SHAPE))
    silent = wave()
    silent[800:] = 0
    where = Probe(model, silent, Target(0, "sum", "value"))
    pieces = cut(where, "time", Sizes(segments=10))
    played = Game([where], pieces)
    assert 5 <= played.players <= 7
    # with noise in place of what is off, they do change something
    assert Game(with_backgrounds(where, "noise-floor,silence"), pieces).players >= played.players
    loud = Game([where.with_background(0.1 * torch.ones(SHAPE, dtype=torch.complex64))], pieces)
    assert loud.players == 10
    assert len(estimate(name, played, samples=40).weights) == played.players


def test_the_kernel_is_not_constant() -> None:
    # published samples are so alike that the kernel hardly tells them apart; it must follow its
    # width, and fall with the distance
    draws = torch.tensor([[True] * 8, [True] * 6 + [False] * 2, [True] * 2 + [False] * 6,
                          [False] * 8])  # fmt: skip
    found = kernel(draws, 0.25).numpy()
    wanted = np.exp(-((1 - np.sqrt([1, 0.75, 0.25, 0])) ** 2) / 0.0625)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert kernel(draws, 0.5)[2] > 2 * found[2]


def test_labels_and_batches_of_any_number() -> None:
    # published wrappers worked for ten inputs and five labels only
    for players, samples in ((3, 7), (11, 33), (14, 101)):
        found = estimate("lime", game(players, tangled), samples=samples)
        assert torch.isfinite(found.weights).all()
    clip = Audio(wave().numpy(), RATE)
    assert explain(spectral(), clip, "lime", target="low", samples=50).target.index == 1


# fills ------------------------------------------------------------------------------------------


def background(text: str, sound: torch.Tensor | None = None) -> Any:
    model = spectral()
    where = Probe(model, wave() if sound is None else sound, make_target(model, torch.zeros(2), 0))
    return where, [one.background for one in with_backgrounds(where, text)]


def test_noise_floor_is_as_loud_as_steady_noise_itself() -> None:
    noise = 0.1 * torch.randn(80000, generator=torch.Generator().manual_seed(8))
    where, (found,) = background("noise-floor", noise)
    ratio = found.abs().square().mean() / where.magnitude.square().mean()
    np.testing.assert_allclose(float(ratio), 1.0, atol=0.1)
    # a loud event in one fifth of the time does not lift it
    noise[20000:36000] += torch.sin(2 * torch.pi * 2000 / RATE * torch.arange(16000))
    _, (with_event,) = background("noise-floor", noise)
    ratio = with_event.abs().square().mean() / found.abs().square().mean()
    assert abs(10 * float(ratio.log10())) < 1.5


def test_mean_has_the_mean_at_every_frequency() -> None:
    where, (found,) = background("mean")
    wanted = where.magnitude.mean(dim=1, keepdim=True).expand(SHAPE)
    torch.testing.assert_close(found.abs(), wanted, rtol=1e-4, atol=1e-8)
    torch.testing.assert_close((found * where.spectrum.conj()).imag.abs().max(), torch.tensor(0.0),
                               rtol=0, atol=1e-6)  # fmt: skip


def test_median_has_the_median_at_every_frequency() -> None:
    where, (found,) = background("median", wave()[: 128 * 41])
    assert where.shape[1] % 2 == 0  # of an even number, the mean of the middle two
    wanted = np.median(where.magnitude.numpy(), axis=1)
    np.testing.assert_allclose(
        found.abs().numpy(), np.repeat(wanted[:, None], where.shape[1], 1), rtol=1e-4, atol=1e-8
    )
    turned = found * where.spectrum.conj()
    np.testing.assert_allclose(turned.imag.abs().numpy(), 0, atol=1e-6)


def test_median_is_the_level_that_a_loud_transient_does_not_move() -> None:
    tone = 0.01 * torch.sin(2 * torch.pi * 1000 / RATE * torch.arange(40000))
    noise = torch.randn(12000, generator=torch.Generator().manual_seed(8))
    loud = torch.cat([tone[:14000], tone[14000:26000] + noise, tone[26000:]])  # 30 % of the time
    _, (found,) = background("median", loud)
    _, (without,) = background("median", tone)
    assert abs(20 * float((found[16, 50].abs() / without[16, 50].abs()).log10())) < 0.5
    _, (risen,) = background("mean", loud)
    assert 20 * float((risen[16, 50].abs() / found[16, 50].abs()).log10()) > 6


def test_a_clip_fills_at_the_models_rate_and_length(tmp_path: Any) -> None:
    time = np.arange(4000) / 8000
    tone = (0.2 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    write_audio(tmp_path / "bed.wav", Audio(tone, 8000))
    where, (found,) = background(str(tmp_path / "bed.wav"), torch.zeros(40000) + 1e-3)
    assert found.shape == where.magnitude.shape
    loudest = found.abs()[:, 10:-10].argmax(dim=0)
    assert set(loudest.tolist()) == {16}  # 1000 Hz at 62.5 Hz a bin, also after it repeats


def test_several_fills_are_averaged() -> None:
    def weights(background: str) -> Any:
        model = additive(torch.rand(SHAPE, generator=torch.Generator().manual_seed(1)))
        where = Probe(model, wave(), Target(0, "sum", "value"))
        spec = METHODS.get("occlusion")
        found = spec.function(
            where, **spec.settle({"background": background, "segments": 3, "bands": 2})
        )
        return found.values.double(), found.details["evaluations"]

    (one, n), (two, _), (both, doubled) = map(weights, ("silence", "mean", "silence,mean"))
    torch.testing.assert_close(both, (one + two) / 2, rtol=1e-4, atol=1e-4)
    assert doubled == 2 * n


def test_a_fill_is_never_heard_nor_scored(white: Audio) -> None:
    plain, noisy = (
        explain(spectral(), white, "occlusion", background=background, keep="area:5%")
        for background in ("silence", "noise-floor")
    )
    total = noisy.evidence.samples + noisy.remainder.samples
    np.testing.assert_allclose(total, white.samples, atol=1e-5)
    again = spectral()(torch.from_numpy(noisy.remainder.samples)[None]).softmax(dim=1)
    index = noisy.target.index
    np.testing.assert_allclose(float(again[0, index].detach()), noisy.trust.outcome.remainder.audio,
                               rtol=1e-4)  # fmt: skip
    assert plain.trust.input == noisy.trust.input


# pieces -----------------------------------------------------------------------------------------


def test_harmonic_and_percussive_against_a_slow_version() -> None:
    rng = np.random.default_rng(2)
    magnitude = rng.random((14, 19)) + 0.01
    magnitude[5] += 4
    magnitude[:, 11] += 4
    wanted = slow_pieces.hpss(magnitude, 7, 5, 2.0)
    np.testing.assert_allclose(hpss(magnitude, 7, 5, 2.0), wanted, rtol=1e-9, atol=1e-12)
    assert wanted[0, 5, 2] > 0.8 < wanted[1, 1, 11]


def test_nmf_steps_are_the_papers_and_never_get_worse() -> None:
    v = np.random.default_rng(4).random((6, 7)) + 0.05
    found = [factorise(v, 2, steps, seed=0) for steps in range(1, 40)]
    for before, after in itertools.pairwise(found[:4]):
        for ours, wanted in zip(after, slow_pieces.nmf_step(v, *before), strict=True):
            np.testing.assert_allclose(ours, wanted, rtol=1e-6)
    course = [slow_pieces.divergence(v, *one) for one in found]
    assert (np.diff(course) <= 1e-9 * course[0]).all()
    assert course[-1] < 0.8 * course[0]


@pytest.mark.parametrize("level", [1.0, 1e-9, 1e5])
def test_nmf_finds_a_known_factorisation_at_any_level(level: float) -> None:
    spectra = np.array([[1.0, 0], [2, 0], [0, 1], [0, 3], [0, 0.5]])
    courses = level * np.array([[1.0, 0, 2, 0, 1, 0], [0, 2, 0, 1, 1, 3]])
    w, h = factorise(spectra @ courses, 2, 400, seed=1)
    np.testing.assert_allclose(w @ h, spectra @ courses, atol=1e-3 * level)
    found, wanted = w / w.sum(axis=0), spectra / spectra.sum(axis=0)
    order = np.argsort(found[0])[::-1]
    np.testing.assert_allclose(found[:, order], wanted, atol=1e-3)


def test_nmf_of_silence_leaves_everything_over() -> None:
    model = spectral()
    where = Probe(model, torch.zeros(SAMPLES), Target(0, "sum", "value"))
    pieces = cut(where, "nmf", Sizes(components=3))
    assert pieces.names == ("rest",)
    torch.testing.assert_close(pieces.mix(torch.ones(1, 1))[0], torch.ones(SHAPE))


# options ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "options", "error", "words"),
    [
        ("pieces", {"estimator": "kernelshap"}, UnknownNameError, "did you mean 'kernel-shap'"),
        ("pieces", {"pieces": "superpixel"}, UnknownNameError, "did you mean 'superpixels'"),
        ("lime", {"background": "silense"}, UnknownNameError, "'silence'.*path of a sound file"),
        ("lime", {"width": 0}, ParameterError, "lime: width must be positive, got 0"),
        ("kernel-shap", {"width": 0.1}, UnknownNameError, "option of kernel-shap"),
        ("pieces", {"estimator": "rise", "ridge": 2}, ParameterError, "ridge is not used by"),
        ("lime", {"bands": 0}, ParameterError, "bands must be at least 1"),
        ("audiolime", {"pieces": "stems x time"}, ParameterError, "stems=FOLDER"),
    ],
)
def test_wrong_options_are_refused(
    method: str, options: dict[str, Any], error: type[Exception], words: str, white: Audio
) -> None:
    with pytest.raises(error, match=words):
        explain(spectral(), white, method, **options)
