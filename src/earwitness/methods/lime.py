"""LIME on a time-frequency grid."""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.errors import ParameterError
from earwitness.methods.pieces import grid
from earwitness.methods.registry import Map, register
from earwitness.probe import Probe

_STILL = 1e-7  # a spread of scores that is rounding


@register(
    "lime",
    summary="a linear model of how the score reacts to switching pieces of a grid on and off",
    limits="anything finer than its pieces, nor what no sum of pieces describes (a low R^2)",
    paper="Ribeiro, Singh, Guestrin: Why Should I Trust You?, 2016, eq. 2",
    signed=True,
    cost=lambda options: int(options["samples"]) + 1,
)
def lime(
    probe: Probe,
    *,
    samples: int = 1000,
    segments: int = 0,
    bands: int = 8,
    width: float = 0.25,
    ridge: float = 1.0,
) -> Map:
    """Fit weighted ridge regression from switched pieces to the score.

    Each sample switches every piece on with probability one half; the first has all pieces on. A
    sample weighs ``exp(-d^2 / width^2)`` with ``d`` its cosine distance from all pieces on. The map
    holds each piece's coefficient; ``r2`` says how much of the score a sum of pieces explains at
    all, weighted as in the fit.

    Parameters
    ----------
    samples : int >= 2
        Evaluations of the model beside the input itself.
    segments, bands : int
        Size of the grid; 0 segments for four a second, 20 at most.
    width : float > 0
        Width of the kernel.
    ridge : float >= 0
        Penalty on squared coefficients.
    """
    if samples < 2 or width <= 0 or ridge < 0:
        raise ParameterError(
            f"lime: samples must be at least 2, width positive and ridge not negative; got "
            f"{samples}, {width} and {ridge}"
        )
    labels = grid(probe, int(segments), int(bands))
    pieces = int(labels.max()) + 1
    draws = torch.rand(int(samples), pieces, generator=probe.generator) < 0.5
    switches = torch.cat([torch.ones(1, pieces), draws.float()])
    scores = probe.mixed_scores(labels, switches).double().cpu()
    share = switches.double().mean(dim=1)
    weights = torch.exp(-((1 - share.sqrt()) ** 2) / width**2)
    coefficients, r2 = weighted_ridge(switches.double(), scores, weights, float(ridge))
    details = {"r2": r2, "evaluations": len(switches), "pieces": pieces}
    return Map(coefficients.float().to(probe.device)[labels], details)


def weighted_ridge(
    inputs: Tensor, values: Tensor, weights: Tensor, ridge: float
) -> tuple[Tensor, float]:
    """Return the coefficients of weighted ridge regression with a free intercept, and its R^2.

    Parameters
    ----------
    inputs : Tensor, shape (sample, piece), float64
    values, weights : Tensor, shape (sample,), float64
    ridge : float >= 0

    Returns
    -------
    Tensor, shape (piece,), and float
        R^2 is weighted too, and 0 where the values do not vary.
    """
    total = weights.sum()
    weights = weights / total
    if float(values.max() - values.min()) <= _STILL * (1 + float(values.abs().max())):
        return torch.zeros(inputs.shape[1], dtype=inputs.dtype), 0.0
    centred = inputs - weights @ inputs
    offset = values - weights @ values
    gram = centred.T @ (weights[:, None] * centred)
    gram.diagonal().add_(ridge / total)  # as the penalty on the sum of weighted squares
    right = centred.T @ (weights * offset)
    coefficients = torch.linalg.lstsq(gram, right[:, None], driver="gelsd").solution[:, 0]
    variance = float((weights * offset**2).sum())
    residual = float((weights * (offset - centred @ coefficients) ** 2).sum())
    return coefficients, 1 - residual / variance
