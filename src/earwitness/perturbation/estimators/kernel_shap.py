"""Kernel SHAP: Shapley values by weighted regression on sampled coalitions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from earwitness.perturbation.estimators.designs import all_draws, can_enumerate
from earwitness.perturbation.estimators.game import Game
from earwitness.perturbation.estimators.registry import Estimate, Sampling, register
from earwitness.perturbation.estimators.regression import error_of, weighted_ridge, with_interval


@register(
    "kernel-shap",
    summary="Shapley values: each piece's mean contribution over all orders of adding pieces",
    paper="Lundberg, Lee: A unified approach to interpreting model predictions, 2017, eq. 8; "
    "Covert, Lee: Improving KernelSHAP, 2021",
    reads=("samples", "tolerance"),
)
def kernel_shap(game: Game, sampling: Sampling) -> Estimate:
    """Estimate Shapley values; they sum to the score of all pieces minus the score of none.

    Coalitions are drawn in antithetic pairs. If all coalitions fit into ``samples``, all are
    evaluated and the values are exact.
    """
    players = game.players
    ends = torch.tensor([[False] * players, [True] * players])
    none, every = game.scores(ends).tolist()
    if players == 1:
        whole = torch.tensor([every - none], dtype=torch.float64)
        return Estimate(whole, whole, whole, 1.0, 0.0)
    if can_enumerate(players, sampling.samples):
        draws = all_draws(players)[1:-1]
        size = draws.sum(dim=1)
        weights = shapley_kernel(players, size) / _combinations(players, size)
        values, _, r2 = constrained(draws, game.scores(draws), weights, none, every)
        return Estimate(values, values, values, r2, 0.0)
    draws = coalitions(players, max(2, sampling.samples - 2), game.generator)
    step = 4 * players
    for count in sampling.looks(step, len(draws)):
        some = draws[:count]
        scores = game.scores(some)
        importance = _importance(players, some)
        values, influence, r2 = constrained(some, scores, importance, none, every)
        if error_of(values, influence) <= sampling.tolerance:
            break
    return with_interval(values, influence, r2, scores, game.seed)


def shapley_kernel(players: int, size: Tensor) -> Tensor:
    """Return the total weight of all coalitions of a size: ``(n - 1) / (s (n - s))``."""
    return (players - 1) / (size * (players - size)).double()


def _combinations(players: int, size: Tensor) -> Tensor:
    return torch.tensor([math.comb(players, s) for s in size.tolist()], dtype=torch.float64)


def _size_weights(players: int) -> Tensor:
    """Return the sampling weight of each size from 1 to n - 1: the root of its kernel weight."""
    return shapley_kernel(players, torch.arange(1, players)).sqrt()


def _importance(players: int, draws: Tensor) -> Tensor:
    size = draws.sum(dim=1)
    return shapley_kernel(players, size) / _size_weights(players)[size - 1]


def coalitions(players: int, count: int, generator: torch.Generator) -> Tensor:
    """Return draws in antithetic pairs, with sizes stratified over their distribution.

    Returns
    -------
    Tensor, shape (count, players), bool
    """
    pairs = -(-count // 2)
    reach = _size_weights(players).cumsum(dim=0)
    # multiples of the golden ratio are a low-discrepancy sequence: any run of draws is stratified
    start = float(torch.rand(1, generator=generator))
    at = (start + torch.arange(pairs, dtype=torch.float64) * 0.6180339887498949) % 1
    sizes = 1 + torch.searchsorted(reach / reach[-1], at).clamp(max=players - 2)
    ranks = torch.rand(pairs, players, generator=generator).argsort(dim=1)
    half = ranks < sizes[:, None]
    return torch.stack([half, ~half], dim=1).flatten(0, 1)[:count]


def constrained(
    draws: Tensor, scores: Tensor, weights: Tensor, none: float, every: float
) -> tuple[Tensor, Tensor, float]:
    """Return the weighted least-squares values that sum to ``every - none``, influence and R^2.

    The intercept is fixed to ``none``. Eliminating the last player turns the constrained problem
    into an unconstrained regression on differences to that player.

    Parameters
    ----------
    draws : Tensor, shape (draw, player), bool
    scores, weights : Tensor, shape (draw,), float64
    none, every : float
        Scores of no piece and of all pieces.
    """
    total = every - none
    inputs = draws.double()
    last = inputs[:, -1]
    rest = inputs[:, :-1] - last[:, None]
    offset = scores - none - last * total
    # a mirrored copy of every row makes the intercept of the fit zero
    both = torch.cat([rest, -rest])
    fit = weighted_ridge(both, torch.cat([offset, -offset]), weights.repeat(2), 0.0)
    moved = fit.influence[: len(rest)] + fit.influence[len(rest) :]
    values = torch.cat([fit.weights, total - fit.weights.sum()[None]])
    influence = torch.cat([moved, -moved.sum(dim=1, keepdim=True)], dim=1)
    share = weights / weights.sum()
    spread = scores - share @ scores
    residual = scores - none - inputs @ values
    variance = float((share * spread**2).sum())
    r2 = 1 - float((share * residual**2).sum()) / variance if variance > 0 else 0.0
    return values, influence, r2
