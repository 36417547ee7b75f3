"""Methods of a single gradient: saliency and input-x-gradient."""

from __future__ import annotations

import torch

from earwitness.methods.registry import register
from earwitness.probe import Probe
from earwitness.types import Map


@register(
    "saliency",
    summary="absolute gradient of the score with respect to the magnitude of each cell",
    limits="a cell's contribution to the score; silent cells can have large values",
    paper="Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2014",
    needs_gradients=True,
    cost=3,
)
def saliency(probe: Probe) -> Map:
    """Compute ``|d score / d |X||`` at the input.

    It is the sensitivity of the score to a small change of magnitude, whatever the level: silent
    cells can have the largest values. It is not a decomposition of the score.
    """
    ((_, gradient),) = probe.gradients([probe.magnitude], of_magnitude=True)
    return Map(gradient[0].abs())


@register(
    "input-x-gradient",
    summary="the score's gradient with respect to the gain of each cell",
    limits="evidence in a saturated region, where the gradient vanishes",
    paper="Shrikumar et al.: Not Just a Black Box, 2016",
    signed=True,
    needs_gradients=True,
    linear=True,
    cost=3,
)
def input_x_gradient(probe: Probe) -> Map:
    """Compute ``d score / d gain`` at gains of one, which is the magnitude times its gradient.

    It is the first-order change of the score when a cell is attenuated. Where the model saturates
    the values are small, even in cells that hold all of the evidence.
    """
    ((_, gradient),) = probe.gradients([torch.ones_like(probe.magnitude)])
    return Map(gradient[0])
