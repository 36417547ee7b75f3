"""Weighted least squares on switches, with bootstrap intervals of its coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from earwitness.perturbation.estimators.registry import Estimate

_ROUNDING = 1e-7  # relative range of scores that is float32 rounding
_BOOTSTRAPS = 400  # resamples; the 2.5 % quantile is then the 10th smallest
_BATCH = 16  # resamples at a time; larger batches need more memory and are not faster


@dataclass(frozen=True)
class Fit:
    """Coefficients of a fit and the influence of each draw on them.

    Attributes
    ----------
    weights : Tensor, shape (piece,)
    influence : Tensor, shape (draw, piece)
        Change of the coefficients due to each draw's residual; sums to about zero.
    r2 : float
        Weighted R^2; 0 if the values do not vary.
    """

    weights: Tensor
    influence: Tensor
    r2: float


def is_constant(values: Tensor) -> bool:
    """Return whether scores are equal up to rounding."""
    return float(values.max() - values.min()) <= _ROUNDING * (1 + float(values.abs().max()))


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
    if is_constant(values):
        return Fit(torch.zeros(inputs.shape[1], dtype=inputs.dtype), torch.zeros_like(inputs), 0.0)
    centred = inputs - weights @ inputs
    offset = values - weights @ values
    gram = centred.T @ (weights[:, None] * centred)
    gram.diagonal().add_(ridge / total)  # the weights are normalised, so the penalty is too
    right = centred.T @ (weights * offset)
    coefficients = torch.linalg.lstsq(gram, right[:, None], driver="gelsd").solution[:, 0]
    residual = offset - centred @ coefficients
    pull = torch.linalg.lstsq(gram, (centred * (weights * residual)[:, None]).T, driver="gelsd")
    r2 = 1 - float((weights * residual**2).sum()) / float((weights * offset**2).sum())
    return Fit(coefficients, pull.solution.T, r2)


def error_of(weights: Tensor, influence: Tensor) -> float:
    """Return the estimated error of the weights, relative to their norm (``relative``).

    With fewer pairs than pieces there are no degrees of freedom left: the error is infinite.

    Parameters
    ----------
    weights : Tensor, shape (piece,)
    influence : Tensor, shape (draw, piece)
        Influence of draws in antithetic pairs.
    """
    pairs = _pairs(influence)
    return float("inf") if pairs is None else relative(weights, pairs.square().sum(dim=0))


def with_interval(
    weights: Tensor, influence: Tensor, r2: float, scores: Tensor, seed: int
) -> Estimate:
    """Return weights with 95 % intervals by scipy's bootstrap over pairs of draws.

    Antithetic pairs are resampled as units, which keeps the design. With fewer pairs than pieces
    the intervals are as wide as the range of the scores.

    Parameters
    ----------
    weights : Tensor, shape (piece,)
    influence : Tensor, shape (draw, piece)
        Influence of draws in antithetic pairs.
    scores : Tensor, shape (draw,)
    """
    from scipy.stats import bootstrap

    error, pairs = error_of(weights, influence), _pairs(influence)
    if pairs is None:
        spread = scores.max() - scores.min()
        return Estimate(weights, weights - spread, weights + spread, r2, error)
    # with a ridge penalty the mean influence is not zero
    moves = (pairs - pairs.mean(dim=0)).numpy()
    ends = bootstrap(
        (moves,),
        np.sum,
        axis=0,
        n_resamples=_BOOTSTRAPS,
        batch=_BATCH,
        method="percentile",
        rng=np.random.default_rng(seed % 2**32),
    ).confidence_interval
    low, high = (weights + torch.from_numpy(end) for end in ends)
    return Estimate(weights, low, high, r2, error)


def _pairs(influence: Tensor) -> Tensor | None:
    """Return the influence of each antithetic pair, shape (pair, piece), scaled up by the degrees
    of freedom of the fit; None without any.
    """
    pairs = influence[: len(influence) // 2 * 2].unflatten(0, (-1, 2)).sum(dim=1)
    free = len(pairs) - influence.shape[1] - 1
    return pairs * (len(pairs) / free) ** 0.5 if free > 0 else None


def relative(weights: Tensor, variances: Tensor) -> float:
    """Return the root of the summed variances relative to the norm of the true weights.

    The squared norm of the estimated weights is biased upwards by the summed variances, which are
    subtracted. Infinite if nothing remains, and 0 if all variances are 0.
    """
    noise, whole = float(variances.sum()), float(weights.square().sum())
    if noise <= 0:
        return 0.0
    return (noise / (whole - noise)) ** 0.5 if whole > noise else float("inf")
