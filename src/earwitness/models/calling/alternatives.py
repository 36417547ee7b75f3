"""Methods to recommend instead of one that does not apply."""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.errors import EarwitnessError
from earwitness.models.model import Model
from earwitness.models.target import explained_score
from earwitness.types import Target


def instead(model: Model, waves: Tensor, target: Target) -> str:
    """Return a method with gradients if they reach the waveform, else methods without.

    Parameters
    ----------
    waves : Tensor, shape (1, samples)
    """
    waves = waves.detach().clone().to(model.device).requires_grad_()
    try:
        with model.undisturbed(), torch.enable_grad(), model.frozen():
            score = explained_score(model, model(waves), target).sum()
            found = torch.autograd.grad(score, waves, allow_unused=True)[0]
    except (EarwitnessError, RuntimeError):
        found = None
    return "lime or occlusion" if found is None else "integrated-gradients"
