"""Events: stretches of a recording in which a label stands out, by two thresholds.

An event is a run of windows whose scores stay at or above the lower threshold (``off``) and reach
the upper one (``on``) at least once; so a score that flickers about one threshold makes one event
and not many. It lasts from the start of its first window to the end of its last one, and events
that lie less than a hop apart are one, unless a window between them has no score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earwitness.errors import ParameterError
from earwitness.models.model import Model
from earwitness.models.target import output_index
from earwitness.recordings.scoring import FINE, Scores
from earwitness.recordings.windows import Cut
from earwitness.types import Direction, FloatArray

ON, OFF = 0.5, 0.3  # probabilities
_EXTREME, _NEAR = 0.05, 0.1  # shares of the windows, for values of a regression


@dataclass(frozen=True)
class Run:
    """A run of windows, the number of its first, its last and its strongest one."""

    first: int
    last: int
    peak: int


@dataclass(frozen=True)
class Event:
    """A stretch of a recording in which a label stands out.

    Attributes
    ----------
    label : str
    index : int
        Of the output.
    start, end : float
        Seconds of the recording.
    score : float
        Of its strongest window: a probability, or a value of a regression.
    peak : int
        Number of that window.
    peak_start, peak_end : float
        Where it lies, in seconds.
    """

    label: str
    index: int
    start: float
    end: float
    score: float
    peak: int
    peak_start: float
    peak_end: float


@dataclass(frozen=True)
class Rule:
    """What stands out.

    Attributes
    ----------
    targets : tuple of str or int
        Labels; all if empty.
    on, off : float or None
        Thresholds: probabilities, 0.5 and 0.3 by default; values of a regression, by default those
        that 5 % and 10 % of the windows of the recording reach.
    direction : {"up", "down"}
        Whether high or low values of a regression stand out.
    """

    targets: tuple[str | int, ...] = ()
    on: float | None = None
    off: float | None = None
    direction: Direction = "down"

    def check(self, model: Model) -> None:
        """Raise ``ParameterError`` for a label that the model lacks, or thresholds of no use."""
        for label in self.targets:
            output_index(model, label)
        if self.direction not in ("up", "down"):
            raise ParameterError(f"direction is up or down, got {self.direction!r}")
        if model.task == "regression":
            if (self.on is None) != (self.off is None):
                raise ParameterError("for a regression, give both thresholds, on and off, or none")
            if self.on is not None and self.off is not None:
                inside = self.off <= self.on if self.direction == "up" else self.off >= self.on
                if not inside:
                    raise ParameterError(
                        f"on {self.on:g} must be as far out as off {self.off:g} or farther"
                    )
            return
        on, off = self.thresholds()
        if not 0 < off <= on <= 1:
            raise ParameterError(
                f"thresholds are probabilities with 0 < off <= on <= 1, got on {on:g}, off {off:g}"
            )

    def thresholds(self) -> tuple[float, float]:
        """Return the thresholds of probabilities, on and off."""
        on = ON if self.on is None else self.on
        return on, min(OFF, on) if self.off is None else self.off


def find_runs(
    scores: FloatArray, starts: Sequence[float], ends: Sequence[float], on: float, off: float,
    hop: float,
) -> list[Run]:  # fmt: skip
    """Return the runs of windows that stand out, in order of time.

    Parameters
    ----------
    scores : ndarray (window,)
        NaN belongs to no run.
    starts, ends : sequence of float
        Of the windows, in seconds.
    on, off : float
        Every window of a run has at least ``off``, and one has at least ``on``.
    hop : float
        Seconds; runs that lie less than this apart are joined, without NaN between them.
    """
    with np.errstate(invalid="ignore"):
        inside = np.concatenate([[False], scores >= off, [False]])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    runs: list[Run] = []
    for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        peak = first + int(np.argmax(scores[first:after]))
        if scores[peak] < on:
            continue
        near = bool(runs) and starts[first] - ends[runs[-1].last] < hop - 1e-9
        if near and not np.isnan(scores[runs[-1].last : first]).any():
            before = runs.pop()
            peak = peak if scores[peak] > scores[before.peak] else before.peak
            first = before.first
        runs.append(Run(first, after - 1, peak))
    return runs


def find_events(model: Model, scores: Scores, cut: Cut, rule: Rule) -> list[Event]:
    """Return the events of a recording, in order of time."""
    starts, ends = cut.spans(scores.samples)
    fine = scores.state == FINE
    found: list[Event] = []
    for index in _outputs(model, scores, fine, rule):
        label, values = model.labels[index], np.array(scores.values[:, index], np.float32)
        sign, limits = _limits(model, values[fine], rule)
        if limits is None:
            continue
        signed = np.where(fine, sign * values, np.float32(np.nan))
        for run in find_runs(signed, starts, ends, *limits, cut.hop / cut.rate):
            found.append(
                Event(
                    label, index, starts[run.first], ends[run.last], float(values[run.peak]),
                    run.peak, starts[run.peak], ends[run.peak],
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: (one.start, one.index, one.end))


def _outputs(
    model: Model, scores: Scores, fine: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], rule: Rule
) -> list[int]:
    """Return the outputs in which events are looked for."""
    if rule.targets:
        return list(dict.fromkeys(output_index(model, label) for label in rule.targets))
    if model.task == "single-label":  # labels that are decided somewhere
        return [int(index) for index in np.unique(scores.values[fine].argmax(axis=1))]
    return list(range(len(model.labels)))


def _limits(model: Model, values: FloatArray, rule: Rule) -> tuple[int, tuple[float, float] | None]:
    """Return the sign of what stands out and, of signed values, on and off; None for nothing."""
    if model.task != "regression":
        return 1, rule.thresholds()
    sign = 1 if rule.direction == "up" else -1
    if rule.on is not None and rule.off is not None:
        return sign, (sign * rule.on, sign * rule.off)
    if not len(values) or values.min() == values.max():
        return sign, None
    on, off = np.quantile(sign * values, [1 - _EXTREME, 1 - _NEAR])
    return sign, (float(on), float(off))
