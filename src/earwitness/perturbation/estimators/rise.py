"""RISE: the mean score of the random masks in which a piece is on."""

from __future__ import annotations

from earwitness.perturbation.estimators.designs import (
    all_draws,
    block_size,
    can_enumerate,
    fair_draws,
)
from earwitness.perturbation.estimators.game import Game
from earwitness.perturbation.estimators.registry import Estimate, Sampling, register
from earwitness.perturbation.estimators.regression import error_of, with_interval


@register(
    "rise",
    summary="mean score of the random masks that keep the piece, minus the mean of all masks",
    paper="Petsiuk, Das, Saenko: RISE: Randomized input sampling for explanation, 2018, eq. 6",
    reads=("samples", "tolerance"),
)
def rise(game: Game, sampling: Sampling) -> Estimate:
    """Compute the mean score of the draws with the piece on, minus the mean score of all draws.

    The paper omits the second mean, a constant over pieces: it explains probabilities, which are
    mostly zero. For a logit the constant would dominate the map.
    """
    enumerated = can_enumerate(game.players, sampling.samples)
    if enumerated:
        draws = all_draws(game.players)
        steps = [len(draws)]
    else:
        step = block_size(game.players)
        # only complete blocks are orthogonal: an incomplete one confounds the pieces' weights
        whole = max(1, sampling.samples // step) * step
        draws = fair_draws(game.players, min(whole, sampling.samples), game.generator)
        steps = sampling.looks(step, len(draws))
    for count in steps:
        on = draws[:count].double()
        scores = game.scores(draws[:count])
        offset = scores - scores.mean()
        shares = on / on.sum(dim=0).clamp(min=1)
        weights = shares.T @ offset
        # with every piece on in half of the draws, an additive score has twice these slopes
        slopes = (on - on.mean(dim=0)) * 2
        residual = offset - slopes @ weights
        variance = float(offset.square().sum())
        r2 = 1 - float(residual.square().sum()) / variance if variance > 0 else 0.0
        influence = (shares - 1 / count) * residual[:, None]
        if enumerated:
            return Estimate(weights, weights, weights, r2, 0.0)
        if error_of(weights, influence) <= sampling.tolerance:
            break
    return with_interval(weights, influence, r2, scores, game.seed)
