"""Small networks on the toy plane, and methods called on them directly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.probe import Probe
from earwitness.types import Target
from tests.toys import RATE, TOY_PLANE, Magnitude

SAMPLES = 1600
SHAPE = (TOY_PLANE.bins, TOY_PLANE.frames(SAMPLES))


def probe(net: nn.Module, target: Target | None = None) -> Probe:
    model = net if isinstance(net, Model) else on_magnitude(net)
    wave = 0.1 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0))
    return Probe(model, wave, target or Target(0, "a", "probability"))


def on_magnitude(net: nn.Module) -> Model:
    return wrap(net.eval(), sample_rate=RATE, features=Magnitude(), labels=["a", "b"])


def explained(name: str, where: Probe, **options: Any) -> Any:
    spec = METHODS.get(name)
    return spec.function(where, **spec.settle(options))


def randomised(net: nn.Module, seed: int = 3, scale: float = 0.5) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in net.parameters():
            one.copy_(scale * torch.randn(one.shape, generator=generator))
    return net


class Stack(nn.Module):
    """Convolutions, pooling and a dense layer as modules of their own: what hooks can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(4 * (SHAPE[0] // 2) * (SHAPE[1] // 2), 2)
        randomised(self, scale=0.1)
        with torch.no_grad():
            self.body[0].weight.mul_(100)

    def forward(self, features: Tensor) -> Tensor:
        return self.head(self.body(features).flatten(1))


def close(found: Tensor, wanted: Tensor, tolerance: float = 1e-4) -> None:
    size = float(wanted.abs().max())
    assert size > 0
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance * size)
