"""How a rule for making masks joins: a decorator that states its facts."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earwitness.registry import Registry

Values = NDArray[np.float64]
Amount = Literal["percent", "number"]
Function = Callable[..., Values]


@dataclass(frozen=True)
class Rule:
    """A rule and its facts.

    Attributes
    ----------
    name, summary, paper : str
    function : callable
        From ``attribution``, ``magnitude`` (freq, frame) and ``amount``, whichever of them its
        parameters name, to gains (freq, frame) in [0, 1].
    soft : bool
        Whether gains between 0 and 1 are meant; otherwise they are 0 or 1.
    amount : str or None
        What follows the name: ``percent`` (a share above 0, at most 1, to the function),
        ``number`` (from 0 to 1), or nothing.
    signed : bool
        Whether negative values matter, so that ``+`` (the positive part only) makes another rule.
    example : str
        How ``--keep`` spells it.
    """

    name: str
    summary: str
    paper: str
    function: Function
    soft: bool
    amount: Amount | None
    signed: bool
    example: str

    def gains(self, attribution: Values, magnitude: Values, amount: float) -> Values:
        """Return the gains (freq, frame) it makes of maps (freq, frame)."""
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
    """Register a function from an attribution to gains under a name, with its facts."""

    def add(function: Function) -> Function:
        MASKS.add(Rule(name, summary, paper, function, soft, amount, signed, example))
        return function

    return add


def list_masks() -> list[Rule]:
    """Return all rules for making masks with their facts, in the order of their names."""
    return MASKS.all()
