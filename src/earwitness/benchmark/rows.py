"""From lines to rows: means over sounds with intervals, and differences to controls.

A row is a method and a mask on the sounds of one group with one model; soft and binary masks have
separate rows. Seeds are averaged for each sound first. Sounds for which a mask is degenerate
(empty, full or constant) are counted and left out of its means; a row with more than one degenerate
mask in ten is never best.

The values of a mask are compared with those of permutations of its gains, the values of a map with
those of the control maps ``random`` and ``energy``. A mean is ahead of a control if the paired mean
difference has the better sign with p < 0.05 after Holm's correction for the number of methods in
the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from earwitness.benchmark.cells import MATCHED
from earwitness.benchmark.grid import IDEAL
from earwitness.benchmark.ledger import Line
from earwitness.benchmark.statistics import Values, holm, intervals, paired_tests
from earwitness.methods.registry import METHODS
from earwitness.metrics.registry import METRICS

ALPHA = 0.05  # significance level
MOST_DEGENERATE = 0.1  # share of sounds; rows with more degenerate masks are never best
_ORDER = ("map", "mask", "spectrogram", "audio")  # of columns


@dataclass
class Against:
    """A paired comparison of a row's metric with a control's.

    Attributes
    ----------
    difference : float
        Mean of the row's values minus the control's.
    low, high : float
        Its 95 % interval.
    p : float
        p value of the paired test, before correction.
    corrected : float
        p value after Holm's correction.
    ahead : bool
        Whether the row is better than the control.
    """

    difference: float
    low: float
    high: float
    p: float
    corrected: float = math.nan
    ahead: bool = False


@dataclass
class Figure:
    """One metric of one row.

    Attributes
    ----------
    mean, low, high : float
        Mean over sounds, with its 95 % interval.
    sounds : int
        Number of sounds.
    spread : float
        Standard deviation of the means of single seeds; nan for one seed.
    against : mapping of str to Against
        By control.
    best : bool
        Whether no other method is better.
    """

    mean: float
    low: float
    high: float
    sounds: int
    spread: float
    against: dict[str, Against] = field(default_factory=dict)
    best: bool = False


# figures and differences whose intervals are computed later, with their values by sound
Drawn = list[tuple[Figure | Against, Values]]


@dataclass
class Row:
    """A method and a mask on one group of sounds.

    Attributes
    ----------
    model, group, method : str
    mask : str or None
        None for metrics of the map.
    soft : bool
    options : mapping
    area : float
        Mean over sounds; nan for a map.
    sounds, failed : int
    degenerate : mapping of str to int
        Number of masks that are empty, full and constant.
    figures : mapping of (metric, route) to Figure
    values : mapping of str to float
        The ranking metric by sound, from the best to the worst, without degenerate masks.
    """

    model: str
    group: str
    method: str
    mask: str | None
    soft: bool
    options: Mapping[str, object]
    area: float
    sounds: int
    failed: int
    degenerate: dict[str, int]
    figures: dict[tuple[str, str], Figure]
    values: dict[str, float]

    @property
    def ranked(self) -> list[str]:
        """Sounds from the best to the worst."""
        return list(self.values)

    @property
    def control(self) -> bool:
        """Whether it is a control: independent of the model, or computed from the true source."""
        return self.method == IDEAL or METHODS.get(self.method).control

    @property
    def may_be_best(self) -> bool:
        """Whether it is a method with few degenerate masks."""
        few = sum(self.degenerate.values()) <= MOST_DEGENERATE * self.sounds
        return not self.control and few and self.sounds > self.failed

    def facts(self) -> dict[str, Any]:
        """Return the row as plain JSON values; None for unknown values."""
        plain = asdict(self)
        plain["figures"] = [
            {"metric": name, "route": route, **asdict(figure)}
            for (name, route), figure in self.figures.items()
        ]
        facts: dict[str, Any] = finite({k: v for k, v in plain.items() if k != "values"})
        return facts


def make_rows(lines: Iterable[Line], rank: str) -> list[Row]:
    """Return the rows of a run, in order of first occurrence.

    Parameters
    ----------
    lines : iterable of dict
        The result of ``read_lines``.
    rank : str
        The metric that ranks the sounds of a row.
    """
    cells: dict[tuple[str, str, str, str | None], list[Line]] = {}
    for line in lines:
        if line["method"] is not None:
            place = (line["model"], line["group"], line["method"], line["mask"])
            cells.setdefault(place, []).append(line)
    drawn: Drawn = []
    rows = [_row(some, rank, drawn) for some in cells.values()]
    tables: dict[tuple[str, str, str | None], list[Row]] = {}
    for row in rows:
        tables.setdefault((row.model, row.group, row.mask), []).append(row)
    by_place = dict(zip(cells, rows, strict=True))
    for (model, group, mask), some in tables.items():
        if mask is None:
            for row in some:
                _against_maps(row, cells, (model, group), drawn)
    _weigh(drawn)
    for some in tables.values():
        _judge(some)
    # a method that failed on every sound has only lines of its map
    return [row for row in by_place.values() if row.figures or row.failed]


def _row(lines: Sequence[Line], rank: str, drawn: Drawn) -> Row:
    first = lines[0]
    clips = {line["clip"] for line in lines}
    failed = {line["clip"] for line in lines if "failed" in line}
    sound = [line for line in lines if "failed" not in line]
    one_route = [line for line in sound if line["route"] == sound[0]["route"]]
    kinds = ("empty", "full", "constant")
    flags = {(line["clip"], line["degenerate"]) for line in one_route}
    figures: dict[tuple[str, str], Figure] = {}
    pairs = {(name, line["route"]) for line in sound for name in line["figures"]}
    for name, route in sorted(pairs, key=column_order):
        figures[name, route] = _figure(sound, name, route, drawn)
    routes = [route for metric, route in figures if metric == rank]
    areas = [line["area"] for line in one_route if "area" in line]
    return Row(
        model=first["model"],
        group=first["group"],
        method=first["method"],
        mask=first["mask"],
        soft=any(line.get("soft", False) for line in sound),
        options=first["options"],
        area=float(np.mean(areas)) if areas else math.nan,
        sounds=len(clips),
        failed=len(failed),
        degenerate={kind: sum(flag == kind for _, flag in flags) for kind in kinds},
        figures=figures,
        values=_ranked(sound, rank, routes[-1]) if routes else {},
    )


def per_clip(lines: Iterable[Line], name: str, route: str, control: str = "") -> dict[str, float]:
    """Return a metric by sound, averaged over seeds; of a matched control if one is named.

    Degenerate masks and undefined values (nan) are left out.
    """
    values: dict[str, list[float]] = {}
    for line in lines:
        if line["route"] != route or "failed" in line or line["degenerate"]:
            continue
        figures = line["figures"] if not control else line.get("matched", {}).get(control, {})
        value = float(figures.get(name, math.nan))
        if not math.isnan(value):
            values.setdefault(line["clip"], []).append(value)
    return {clip: float(np.mean(some)) for clip, some in values.items()}


def _figure(lines: Sequence[Line], name: str, route: str, drawn: Drawn) -> Figure:
    ours = per_clip(lines, name, route)
    values = np.array(list(ours.values()))
    seeds = sorted({line["seed"] for line in lines})
    means = [
        list(per_clip([line for line in lines if line["seed"] == seed], name, route).values())
        for seed in seeds
    ]
    by_seed = [float(np.mean(some)) for some in means if some]
    spread = float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else math.nan
    mean = float(values.mean()) if len(values) else math.nan
    figure = Figure(mean, math.nan, math.nan, len(values), spread)
    drawn.append((figure, values))
    for control in MATCHED:
        theirs = per_clip(lines, name, route, control)
        if theirs:
            figure.against[control] = _against(ours, theirs, drawn)
    return figure


def _against(ours: Mapping[str, float], theirs: Mapping[str, float], drawn: Drawn) -> Against:
    both = [clip for clip in ours if clip in theirs]
    if not all(math.isfinite(ours[clip]) and math.isfinite(theirs[clip]) for clip in both):
        return Against(math.nan, math.nan, math.nan, math.nan)
    differences: Values = np.array([ours[clip] - theirs[clip] for clip in both])
    mean = float(differences.mean()) if len(differences) else math.nan
    against = Against(mean, math.nan, math.nan, math.nan)
    drawn.append((against, differences))
    return against


def _weigh(drawn: Drawn) -> None:
    """Fill in intervals, and p values of differences; together, which is much faster."""
    for (one, _), ends in zip(drawn, intervals([values for _, values in drawn]), strict=True):
        one.low, one.high = ends
    compared = [(one, values) for one, values in drawn if isinstance(one, Against)]
    chances = paired_tests([values for _, values in compared])
    for (against, _), chance in zip(compared, chances, strict=True):
        against.p = chance


def _against_maps(
    row: Row,
    cells: Mapping[tuple[str, str, str, str | None], Sequence[Line]],
    place: tuple[str, str],
    drawn: Drawn,
) -> None:
    """Compare metrics of a map with those of the control maps."""
    ours = cells[*place, row.method, None]
    for control in MATCHED:
        theirs = cells.get((*place, control, None))
        if theirs is None or row.control:
            continue
        for (name, route), figure in row.figures.items():
            figure.against[control] = _against(
                per_clip(ours, name, route), per_clip(theirs, name, route), drawn
            )


def _judge(rows: Sequence[Row]) -> None:
    """Correct p values over the methods of one table; mark what is ahead and what is best."""
    places = dict.fromkeys(place for row in rows for place in row.figures)
    for place in places:
        metric = METRICS.get(place[0])
        some = [row for row in rows if place in row.figures]
        for control in MATCHED:
            compared = [row.figures[place].against.get(control) for row in some]
            found = [one for one in compared if one is not None]
            for one, p in zip(found, holm([one.p for one in found]), strict=True):
                one.corrected = p
                one.ahead = p < ALPHA and metric.better(one.difference, 0.0)
        best: Figure | None = None
        for row in some:
            figure = row.figures[place]
            if row.may_be_best and (best is None or metric.better(figure.mean, best.mean)):
                best = figure
        if best is not None and metric.direction is not None:
            for row in some:  # of several alike, each is
                figure = row.figures[place]
                figure.best = row.may_be_best and figure.mean == best.mean


def _ranked(lines: Sequence[Line], rank: str, route: str) -> dict[str, float]:
    values = per_clip(lines, rank, route)
    sign = -1 if METRICS.get(rank).direction == "higher" else 1
    return dict(sorted(values.items(), key=lambda one: (sign * one[1], one[0])))


def column_order(place: tuple[str, str]) -> tuple[int, str]:
    """Return the sort key of a column (metric, route): by route, then by name."""
    return _ORDER.index(place[1]), place[0]


def finite(value: Any) -> Any:
    """Return a value in which numbers that are not finite are None."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
