"""LIME: a local linear surrogate, fitted by weighted ridge regression."""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.perturbation.estimators.designs import (
    all_draws,
    block_size,
    can_enumerate,
    fair_draws,
)
from earwitness.perturbation.estimators.game import Game
from earwitness.perturbation.estimators.registry import Estimate, Sampling, register
from earwitness.perturbation.estimators.regression import error_of, weighted_ridge, with_interval


@register(
    "lime",
    summary="a linear surrogate of the score as a function of which pieces are on",
    paper="Ribeiro, Singh, Guestrin: Why Should I Trust You?, 2016, eq. 2",
    reads=("samples", "tolerance", "width", "ridge"),
)
def lime(game: Game, sampling: Sampling) -> Estimate:
    """Fit weighted ridge regression from switches to scores.

    In each draw every piece is on with probability one half. A draw has weight
    ``exp(-d^2 / width^2)``, with ``d`` its cosine distance from all pieces on. If all combinations
    fit into ``samples``, all are evaluated and the result is deterministic.
    """
    if can_enumerate(game.players, sampling.samples):
        draws = all_draws(game.players)
        fit = weighted_ridge(
            draws.double(), game.scores(draws), kernel(draws, sampling.width), sampling.ridge
        )
        return Estimate(fit.weights, fit.weights, fit.weights, fit.r2, 0.0)
    draws = fair_draws(game.players, sampling.samples, game.generator)
    step = block_size(game.players)
    for count in sampling.looks(step, len(draws)):
        scores = game.scores(draws[:count])
        weights, influence, r2 = fit_pairs(draws[:count], scores, sampling.width, sampling.ridge)
        if error_of(weights, influence) <= sampling.tolerance:
            break
    return with_interval(weights, influence, r2, scores, game.seed)


def kernel(draws: Tensor, width: float) -> Tensor:
    """Return ``exp(-d^2 / width^2)``, ``d`` the cosine distance of each draw from all ones.

    The cosine of a draw with a share ``s`` of its pieces on is the root of ``s``; with no piece on
    the distance is one.
    """
    share = draws.double().mean(dim=1)
    return torch.exp(-((1 - share.sqrt()) ** 2) / width**2)


def fit_pairs(
    draws: Tensor, scores: Tensor, width: float, ridge: float
) -> tuple[Tensor, Tensor, float]:
    """Return weights, influence of each draw and R^2 of draws in antithetic pairs.

    With equal kernel weights within a pair, pairwise interactions would cancel. LIME's kernel gives
    the two draws different weights. The fit with this kernel is unbiased; the fit with the mean
    kernel of each pair is slightly biased but has a much smaller variance. The result is the second
    fit plus the difference of the two, shrunk by its signal-to-noise ratio (James and Stein 1961).

    Parameters
    ----------
    draws : Tensor, shape (draw, player), bool
    scores : Tensor, shape (draw,), float64
    width : float > 0
        Width of the kernel.
    ridge : float >= 0
        L2 penalty.
    """
    inputs, exact = draws.double(), kernel(draws, width)
    tilted = weighted_ridge(inputs, scores, exact, ridge)
    even = exact.clone()
    pairs = len(even) // 2 * 2
    even[:pairs] = exact[:pairs].unflatten(0, (-1, 2)).mean(dim=1).repeat_interleave(2)
    level = weighted_ridge(inputs, scores, even, ridge)
    change = tilted.weights - level.weights
    each = (tilted.influence - level.influence)[:pairs].unflatten(0, (-1, 2)).sum(dim=1)
    free = pairs // 2 - inputs.shape[1] - 1
    noise = float(each.square().sum()) * (pairs // 2 / free if free > 0 else float("inf"))
    size = float(change.square().sum())
    share = max(0.0, 1 - noise / size) if size > 0 else 0.0
    weights = level.weights + share * change
    influence = level.influence + share * (tilted.influence - level.influence)
    return weights, influence, tilted.r2
