"""One gradient: saliency and input-x-gradient."""

from __future__ import annotations

import torch

from earwitness.methods.registry import register
from earwitness.probe import Probe
from earwitness.types import Map


@register(
    "saliency",
    summary="size of the score's gradient with respect to the magnitude of each cell",
    limits="how much of the decision lies in a cell; silence can light up",
    paper="Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2014",
    needs_gradients=True,
    cost=3,
)
def saliency(probe: Probe) -> Map:
    """Compute ``|d score / d |X||`` at the input.

    It tells where a small change of level would matter most, loud or not: cells of silence can
    have the largest values. It does not tell what the score is made of.
    """
    ((_, gradient),) = probe.gradients([probe.magnitude], of_magnitude=True)
    return Map(gradient[0].abs())


@register(
    "input-x-gradient",
    summary="the score's gradient with respect to the gain of each cell",
    limits="what the model no longer reacts to because it is sure",
    paper="Shrikumar et al.: Not Just a Black Box, 2016",
    signed=True,
    needs_gradients=True,
    cost=3,
)
def input_x_gradient(probe: Probe) -> Map:
    """Compute ``d score / d gain`` at gains of one, which is the magnitude times its gradient.

    It tells how the score would react to turning each cell slightly down; where the model
    saturates that is little, although the cell may be all of the evidence.
    """
    ((_, gradient),) = probe.gradients([torch.ones_like(probe.magnitude)])
    return Map(gradient[0])
