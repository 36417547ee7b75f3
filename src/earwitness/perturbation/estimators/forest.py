"""A random forest as the surrogate, for scores with interactions between pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from earwitness.perturbation.estimators.designs import all_draws, can_enumerate, fair_draws
from earwitness.perturbation.estimators.game import Game
from earwitness.perturbation.estimators.registry import Estimate, Sampling, register

_TREES = 100  # scikit-learn's default number of trees
_AVERAGED = 200  # draws over which effects are averaged; bounds the cost of prediction


@register(
    "forest",
    summary="mean prediction of a random forest with the piece on minus off",
    paper="Breiman: Random forests, 2001; Friedman: Greedy function approximation, 2001, sec. 8.2",
    reads=("samples",),
)
def forest(game: Game, sampling: Sampling) -> Estimate:
    """Fit a random forest to the scores and compute the partial dependence on each piece.

    The mean difference of the prediction with the piece on and off, over up to 200 draws. The
    interval is the 2.5 and 97.5 % quantile over trees; R^2 is that of out-of-bag predictions.
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
    effects = np.stack([_mean_effect(tree, draws[:_AVERAGED]) for tree in model.estimators_])
    low, high = np.percentile(effects, (2.5, 97.5), axis=0)
    weights = effects.mean(axis=0)
    error = effects.std(axis=0, ddof=1) / np.sqrt(_TREES)
    size = float(np.linalg.norm(weights))
    found, below, above = map(torch.from_numpy, (weights, low, high))
    miss = float(np.linalg.norm(error)) / size if size > 0 else 0.0
    return Estimate(found, below, above, float(model.oob_score_), miss)


def _mean_effect(tree: Any, draws: Tensor) -> Any:
    """Return the mean change of a tree's prediction when a piece is switched on, (player,)."""
    rows = draws.numpy().astype(np.float32)
    means = []
    for piece in range(rows.shape[1]):
        on, off = rows.copy(), rows.copy()
        on[:, piece], off[:, piece] = 1, 0
        means.append(float(np.mean(tree.predict(on) - tree.predict(off))))
    return np.array(means)
