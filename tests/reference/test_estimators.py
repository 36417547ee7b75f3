"""Estimators of weights against slow versions, outside implementations and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from earwitness.perturbation.estimators import kernel_shap
from earwitness.perturbation.estimators.designs import all_draws, block_size, fair_draws
from earwitness.perturbation.estimators.lime import fit_pairs, kernel
from earwitness.perturbation.estimators.regression import weighted_ridge, with_interval
from tests.reference import slow_pieces
from tests.reference.games import estimate, game, tangled, tangled_one


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
