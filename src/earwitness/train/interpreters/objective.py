"""The loss of Listen to Interpret (Parekh et al. 2022, section 3.2), for each clip.

``loss = reconstruction * mean (V - W H)^2 + fidelity * D + sparsity * mean H``, where ``V`` is
``ln(1 + |X|)`` and ``D`` is the cross entropy between the classifier's probabilities and the
interpreter's: of one of many classes, or summed over independent labels. The label of a sound is
the classifier's own output. A fourth term, which is not the paper's, is in ``masking``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from earwitness.decoders.objective import Weights
from earwitness.models.model import Model
from earwitness.models.target import overall, probabilities


@dataclass(frozen=True)
class InterpreterWeights:
    """Weights of the terms of the loss.

    Attributes
    ----------
    reconstruction, sparsity : float
    early, late : float
        Weight of the fidelity before and after the share ``turn`` of the epochs.
    turn : float in [0, 1]
        The paper raises the weight at epoch 20 of 35.
    faithfulness : float
        Weight of what the filter does to the classifier (``masking``), from ``turn`` on; 0 is the
        paper's loss.
    masking : Weights
        Weights within that term.

    The paper has 5 and 0.4 for reconstruction and sparsity, on fewer bins and more components; the
    defaults here were chosen on folds 1-3 of ESC-10.
    """

    reconstruction: float = 60.0
    early: float = 0.5
    late: float = 1.0
    turn: float = 20 / 35
    sparsity: float = 0.2
    faithfulness: float = 0.3
    masking: Weights = field(default_factory=lambda: Weights(inside=2.0, outside=4.0, size=7.0))

    def fidelity(self, epoch: int, epochs: int) -> float:
        """Return the weight of the fidelity in an epoch, from 0 on, of ``epochs``."""
        return self.late if epoch >= self.turn * epochs else self.early

    def masked(self, epoch: int, epochs: int) -> float:
        """Return the weight of the masked loss in an epoch, from 0 on, of ``epochs``."""
        return self.faithfulness if epoch >= self.turn * epochs else 0.0


def fidelity(model: Model, outputs: Tensor, scores: Tensor) -> Tensor:
    """Return the cross entropy (batch,) of the interpreter's scores to the model's outputs.

    Parameters
    ----------
    outputs : Tensor, shape (batch, output[, frame])
        Of the model.
    scores : Tensor, shape (batch, output)
        Logits of the interpreter.
    """
    wanted = overall(model, probabilities(model, outputs))
    if model.task == "multi-label":
        each = functional.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
        return each.sum(dim=1)
    return -(wanted * scores.log_softmax(dim=1)).sum(dim=1)


def reconstruction(values: Tensor, dictionary: Tensor, activations: Tensor) -> Tensor:
    """Return the mean squared error (batch,) of ``W H``.

    Parameters
    ----------
    values : Tensor, shape (batch, freq, frame)
    dictionary : Tensor, shape (freq, component)
    activations : Tensor, shape (batch, component, frame)
    """
    return (values - dictionary @ activations).square().mean(dim=(1, 2))


def relative_miss(values: Tensor, dictionary: Tensor, activations: Tensor) -> Tensor:
    """Return ``sum (V - W H)^2 / sum V^2`` (batch,); 0 for silence."""
    power = values.square().sum(dim=(1, 2))
    miss = (values - dictionary @ activations).square().sum(dim=(1, 2))
    return torch.where(power > 0, miss / power.clamp(min=torch.finfo(power.dtype).tiny), 0.0)


def total_loss(
    weights: InterpreterWeights,
    fidelity_weight: float,
    distance: Tensor,
    miss: Tensor,
    activations: Tensor,
) -> Tensor:
    """Return the loss (batch,).

    Parameters
    ----------
    distance, miss : Tensor, shape (batch,)
        ``fidelity`` and ``reconstruction``.
    activations : Tensor, shape (batch, component, frame)
    """
    size = activations.mean(dim=(1, 2))
    return weights.reconstruction * miss + fidelity_weight * distance + weights.sparsity * size
