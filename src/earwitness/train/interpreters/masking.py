"""What the filter of the relevant components does to the classifier, as a term of the loss.

The losses of Listen to Interpret do not contain the filter that is applied. This term is L-MAC's
loss (``earwitness.decoders.objective``) of the filtered spectrogram: with the relevant components
alone the classifier keeps its decision, without them it loses it, and the filter is small. Whether
a component is relevant is a step at a threshold; in training it is a sigmoid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.decoders.components import Components, Theta
from earwitness.decoders.objective import Weights, distance, extent, faith
from earwitness.models.model import Model
from earwitness.train.explaining import evaluate_sides
from earwitness.train.interpreters.loop import decisions

_KEPT = 0.4  # relevance above which a component is kept; playing more is more faithful still
_WIDTH = 0.1  # of the sigmoid, in units of the largest relevance
_LEAST = 1e-6  # largest share; avoids a division by zero


def soft_selection(model: Model, theta: Theta, activations: Tensor, target: Tensor) -> Tensor:
    """Return how far each component is kept, shape (batch, component), in (0, 1).

    ``sigmoid((r - 0.4) / 0.1)``, with the relevance ``r`` of ``l2i``.

    Parameters
    ----------
    activations : Tensor, shape (batch, component, frame)
    target : Tensor, shape (batch,), int64
    """
    weights = theta.theta.weight
    if model.task == "single-label":  # as after the training
        weights = weights - weights.mean(dim=0)
    shares = theta.pooled(activations) * weights[target]
    largest = shares.amax(dim=1, keepdim=True).clamp(min=_LEAST)
    return ((shares / largest - _KEPT) / _WIDTH).sigmoid()


def filters(dictionary: Tensor, activations: Tensor, kept: Tensor) -> Tensor:
    """Return the gains (batch, freq, frame) of ``l2i`` for components kept to a degree.

    Parameters
    ----------
    dictionary : Tensor, shape (freq, component)
    activations : Tensor, shape (batch, component, frame)
    kept : Tensor, shape (batch, component)
    """
    names = [""] * dictionary.shape[1]
    rest = kept.new_zeros(1)
    gains = [
        Components(dictionary, own, names).mix(torch.cat([some, rest])[None])[0]
        for own, some in zip(activations, kept, strict=True)
    ]
    return torch.stack(gains)


def masked_loss(
    model: Model,
    spectrum: Tensor,
    outputs: Tensor,
    gains: Tensor,
    samples: int,
    weights: Weights,
) -> Tensor:
    """Return L-MAC's loss (batch,) of gains for the decided classes.

    Parameters
    ----------
    spectrum : Tensor, shape (batch, freq, frame), complex
    outputs : Tensor, shape (batch, output[, frame])
        Of the model, for the sounds as they are.
    gains : Tensor, shape (batch, freq, frame)
    samples : int
        Length of the sounds.
    weights : Weights
    """
    target = decisions(model, outputs)
    sides = evaluate_sides(model, spectrum, gains, samples)
    kept, left, before = (distance(model, one, target, outputs) for one in (*sides, outputs))
    return faith(weights, kept, left, before) + extent(weights, gains)
