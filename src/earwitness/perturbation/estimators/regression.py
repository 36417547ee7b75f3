"""Weighted least squares on switches, and how far its coefficients can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from earwitness.perturbation.estimators.registry import Estimate

_STILL = 1e-7  # a spread of scores that is rounding
_BOOTSTRAPS = 400


@dataclass(frozen=True)
class Fit:
    """Coefficients and what each draw adds to their error.

    Attributes
    ----------
    weights : Tensor, shape (piece,)
    influence : Tensor, shape (draw, piece)
        How far the coefficients move with each draw's residual; sums to about zero.
    r2 : float
        Weighted, and 0 where the values do not vary.
    """

    weights: Tensor
    influence: Tensor
    r2: float


def still(values: Tensor) -> bool:
    """Say whether scores do not vary beyond rounding."""
    return float(values.max() - values.min()) <= _STILL * (1 + float(values.abs().max()))


def weighted_ridge(inputs: Tensor, values: Tensor, weights: Tensor, ridge: float) -> Fit:
    """Fit weighted ridge regression with a free intercept.

    Minimises ``sum weights (values - inputs @ w - b)^2 + ridge |w|^2``.

    Parameters
    ----------
    inputs : Tensor, shape (draw, piece), float64
    values, weights : Tensor, shape (draw,), float64
    ridge : float >= 0
    """
    total = weights.sum()
    weights = weights / total
    if still(values):
        return Fit(torch.zeros(inputs.shape[1], dtype=inputs.dtype), torch.zeros_like(inputs), 0.0)
    centred = inputs - weights @ inputs
    offset = values - weights @ values
    gram = centred.T @ (weights[:, None] * centred)
    gram.diagonal().add_(ridge / total)  # as the penalty on the sum of weighted squares
    right = centred.T @ (weights * offset)
    coefficients = torch.linalg.lstsq(gram, right[:, None], driver="gelsd").solution[:, 0]
    residual = offset - centred @ coefficients
    pull = torch.linalg.lstsq(gram, (centred * (weights * residual)[:, None]).T, driver="gelsd")
    r2 = 1 - float((weights * residual**2).sum()) / float((weights * offset**2).sum())
    return Fit(coefficients, pull.solution.T, r2)


def with_error(
    weights: Tensor, influence: Tensor, r2: float, scores: Tensor, seed: int
) -> Estimate:
    """Return weights with intervals by the wild bootstrap over pairs of draws.

    The residuals of every pair get a common random sign (Liu 1988), which leaves the balance of the
    draws as it is; they are scaled up for the coefficients that were fitted to them. Fewer pairs
    than pieces leave no residuals to judge by: then the error is infinite, and the intervals are as
    wide as the scores are apart.

    Parameters
    ----------
    influence : Tensor, shape (draw, piece)
        Of draws in pairs.
    scores : Tensor, shape (draw,)
    """
    pairs = influence[: len(influence) // 2 * 2].unflatten(0, (-1, 2)).sum(dim=1)
    free = len(pairs) - influence.shape[1] - 1
    if free <= 0:
        spread = scores.max() - scores.min()
        return Estimate(weights, weights - spread, weights + spread, r2, float("inf"))
    pairs = pairs * (len(pairs) / free) ** 0.5
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (_BOOTSTRAPS, len(pairs)), generator=generator).double() * 2 - 1
    drawn = (signs @ pairs).sort(dim=0).values
    tail = round(0.025 * _BOOTSTRAPS)
    low, high = weights + drawn[tail], weights + drawn[-tail - 1]
    return Estimate(weights, low, high, r2, relative(weights, pairs.square().sum(dim=0)))


def relative(weights: Tensor, variances: Tensor) -> float:
    """Return the root of summed variances over the size of the true weights.

    Noise makes weights larger, so its share is taken off their squares. Infinite where nothing is
    left, and 0 where nothing varies.
    """
    noise, whole = float(variances.sum()), float(weights.square().sum())
    if noise <= 0:
        return 0.0
    return (noise / (whole - noise)) ** 0.5 if whole > noise else float("inf")
