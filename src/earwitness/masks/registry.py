"""The registry of mask rules: a decorator that records the properties of each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earwitness.registry import Registry

Values = NDArray[np.float64]
Amount = Literal["percent", "number", "path"]
Function = Callable[..., Values]


@dataclass(frozen=True)
class Rule:
    """A registered mask rule.

    Attributes
    ----------
    name, summary, paper : str
    function : callable
        From those of ``attribution``, ``magnitude`` (freq, frame) and ``amount`` that are its
        parameters to gains (freq, frame) in [0, 1].
    soft : bool
        Whether gains can be between 0 and 1; otherwise they are 0 or 1.
    amount : str or None
        Type of the amount after the name: ``percent`` (passed to the function as a share in
        (0, 1]), ``number`` (in [0, 1]), ``path`` of a file, or None.
    signed : bool
        Whether negative values have an effect, so that the suffix ``+`` is allowed.
    example : str
        An example of its syntax in ``--keep``.
    """

    name: str
    summary: str
    paper: str
    function: Function
    soft: bool
    amount: Amount | None
    signed: bool
    example: str

    def gains(self, attribution: Values, magnitude: Values, amount: float | str) -> Values:
        """Return the gains (freq, frame) for an attribution and a magnitude (freq, frame)."""
        known = {"attribution": attribution, "magnitude": magnitude, "amount": amount}
        wanted = inspect.signature(self.function).parameters
        return self.function(**{name: known[name] for name in wanted})


MASKS: Registry[Rule] = Registry("mask", "earwitness.masks", "earwitness.masks")


def register(
    name: str,
    *,
    summary: str,
    example: str,
    paper: str = "",
    soft: bool = False,
    amount: Amount | None = None,
    signed: bool = False,
) -> Callable[[Function], Function]:
    """Return a decorator that registers a function from an attribution to gains as a rule."""

    def add(function: Function) -> Function:
        MASKS.add(Rule(name, summary, paper, function, soft, amount, signed, example))
        return function

    return add


def list_masks() -> list[Rule]:
    """Return all registered mask rules, in order of their names."""
    return MASKS.all()
