"""How a metric joins: a decorator that states its facts, on a function whose parameters state its
needs.

Conventions
-----------
A metric is a plain function of arrays. Its positional parameters are named after what can be known
about a case (``FIELDS``), and it is asked only where all of them are known. It answers with one
figure for each row of its batch: for each mask, or for each map. Keyword-only parameters are its
options.

Axis order is ``(batch, freq, frame)``, time last; sounds are ``(batch, time)``. ``nan`` means that
the question has no answer there.

Figures of what the model answers exist twice, as masked on the ``plane`` and as ``heard``: the same
function on the fields of either case.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from earwitness.errors import ParameterError
from earwitness.registry import Registry, unknown

Array = NDArray[np.floating]
Case = Mapping[str, Any]
Direction = Literal["higher", "lower"]
F = TypeVar("F", bound=Callable[..., Array])

# what can be known about a case: its kind, its shape, and what it is
FIELDS: dict[str, tuple[str, str, str]] = {
    "p_input": ("outputs", "()", "probability of the target for the input"),
    "p_evidence": ("outputs", "(mask,)", "the same for what each mask keeps"),
    "p_remainder": ("outputs", "(mask,)", "the same for what each mask removes"),
    "z_input": ("outputs", "()", "the explained score (logit or value) for the input"),
    "z_evidence": ("outputs", "(mask,)", "the same for what each mask keeps"),
    "z_remainder": ("outputs", "(mask,)", "the same for what each mask removes"),
    "odds_input": ("outputs", "()", "ln(p / (1 - p)) of the target for the input"),
    "odds_evidence": ("outputs", "(mask,)", "the same for what each mask keeps"),
    "odds_remainder": ("outputs", "(mask,)", "the same for what each mask removes"),
    "all_input": ("outputs", "(class,)", "probabilities of all classes for the input"),
    "all_evidence": ("outputs", "(mask, class)", "the same for what each mask keeps"),
    "all_remainder": ("outputs", "(mask, class)", "the same for what each mask removes"),
    "insertion": ("curve", "(map, step)", "score while the strongest cells come in"),
    "deletion": ("curve", "(map, step)", "score while the strongest cells go"),
    "shares": ("curve", "(map, step)", "how much is in, or gone, at each step, from 0 to 1"),
    "gains": ("mask", "(mask, freq, frame)", "the masks"),
    "magnitude": ("mask", "(freq, frame)", "the input on the plane"),
    "maps": ("map", "(map, freq, frame)", "attributions"),
    "truth": ("truth", "(freq, frame)", "cells that belong to the true source"),
    "maps_time": ("map", "(map, frame)", "positive attribution of each frame"),
    "truth_time": ("truth", "(frame,)", "frames that belong to the true source"),
    "maps_frequency": ("map", "(map, freq)", "positive attribution of each bin"),
    "truth_frequency": ("truth", "(freq,)", "bins that belong to the true source"),
    "sounds": ("sound", "(mask, time)", "what each mask keeps, as sound"),
    "input_sound": ("sound", "(time,)", "the input"),
    "speech_sound": ("sound", "(time,)", "the input, where it is clear speech"),
    "source_sound": ("truth", "(time,)", "the true source"),
    "rate": ("sound", "()", "sampling rate in Hz"),
    "map": ("map", "(freq, frame)", "one attribution, to compare others with"),
    "seed_maps": ("reruns", "(map, freq, frame)", "the same from other seeds"),
    "noise_maps": ("reruns", "(map, freq, frame)", "the same with faint noise on the input"),
    "encoded_maps": ("reruns", "(map, freq, frame)", "the same after lossy encoding"),
    "random_maps": ("reruns", "(map, freq, frame)", "the same with more and more random weights"),
    "other_evidence": ("other model", "(mask,)", "another classifier's probability for evidence"),
    "other_remainder": ("other model", "(mask,)", "and for the remainder"),
}


@dataclass(frozen=True)
class Metric:
    """A metric and its facts.

    Attributes
    ----------
    name, summary, paper : str
    family : str
        ``faithfulness``, ``conciseness``, ``localisation``, ``stability``, ``sanity`` or ``sound``.
    function : callable
    direction : "higher", "lower" or None
        Which is better; None for a figure that is neither.
    range : (float, float)
        Least and largest value it can take.
    unit : str
        Empty for a plain number.
    given : mapping of str to str
        The field of ``FIELDS`` for each positional parameter.
    """

    name: str
    summary: str
    paper: str
    family: str
    function: Callable[..., Array]
    direction: Direction | None
    range: tuple[float, float]
    unit: str
    given: Mapping[str, str]

    @property
    def needs(self) -> tuple[str, ...]:
        """Kinds of things that must be known: ``outputs``, ``mask``, ``truth``, ``sound`` ..."""
        return tuple(dict.fromkeys(FIELDS[field][0] for field in self.given.values()))

    @property
    def options(self) -> dict[str, Any]:
        """Name and default of every option: the keyword-only parameters of the function."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def applies(self, case: Case) -> bool:
        """Say whether everything it needs is known."""
        return all(case.get(field) is not None for field in self.given.values())

    def of(self, case: Case, **options: Any) -> Array:
        """Return its figures, shape (batch,), for a case to which it applies.

        Raises
        ------
        ParameterError
            If something it needs is not known.
        UnknownNameError
            If it has no such option.
        """
        for name in options:
            if name not in self.options:
                raise unknown(f"option of {self.name}", name, self.options or {"(it has none)": 0})
        missing = [field for field in self.given.values() if case.get(field) is None]
        if missing:
            raise ParameterError(f"{self.name} wants {', '.join(missing)}, which the case lacks")
        return self.function(*(case[field] for field in self.given.values()), **options)

    def better(self, one: float, other: float) -> bool:
        """Say whether one value is better than another; no value is better than nan is."""
        if self.direction is None or math.isnan(one):
            return False
        sign = 1 if self.direction == "higher" else -1
        return math.isnan(other) or sign * one > sign * other


METRICS: Registry[Metric] = Registry("metric", "earwitness.metrics", "earwitness.metrics")


def register(
    name: str,
    *,
    summary: str,
    family: str,
    direction: Direction | None,
    low: float = -math.inf,
    high: float = math.inf,
    unit: str = "",
    paper: str = "",
    given: Mapping[str, str] | None = None,
) -> Callable[[F], F]:
    """Register a function under a name, with its facts.

    ``given`` names the fields of parameters that are called otherwise, so that one function can be
    several metrics.
    """

    def add(function: F) -> F:
        parameters = inspect.signature(function).parameters.values()
        names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        fields = {one: (given or {}).get(one, one) for one in names}
        strange = [field for field in fields.values() if field not in FIELDS]
        if strange:
            raise ValueError(f"metric {name!r} wants {strange[0]!r}, which is no field")
        METRICS.add(
            Metric(name, summary, paper, family, function, direction, (low, high), unit, fields)
        )
        return function

    return add


def list_metrics() -> list[Metric]:
    """Return all metrics with their facts, in the order of their names."""
    return METRICS.all()
