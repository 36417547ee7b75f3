"""Occlusion: leave one piece out at a time."""

from __future__ import annotations

import torch

from earwitness.perturbation.estimators.game import Game
from earwitness.perturbation.estimators.registry import Estimate, Sampling, register


@register(
    "occlusion",
    summary="the drop of the score when one piece is removed",
    paper="Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, 2014",
)
def occlusion(game: Game, sampling: Sampling) -> Estimate:  # noqa: ARG001
    """Compute ``score(all) - score(all but the piece)`` for every piece.

    R^2 measures additivity, over the draws with all pieces on, each one off, and all off.
    """
    players = game.players
    ends = torch.tensor([[True] * players, [False] * players])
    draws = torch.cat([ends, ~torch.eye(players, dtype=torch.bool)])
    scores = game.scores(draws)
    weights = scores[0] - scores[2:]
    miss = float(scores[0] - weights.sum() - scores[1]) if players > 1 else 0.0
    variance = float((scores - scores.mean()).square().sum())
    r2 = 1 - miss**2 / variance if variance > 0 else 0.0
    return Estimate(weights, weights, weights, r2, 0.0)
