"""The registry of estimators, their sampling options and their result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from earwitness.perturbation.estimators.game import Game
from earwitness.registry import Registry


@dataclass(frozen=True)
class Sampling:
    """Sampling options; each estimator registers which of them it uses.

    Attributes
    ----------
    samples : int
        Maximal number of draws.
    tolerance : float
        Sampling stops when the estimated error of the weights, relative to their norm, is below
        this; 0 to use all samples.
    width, ridge : float
        Width of LIME's kernel, and L2 penalty of its regression.
    """

    samples: int = 1000
    tolerance: float = 0.1
    width: float = 0.25
    ridge: float = 1.0

    def looks(self, step: int, draws: int) -> list[int]:
        """Return the numbers of draws after which to test for convergence (interim analyses):
        every ``step`` and at the end, or only at the end if the tolerance is 0.
        """
        return [*(range(step, draws, step) if self.tolerance else ()), draws]


@dataclass(frozen=True)
class Estimate:
    """The result of an estimator.

    Attributes
    ----------
    weights : Tensor, shape (player,), float64
    low, high : Tensor, shape (player,), float64
        95 % bootstrap interval; equal to the weights if the estimate is deterministic.
    r2 : float
        Share of the variance of the scores explained by the additive model, with the estimator's
        weights of draws.
    error : float
        Estimated error of the weights (root of the summed variances), relative to their Euclidean
        norm; 0 if the estimate is deterministic.
    """

    weights: Tensor
    low: Tensor
    high: Tensor
    r2: float
    error: float


@dataclass(frozen=True)
class Estimator:
    """A registered estimator.

    Attributes
    ----------
    name, summary, paper : str
    function : callable
        ``function(game, sampling) -> Estimate``, for a game of at least one player.
    reads : tuple of str
        The fields of ``Sampling`` that it uses.
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
    """Return a decorator that registers ``function(game, sampling)`` as an estimator."""

    def add(function: Function) -> Function:
        ESTIMATORS.add(Estimator(name, summary, paper, function, reads))
        return function

    return add
