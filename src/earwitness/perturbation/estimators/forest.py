"""A random forest as the surrogate, for decisions that are no sum of pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from earwitness.perturbation.estimators.designs import all_draws, can_enumerate, fair_draws
from earwitness.perturbation.estimators.game import Game
from earwitness.perturbation.estimators.registry import Estimate, Sampling, register

_TREES = 100
_SCENES = 200


@register(
    "forest",
    summary="what a random forest predicts with the piece on, minus with it off",
    paper="Breiman: Random forests, 2001; Friedman: Greedy function approximation, 2001, sec. 8.2",
    reads=("samples",),
)
def forest(game: Game, sampling: Sampling) -> Estimate:
    """Fit a random forest to the scores, and average how its prediction reacts to each piece.

    The average is over up to 200 of the draws; the interval is that of the trees' own answers,
    and R^2 that of predictions for draws that a tree was not shown (out of bag).
    """
    from sklearn.ensemble import RandomForestRegressor

    if can_enumerate(game.players, sampling.samples):
        draws = all_draws(game.players)
    else:
        draws = fair_draws(game.players, sampling.samples, game.generator)
    scores = game.scores(draws).numpy()
    model = RandomForestRegressor(
        n_estimators=_TREES, oob_score=True, random_state=game.seed % 2**32, n_jobs=1
    ).fit(draws.numpy(), scores)
    answers = np.stack([_reaction(tree, draws[:_SCENES]) for tree in model.estimators_])
    low, high = np.percentile(answers, (2.5, 97.5), axis=0)
    weights = answers.mean(axis=0)
    error = answers.std(axis=0, ddof=1) / np.sqrt(_TREES)
    size = float(np.linalg.norm(weights))
    found, below, above = map(torch.from_numpy, (weights, low, high))
    miss = float(np.linalg.norm(error)) / size if size > 0 else 0.0
    return Estimate(found, below, above, float(model.oob_score_), miss)


def _reaction(tree: Any, draws: Tensor) -> Any:
    """Return the mean change of a tree's prediction by switching each piece on, shape (player,)."""
    rows = draws.numpy().astype(np.float32)
    means = []
    for piece in range(rows.shape[1]):
        on, off = rows.copy(), rows.copy()
        on[:, piece], off[:, piece] = 1, 0
        means.append(float(np.mean(tree.predict(on) - tree.predict(off))))
    return np.array(means)
