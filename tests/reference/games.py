"""Games of a few strips of the toy plane, whose scores are given functions."""

from __future__ import annotations

from typing import Any

import torch

from earwitness.models.wrapping import wrap
from earwitness.perturbation.estimators.game import Game
from earwitness.perturbation.estimators.registry import ESTIMATORS, Sampling
from earwitness.perturbation.pieces.decomposition import Partition, Product
from earwitness.probe import Probe
from earwitness.types import Target
from tests.toys import RATE, TOY_PLANE, Magnitude

SAMPLES = 1600
SHAPE = (TOY_PLANE.bins, TOY_PLANE.frames(SAMPLES))


def wave() -> torch.Tensor:
    return 0.1 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0))


def strips(players: int) -> Product:
    """Pieces that are the first rows of the plane, one each, and all others as the last."""
    gains = torch.zeros(players, SHAPE[0])
    gains[range(players), range(players)] = 1
    gains[-1, players:] = 1
    return Product(SHAPE, [Partition("frequency", tuple(map(str, range(players))), gains)])


class Toy(torch.nn.Module):
    """A score that is a given function of which strips are on, exactly 0 or 1."""

    def __init__(self, players: int, score: Any) -> None:
        super().__init__()
        self.players, self.score = players, score
        self.asked: list[torch.Tensor] = []

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        maps = features[:, 0]
        on = (maps[:, : self.players].sum(dim=2) > 0).double()
        self.asked.append(on)
        return self.score(on)[:, None].float()


def game(players: int, score: Any, seed: int = 0) -> Game:
    model = wrap(Toy(players, score), sample_rate=RATE, features=Magnitude(), output="scores")
    where = Probe(model, wave(), Target(0, "a", "value"), seed=seed)
    return Game([where], strips(players))


def estimate(name: str, where: Game, **sampling: Any) -> Any:
    return ESTIMATORS.get(name).function(where, Sampling(**sampling))


def tangled(on: torch.Tensor) -> torch.Tensor:
    """A game with interactions of every order."""
    slopes = torch.linspace(-1, 2, on.shape[1], dtype=torch.float64)
    return on @ slopes + 3 * on[:, 0] * on[:, 1] - 2 * on[:, 1] * on[:, 2] * on[:, -1]


def tangled_one(on: tuple[int, ...]) -> float:
    return float(tangled(torch.tensor([on], dtype=torch.float64)))
