"""How an estimator joins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from earwitness.perturbation.estimators.game import Game
from earwitness.registry import Registry


@dataclass(frozen=True)
class Sampling:
    """How much is asked; each estimator says which of these it reads.

    Attributes
    ----------
    samples : int
        Draws at most.
    tolerance : float
        Sampling stops when the error of all weights together, relative to their size, is
        estimated to be below this; 0 to use all samples.
    width, ridge : float
        Of LIME's kernel, and its penalty.
    """

    samples: int = 1000
    tolerance: float = 0.1
    width: float = 0.25
    ridge: float = 1.0

    def looks(self, step: int, draws: int) -> list[int]:
        """Return after how many draws to see whether the weights have settled, the last included:
        every ``step``, and only at the end if all samples are to be used.
        """
        return [*(range(step, draws, step) if self.tolerance else ()), draws]


@dataclass(frozen=True)
class Estimate:
    """What an estimator found out.

    Attributes
    ----------
    weights : Tensor, shape (player,), float64
    low, high : Tensor, shape (player,), float64
        95 % bootstrap interval; equal to the weights where nothing was drawn at random.
    r2 : float
        Share of the variance of the drawn scores that a sum of the weights describes, weighted as
        the estimator weighs draws.
    error : float
        Estimated error of all weights together (root of the summed variances), relative to the
        root of their summed squares; 0 where nothing was drawn at random.
    """

    weights: Tensor
    low: Tensor
    high: Tensor
    r2: float
    error: float


@dataclass(frozen=True)
class Estimator:
    """An estimator and its facts.

    Attributes
    ----------
    name, summary, paper : str
    function : callable
        ``function(game, sampling) -> Estimate``, for a game of at least one player.
    reads : tuple of str
        The fields of ``Sampling`` that it reads.
    """

    name: str
    summary: str
    paper: str
    function: Callable[[Game, Sampling], Estimate]
    reads: tuple[str, ...]


ESTIMATORS: Registry[Estimator] = Registry(
    "estimator", "earwitness.perturbation.estimators", "earwitness.estimators"
)
Function = Callable[[Game, Sampling], Estimate]


def register(
    name: str, *, summary: str, paper: str, reads: tuple[str, ...] = ()
) -> Callable[[Function], Function]:
    """Register ``function(game, sampling)`` under a name, with its facts."""

    def add(function: Function) -> Function:
        ESTIMATORS.add(Estimator(name, summary, paper, function, reads))
        return function

    return add
