"""The registry of metrics: a decorator on a function whose parameters name its inputs.

Conventions
-----------
A metric is a plain function of arrays. Its positional parameters are named after the fields of a
case (``FIELDS``), and it is computed only if all of them are known. It returns one value for each
row of its batch: for each mask, or for each map. Keyword-only parameters are its options.

Axis order is ``(batch, freq, frame)``, time last; sounds are ``(batch, time)``. ``nan`` means that
the value is undefined.

Metrics of the model's outputs are computed twice, with the same function: on the masked spectrogram
(``spectrogram``) and on the resynthesised sound (``audio``).
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
from earwitness.options import Option, check, options_of
from earwitness.registry import Registry, unknown

Array = NDArray[np.floating]
Case = Mapping[str, Any]
Direction = Literal["higher", "lower"]
F = TypeVar("F", bound=Callable[..., Array])

# the fields of a case: kind, shape, and meaning
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
    "insertion": (
        "curve",
        "(map, step)",
        "target's probability as cells are inserted",
    ),
    "deletion": ("curve", "(map, step)", "target's probability as cells are deleted"),
    "insertion_score": ("curve", "(map, step)", "explained score as cells are inserted"),
    "deletion_score": ("curve", "(map, step)", "explained score as cells are deleted"),
    "shares": (
        "curve",
        "(map, step)",
        "share of cells inserted or deleted, from 0 to 1",
    ),
    "sizes": ("curve", "(map, size)", "share of cells of masks of several sizes"),
    "sized_evidence": ("curve", "(map, size)", "target's probability for what each of them keeps"),
    "sized_remainder": ("curve", "(map, size)", "the same for what each of them removes"),
    "gains": ("mask", "(mask, freq, frame)", "gains in [0, 1]"),
    "magnitude": ("mask", "(freq, frame)", "linear magnitude of the input"),
    "maps": ("map", "(map, freq, frame)", "attributions"),
    "truth": ("truth", "(freq, frame)", "cells that belong to the true source"),
    "maps_time": ("map", "(map, frame)", "positive attribution of each frame"),
    "truth_time": ("truth", "(frame,)", "frames that belong to the true source"),
    "maps_frequency": ("map", "(map, freq)", "positive attribution of each bin"),
    "truth_frequency": ("truth", "(freq,)", "bins that belong to the true source"),
    "heard": ("sound", "(mask, freq, frame)", "gains as heard: |STFT(evidence)| / |X|, at most 1"),
    "sounds": ("sound", "(mask, time)", "evidence of each mask as waveform"),
    "input_sound": ("sound", "(time,)", "the input as waveform"),
    "speech_sound": ("sound", "(time,)", "the input as waveform, if it is clean speech"),
    "source_sound": ("truth", "(time,)", "the true source as waveform"),
    "rate": ("sound", "()", "sampling rate in Hz"),
    "map": ("map", "(freq, frame)", "one attribution, the reference of comparisons"),
    "seed_maps": ("reruns", "(map, freq, frame)", "attributions with other seeds"),
    "noise_maps": ("reruns", "(map, freq, frame)", "attributions of the input plus faint noise"),
    "encoded_maps": (
        "reruns",
        "(map, freq, frame)",
        "attributions of the input after lossy encoding",
    ),
    "random_maps": ("reruns", "(map, freq, frame)", "attributions of random weights"),
    "other_evidence": (
        "other model",
        "(mask,)",
        "another model's probability of the evidence",
    ),
    "other_remainder": (
        "other model",
        "(mask,)",
        "another model's probability of the remainder",
    ),
}


@dataclass(frozen=True)
class Metric:
    """A registered metric and its properties.

    Attributes
    ----------
    name, summary, paper : str
    family : str
        ``faithfulness``, ``conciseness``, ``localisation``, ``stability``, ``sanity`` or ``sound``.
    function : callable
    direction : "higher", "lower" or None
        Which values are better; None if neither.
    range : (float, float)
        Lowest and highest possible value.
    unit : str
        Empty for a dimensionless number.
    declared : mapping of str to Option
        Its options by name: the keyword-only parameters of ``function``.
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
    declared: Mapping[str, Option]
    given: Mapping[str, str]

    @property
    def needs(self) -> tuple[str, ...]:
        """Kinds of fields that it needs: ``outputs``, ``mask``, ``truth``, ``sound`` ..."""
        return tuple(dict.fromkeys(FIELDS[field][0] for field in self.given.values()))

    @property
    def options(self) -> dict[str, Any]:
        """Name and default of every option."""
        return {name: option.default for name, option in self.declared.items()}

    def applies(self, case: Case) -> bool:
        """Return whether the case has all fields that it needs."""
        return all(case.get(field) is not None for field in self.given.values())

    def of(self, case: Case, **options: Any) -> Array:
        """Return its values, shape (batch,), for a case to which it applies.

        Raises
        ------
        ParameterError
            If the case lacks a field, or the value of an option is not valid.
        UnknownNameError
            If it has no such option.
        """
        for name in options:
            if name not in self.options:
                raise unknown(f"option of {self.name}", name, self.options)
        missing = [field for field in self.given.values() if case.get(field) is None]
        if missing:
            raise ParameterError(f"{self.name} needs {', '.join(missing)}, which the case lacks")
        try:
            options = {name: check(self.declared[name], options[name]) for name in options}
        except ParameterError as error:
            raise ParameterError(f"{self.name}: {error}") from None
        return self.function(*(case[field] for field in self.given.values()), **options)

    def better(self, one: float, other: float) -> bool:
        """Return whether one value is better than another; nan is worse than any number."""
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
    """Return a decorator that registers a function as a metric.

    ``given`` maps parameters to fields of other names, so one function can be several metrics.
    """

    def add(function: F) -> F:
        parameters = inspect.signature(function).parameters.values()
        names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        fields = {one: (given or {}).get(one, one) for one in names}
        strange = [field for field in fields.values() if field not in FIELDS]
        if strange:
            raise ValueError(f"metric {name!r} needs {strange[0]!r}, which is not a field")
        METRICS.add(
            Metric(
                name=name,
                summary=summary,
                paper=paper,
                family=family,
                function=function,
                direction=direction,
                range=(low, high),
                unit=unit,
                declared=options_of(function),
                given=fields,
            )
        )
        return function

    return add


def list_metrics() -> list[Metric]:
    """Return all registered metrics, in order of their names."""
    return METRICS.all()
