"""Perturbation methods against slow versions, outside implementations and closed forms; and the
published defects that each of these tests would catch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from earwitness.audio import write_audio
from earwitness.errors import ParameterError, UnknownNameError
from earwitness.methods.registry import METHODS
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.perturbation.background.registry import with_backgrounds
from earwitness.perturbation.estimators import kernel_shap
from earwitness.perturbation.estimators.designs import all_draws, block_size, fair_draws
from earwitness.perturbation.estimators.game import Game
from earwitness.perturbation.estimators.lime import fit_pairs, kernel
from earwitness.perturbation.estimators.registry import ESTIMATORS, Sampling
from earwitness.perturbation.estimators.regression import weighted_ridge, with_interval
from earwitness.perturbation.pieces.decomposition import Partition, Product
from earwitness.perturbation.pieces.harmonic_percussive import hpss
from earwitness.perturbation.pieces.nmf import factorise
from earwitness.perturbation.pieces.registry import Sizes, cut
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.types import Audio, Target
from tests.reference import slow_pieces
from tests.toys import RATE, TOY_PLANE, Magnitude, additive, spectral

SAMPLES = 1600
SHAPE = (TOY_PLANE.bins, TOY_PLANE.frames(SAMPLES))
NAMES = ["lime", "kernel-shap", "occlusion", "rise", "forest"]


def wave() -> torch.Tensor:
    return 0.1 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0))


def strips(players: int) -> Product:
    """Pieces that are the first rows of the plane, one each, and all others as the last."""
    gains = torch.zeros(players, SHAPE[0])
    gains[range(players), range(players)] = 1
    gains[-1, players:] = 1
    return Product(SHAPE, [Partition("frequency", tuple(map(str, range(players))), gains)])


class Toy(torch.nn.Module):
    """A score that is a given function of which strips are on, exactly 0 or 1."""

    def __init__(self, players: int, score: Any) -> None:
        super().__init__()
        self.players, self.score = players, score
        self.asked: list[torch.Tensor] = []

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        maps = features[:, 0]
        on = (maps[:, : self.players].sum(dim=2) > 0).double()
        self.asked.append(on)
        return self.score(on)[:, None].float()


def game(players: int, score: Any, seed: int = 0) -> Game:
    model = wrap(Toy(players, score), sample_rate=RATE, features=Magnitude(), output="scores")
    where = Probe(model, wave(), Target(0, "a", "value"), seed=seed)
    return Game([where], strips(players))


def estimate(name: str, where: Game, **sampling: Any) -> Any:
    return ESTIMATORS.get(name).function(where, Sampling(**sampling))


def tangled(on: torch.Tensor) -> torch.Tensor:
    """A game with interactions of every order."""
    slopes = torch.linspace(-1, 2, on.shape[1], dtype=torch.float64)
    return on @ slopes + 3 * on[:, 0] * on[:, 1] - 2 * on[:, 1] * on[:, 2] * on[:, -1]


def tangled_one(on: tuple[int, ...]) -> float:
    return float(tangled(torch.tensor([on], dtype=torch.float64)))


# estimators -------------------------------------------------------------------------------------


def test_lime_is_the_papers_minimum() -> None:
    draws = fair_draws(9, 200, torch.Generator().manual_seed(3))
    scores = tangled(draws.double())
    wanted = slow_pieces.lime_weights(draws.double().numpy(), scores.numpy(), 0.4, 2.0)
    fit = weighted_ridge(draws.double(), scores, kernel(draws, 0.4), 2.0)
    np.testing.assert_allclose(fit.weights.numpy(), wanted, rtol=1e-9, atol=1e-12)
    # all 2^9 combinations: no chance is left, and the method's own answer is that minimum
    every = all_draws(9)
    wanted = slow_pieces.lime_weights(
        every.double().numpy(), tangled(every.double()).numpy(), 0.4, 2.0
    )
    found = estimate("lime", game(9, tangled), width=0.4, ridge=2.0)
    np.testing.assert_allclose(found.weights.numpy(), wanted, rtol=1e-5, atol=1e-6)
    assert found.error == 0.0


def test_lime_ridge_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    inputs = (rng.random((80, 12)) < 0.5).astype(float)
    values, sizes = rng.normal(size=80), rng.uniform(0.1, 1, 80)
    oracle = Ridge(alpha=0.7).fit(inputs, values, sample_weight=sizes)
    fit = weighted_ridge(*map(torch.from_numpy, (inputs, values, sizes)), 0.7)
    np.testing.assert_allclose(fit.weights.numpy(), oracle.coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.r2, oracle.score(inputs, values, sizes), rtol=1e-9)


def test_lime_agrees_with_the_lime_package() -> None:
    base = pytest.importorskip("lime.lime_base")
    draws = all_draws(8).double().numpy()[::-1]
    scores = tangled(torch.from_numpy(draws.copy())).numpy()
    norms = np.linalg.norm(draws, axis=1)
    cosine = np.divide(draws.sum(axis=1), norms * np.sqrt(8), where=norms > 0, out=np.zeros(256))
    # its image explainer weighs by the root of the paper's kernel
    theirs = base.LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / 0.25**2)))
    answer = theirs.explain_instance_with_data(
        draws, scores[:, None], 1 - cosine, 0, 8, feature_selection="none"
    )
    wanted = np.array([weight for _, weight in sorted(answer[1])])
    found = estimate("lime", game(8, tangled), width=0.25 * np.sqrt(2))
    np.testing.assert_allclose(found.weights.numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_lime_converges_to_the_minimum_over_all_combinations() -> None:
    # 13 pieces are sampled; the limit is known from all 2^13
    every = all_draws(13)
    exact = weighted_ridge(every.double(), tangled(every.double()), kernel(every, 0.25), 0.0)
    misses = []
    for samples in (100, 4000):
        found = estimate("lime", game(13, tangled), samples=samples, tolerance=0.0, ridge=0.0)
        misses.append(float((found.weights - exact.weights).norm() / exact.weights.norm()))
    assert misses[1] < 0.05 < misses[0]


def test_a_pair_of_pieces_costs_paired_draws_nothing() -> None:
    # in opposite pairs, equally weighed, every interaction of two pieces cancels
    def score(on: torch.Tensor) -> torch.Tensor:
        centred = on - 0.5
        return 2 * on[:, 3] + 8 * centred[:, 0] * centred[:, 1] + 8 * centred[:, 2] * centred[:, 4]

    draws = fair_draws(40, block_size(40), torch.Generator().manual_seed(0))
    weights, _, _ = fit_pairs(draws, score(draws.double()), 1e6, 0.0)
    wanted = torch.zeros(40, dtype=torch.float64)
    wanted[3] = 2
    torch.testing.assert_close(weights, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("players", [1, 3, 20, 80, 160])
def test_draws_are_paired_balanced_and_fair(players: int) -> None:
    size = block_size(players)
    draws = fair_draws(players, size, torch.Generator().manual_seed(1))
    signs = 2 * draws.double() - 1
    torch.testing.assert_close(signs[0::2], -signs[1::2], rtol=0, atol=0)
    gram = signs.T @ signs / size
    torch.testing.assert_close(gram, torch.eye(players, dtype=torch.float64), rtol=0, atol=1e-12)
    # one draw of many seeds is a fair coin for every piece, and for every two
    many = torch.stack(
        [fair_draws(players, 1, torch.Generator().manual_seed(s))[0] for s in range(400)]
    ).double()
    assert float((many.mean(dim=0) - 0.5).abs().max()) < 0.13
    if players > 1:
        assert abs(float((many[:, 0] == many[:, 1]).double().mean()) - 0.5) < 0.13


def test_shapley_values_are_exact_on_a_small_game() -> None:
    wanted = slow_pieces.shapley(tangled_one, 6)
    found = estimate("kernel-shap", game(6, tangled))
    np.testing.assert_allclose(found.weights.numpy(), wanted, atol=1e-6)
    assert found.error == 0.0


def test_shapley_values_agree_with_shap() -> None:
    shap = pytest.importorskip("shap")
    oracle = shap.KernelExplainer(lambda z: tangled(torch.from_numpy(z)).numpy(), np.zeros((1, 8)))
    wanted = oracle.shap_values(np.ones((1, 8)), nsamples=2**8, l1_reg=0, silent=True)[0]
    found = estimate("kernel-shap", game(8, tangled))
    np.testing.assert_allclose(found.weights.numpy(), wanted, atol=1e-5)


def test_sampled_shapley_values_are_right_on_average_and_add_up() -> None:
    # of tangled games the exact values are known: an interaction is shared equally
    wanted = torch.linspace(-1, 2, 20, dtype=torch.float64)
    wanted[[0, 1]] += 1.5
    wanted[[1, 2, 19]] -= 2 / 3
    runs = [
        estimate("kernel-shap", game(20, tangled, seed), samples=400, tolerance=0.0)
        for seed in range(8)
    ]
    for one in runs:
        total = tangled(torch.ones(1, 20).double())
        np.testing.assert_allclose(float(one.weights.sum()), float(total), rtol=1e-6)
    mean = torch.stack([one.weights for one in runs]).mean(dim=0)
    torch.testing.assert_close(mean, wanted, rtol=0, atol=0.1)


def test_coalitions_have_the_sizes_they_should() -> None:
    draws = kernel_shap.coalitions(10, 4000, torch.Generator().manual_seed(0))
    sizes = np.bincount(draws.sum(dim=1).numpy(), minlength=11)[1:10]
    wanted = np.array([(1 / (s * (10 - s))) ** 0.5 for s in range(1, 10)])
    np.testing.assert_allclose(sizes / 4000, wanted / wanted.sum(), atol=0.01)
    np.testing.assert_array_equal(draws[0::2].numpy(), ~draws[1::2].numpy())


def test_rise_is_the_papers_mean_without_the_part_common_to_all() -> None:
    every = all_draws(7)
    scores = tangled(every.double())
    wanted = slow_pieces.rise(every.numpy(), scores.numpy()) - float(scores.mean())
    found = estimate("rise", game(7, tangled))
    np.testing.assert_allclose(found.weights.numpy(), wanted, atol=1e-6)
    # sampled, of a sum of pieces: half of each slope
    slopes = torch.linspace(-1, 2, 30, dtype=torch.float64)
    found = estimate("rise", game(30, lambda on: on @ slopes), samples=block_size(30))
    torch.testing.assert_close(found.weights, slopes / 2, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.r2, 1.0, atol=1e-6)


def test_occlusion_is_what_each_piece_adds_last() -> None:
    on = np.ones(6)
    wanted = [tangled_one(tuple(on)) - tangled_one(tuple(on - row)) for row in np.eye(6)]
    where = game(6, tangled)
    found = estimate("occlusion", where)
    np.testing.assert_allclose(found.weights.numpy(), wanted, atol=1e-6)
    assert where.evaluations == 8
    slopes = torch.linspace(-1, 2, 6, dtype=torch.float64)
    np.testing.assert_allclose(estimate("occlusion", game(6, lambda o: o @ slopes)).r2, 1.0)


def test_forest_finds_a_piece_and_a_pair() -> None:
    found = estimate("forest", game(8, lambda on: 3 * on[:, 2]))
    np.testing.assert_allclose(found.weights.numpy(), 3.0 * (np.arange(8) == 2), atol=1e-5)
    # of 4 a b, switching a on adds 4 where b is on: half of all combinations
    found = estimate("forest", game(6, lambda on: 4 * on[:, 0] * on[:, 1]))
    wanted = [2.0, 2.0, 0, 0, 0, 0]
    np.testing.assert_allclose(found.weights.numpy(), wanted, atol=0.1)


@pytest.mark.parametrize("name", ["lime", "kernel-shap", "rise"])
def test_intervals_hold_the_truth_and_the_stated_error_is_true(name: str) -> None:
    players = 16
    if name == "kernel-shap":
        truth = torch.linspace(-1, 2, players, dtype=torch.float64)
        truth[[0, 1]] += 1.5
        truth[[1, 2, players - 1]] -= 2 / 3
    else:
        every = all_draws(players).double()
        scores = tangled(every)
        truth = weighted_ridge(every, scores, kernel(every > 0, 0.25), 0.0).weights
        if name == "rise":
            truth = every.T @ scores / every.sum(dim=0) - scores.mean()
    held, misses, stated = [], [], []
    for seed in range(12):
        found = estimate(name, game(players, tangled, seed), samples=300, tolerance=0.0, ridge=0.0)
        wide = (found.high - found.low).clamp(min=1e-6)
        held.append(((truth > found.low - 1e-6) & (truth < found.high + 1e-6)).double().mean())
        misses.append(float((found.weights - truth).norm() / truth.norm()))
        stated.append(found.error)
        assert float(wide.max()) < 2.0
    assert float(torch.stack(held).mean()) > 0.85
    np.testing.assert_allclose(np.median(stated), np.median(misses), rtol=0.6)


@pytest.mark.parametrize("name", ["lime", "kernel-shap", "rise"])
def test_sampling_stops_when_weights_have_settled(name: str) -> None:
    loose, tight = game(20, tangled), game(20, tangled)
    first = estimate(name, loose, samples=3000, tolerance=0.3)
    second = estimate(name, tight, samples=3000, tolerance=0.05)
    assert loose.evaluations < tight.evaluations < 3003
    assert first.error <= 0.3
    assert second.error <= 0.05


def test_intervals_are_as_wide_as_the_normal_law_says() -> None:
    # 1000 pairs that move the first weight by 2 up or down and the second not at all; a penalty
    # moved both by 0.01 each time, which is no error
    pairs = torch.tensor([[2.0, 0.0], [-2.0, 0.0]]).repeat(500, 1) + 0.01
    influence = (pairs / 2).repeat_interleave(2, dim=0).double()
    weights = torch.tensor([5.0, 7.0], dtype=torch.float64)
    found = with_interval(weights, influence, 1.0, torch.zeros(2000), seed=0)
    assert found.weights is weights
    half = 1.96 * 2 * 1000**0.5
    np.testing.assert_allclose((weights - found.low)[0], half, rtol=0.15)
    np.testing.assert_allclose((found.high - weights)[0], half, rtol=0.15)
    np.testing.assert_allclose(found.low[1], 7.0, atol=1e-6)
    np.testing.assert_allclose(found.high[1], 7.0, atol=1e-6)
    again = with_interval(weights, influence, 1.0, torch.zeros(2000), seed=0)
    torch.testing.assert_close(again.low, found.low, rtol=0, atol=0)


def test_too_few_draws_claim_nothing() -> None:
    for name in ("lime", "kernel-shap"):
        found = estimate(name, game(30, tangled), samples=20)
        assert found.error == float("inf")
        assert float((found.high - found.low).min()) > 1


# the game ---------------------------------------------------------------------------------------


def test_the_model_hears_every_draw_and_no_draw_twice() -> None:
    # published code asked the model about the same unperturbed inputs whatever was drawn, and
    # dropped rows at the end of batches
    where = game(13, tangled)
    toy = where._probes[0].model.module
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
