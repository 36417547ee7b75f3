"""An interpreter whose relevance is known, and one on disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from earwitness.decoders.components import InterpreterNetwork, Psi, Theta
from earwitness.decoders.interpreter import Interpreter, save_interpreter
from earwitness.layers.finding import find_layers
from earwitness.models.fingerprint import identity
from earwitness.models.model import Model
from earwitness.types import Segment
from tests.toys import TOY_PLANE

BANDS = ((8, 16), (40, 60), (100, 129))  # bins of each pattern
ACTIVE = ((slice(20, 40), 20.0), (slice(60, 80), 10.0), (slice(None), 5.0))  # frames, height
WEIGHTS = [[3.0, 0.0, -4.0], [0.0, 6.0, 1.0]]


class Fixed(nn.Module):
    """Psi of one known answer: three components, two of them active in frames of their own."""

    def forward(self, maps: Sequence[torch.Tensor], frames: int) -> torch.Tensor:
        found = torch.zeros(len(maps[0]), 3, frames)
        for k, (active, height) in enumerate(ACTIVE):
            found[:, k, active] = height
        return found


def gain(component: int) -> float:
    """Return the gain of a component where it alone is active: its power beside the floor's."""
    low, high = BANDS[component]
    power = math.expm1(ACTIVE[component][1] * (high - low) ** -0.5) ** 2
    return power / (power + 0.01)


def known(model: Model, weights: list[list[float]]) -> Interpreter:
    """Return an interpreter with equal attention for every frame and the given weights."""
    dictionary = torch.zeros(TOY_PLANE.bins, 3)
    for k, (low, high) in enumerate(BANDS):
        dictionary[low:high, k] = (high - low) ** -0.5
    theta = Theta(3, 2)
    with torch.no_grad():
        theta.weight.weight.zero_()
        theta.theta.weight.copy_(torch.tensor(weights))
    network = InterpreterNetwork(dictionary, Fixed(), theta).eval()
    layers = find_layers(model, samples=24000)
    groups = (("all sounds", 2), ("noise", 1))
    return Interpreter(network, layers, model.plane, identity(model), model.name, model.labels,
                       groups)  # fmt: skip


def saved(model: Model, folder: Path, components: int = 4) -> Path:
    """Write an interpreter of random weights, with segments, that loads like a trained one."""
    layers = find_layers(model, samples=24000, finest=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        width = (TOY_PLANE.bins - 1) // components
        dictionary = torch.zeros(TOY_PLANE.bins, components)
        for k in range(components):
            dictionary[k * width : (k + 1) * width, k] = torch.rand(width)
        dictionary /= dictionary.norm(dim=0)
        network = InterpreterNetwork(
            dictionary, Psi(layers, components), Theta(components, len(model.labels))
        ).eval()
    segments = tuple(
        tuple(Segment(f"{name}.wav", 0.1 * k, 0.1 * k + 1) for name in "ab")
        for k in range(components)
    )
    groups = (("all sounds", components),)
    save_interpreter(
        folder,
        Interpreter(network, layers, model.plane, identity(model), model.name, model.labels,
                    groups, {}, segments),
    )  # fmt: skip
    return folder
