"""What L-MAC wants of gains: evidence that keeps the decision, a remainder that loses it, and size.

``loss = in * D(evidence) - out * max(0, D(remainder) - D(input)) + size * mean gain``, each clip by
itself (Paissan, Ravanelli, Subakan 2024, eq. 1 and 2). The paper's second term is ``D(remainder)``:
for the decided class that is nearly the same, but for an absent one it would reward a mask that
removes nothing. ``D`` says how far an answer is from the decision: the cross entropy of the class
for one of many, that of its presence for several at once, and for a value ``ln(1 + d^2)`` with
``d`` by how much it fell below that of the input, in units of ``scale``, so that no single clip can
blow it up.

Fine-tuning adds guidance where the true source is known and the evidence resembles it already.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from earwitness.models.model import Model
from earwitness.models.target import over

_LEAST = 1e-6


@dataclass(frozen=True)
class Weights:
    """Weights of the terms.

    Attributes
    ----------
    inside, outside : float
        Of the evidence that keeps the decision, and of the remainder that loses it.
    size : float
        Of the mean gain.
    smooth : float
        Of the mean absolute difference of neighbouring gains (total variation).
    guidance : float
        Of the distance between the evidence and the true source; 0 but in fine-tuning.
    alike : float in [0, 1]
        How alike they must be (``likeness``) before they are brought nearer (the paper's CCT).
    """

    inside: float = 4.0
    outside: float = 1.0
    size: float = 20.0
    smooth: float = 0.0
    guidance: float = 0.0
    alike: float = 0.6


def distance(
    model: Model,
    outputs: Tensor,
    target: Tensor,
    before: Tensor,
    scale: Tensor | float = 1.0,
    *,
    sign: int = 1,
    frames: tuple[int, int] | None = None,
) -> Tensor:
    """Return how far answers are from a decision, shape (batch,).

    Parameters
    ----------
    outputs : Tensor, shape (batch, output[, frame])
    target : Tensor, shape (batch,), int64
        The output that is asked about.
    before : Tensor, shape (batch, output[, frame])
        The answers on the input.
    scale : Tensor, shape (output,), or float
        Unit of values, for a regression.
    sign : {1, -1}
        -1 to ask what lowers a value.
    frames : (int, int), optional
        Part of answers that come per frame; all of them by default.
    """
    if outputs.ndim == 3 and frames is None:
        frames = (0, outputs.shape[-1])
    rows = torch.arange(len(outputs), device=outputs.device)
    if model.task == "regression":
        fall = sign * (over(before, frames) - over(outputs, frames)) / scale
        return fall[rows, target].relu().square().log1p()
    if model.output == "probabilities":
        chances = over(outputs, frames)[rows, target]
        return -chances.clamp(min=_LEAST).log()
    if model.task == "multi-label":
        losses = functional.softplus(-outputs)
    else:
        losses = -functional.log_softmax(outputs, dim=1)
    return over(losses, frames)[rows, target]


def faith(weights: Weights, inside: Tensor, outside: Tensor, before: Tensor | float) -> Tensor:
    """Return the first two terms of the loss, of distances of evidence, remainder and input."""
    return weights.inside * inside - weights.outside * (outside - before).relu()


def extent(weights: Weights, gains: Tensor) -> Tensor:
    """Return what the size of gains (batch, freq, frame) and their edges cost, shape (batch,)."""
    size = weights.size * gains.mean(dim=(1, 2))
    return size + weights.smooth * roughness(gains) if weights.smooth else size


def roughness(gains: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbours of gains (batch, freq, frame), (batch,)."""
    along = [gains.diff(dim=axis).abs().mean(dim=(1, 2)) for axis in (1, 2)]
    return along[0] + along[1]


def likeness(evidence: Tensor, source: Tensor, scale: float) -> Tensor:
    """Return the cosine (batch,) between ``ln(1 + scale |X|)`` of two planes.

    Parameters
    ----------
    evidence, source : Tensor, shape (batch, freq, frame)
        Magnitudes.
    scale : float
        The sum of the window, which the plane divides by.
    """
    one, other = ((scale * each).log1p().flatten(1) for each in (evidence, source))
    return functional.cosine_similarity(one, other, dim=1)


def guidance(evidence: Tensor, source: Tensor) -> Tensor:
    """Return ``sum |M X - S| / sum S`` of magnitudes (batch, freq, frame), shape (batch,)."""
    total = source.sum(dim=(1, 2)).clamp(min=_LEAST)
    return (evidence - source).abs().sum(dim=(1, 2)) / total
