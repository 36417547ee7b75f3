"""Tables of the degradations: one for each model and output, a row for each kind and method.

A case whose degradation costs less than 0.1 of the score is counted and not explained. Shares are
means over the others with their 95 % bootstrap interval (BCa). What the remainder regains is the
ratio of two means over cases, ``mean(f(remainder) - f(degraded)) / mean(f(clean) - f(degraded))``,
because the cost of a single case may be small; its interval is that of the linearised ratio.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.benchmark.degradations.plan import (
    CEILINGS,
    CONTROLS,
    LEAST_COST,
    REPLACED,
)
from earwitness.benchmark.ledger import Line
from earwitness.benchmark.statistics import Values, holm, intervals, paired_tests
from earwitness.files import write_text
from earwitness.metrics.place import TOLERANCE

ALPHA = 0.05
SHARES = ("found", "in time", "right third", "pointing", "pointing, louder cells")
SIDES = ("own", "random", "energy")
LEGEND = (
    "cost: mean fall of the score. found: the strongest time of the map is at most 100 ms out "
    "of the degradation, and the strongest third of the mel scale is that of the degradation; in "
    "time, right third: the two by themselves. pointing: the strongest cell lies in the place "
    "(time and band), or in those of its cells where the degradation is louder than the speech. "
    "remainder: share of the cost that the remainder regains, as heard; random, energy: the same "
    "with the mask's own gains in another order. true place: the best of all places of the true "
    "one's length and width, as if these were known; raises: the true place replaced by "
    "the background raises the score; remainder: what it regains. ideal-ratio-mask: without "
    "what was added, cell by cell. Shares with 95 % bootstrap intervals over cases; `>e`: ahead of "
    "the energy control (maps), or of both orders (remainder), by a paired test, "
    "p < 0.05 after Holm's correction for the methods of the table."
)


@dataclass
class Share:
    """A share with its interval, and what it is ahead of.

    Attributes
    ----------
    value, low, high : float
    p : float
        Of the paired test against the energy control, corrected; nan without one.
    ahead : bool
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    ahead: bool = False


@dataclass
class Row:
    """A method on one kind of degradation, for one output of one model.

    Attributes
    ----------
    model, target, kind, method : str
    options : dict
    drawn, cases, failed : int
        Sounds, those whose degradation costs enough, and those of them that failed.
    cost : float
        Mean over cases.
    area, seconds : float
        Mean size of the mask and median time of an explanation.
    shares : dict of str to Share
    """

    model: str
    target: str
    kind: str
    method: str
    options: dict[str, Any]
    drawn: int
    cases: int
    failed: int
    cost: float
    area: float
    seconds: float
    shares: dict[str, Share] = field(default_factory=dict)


def write_summary(folder: Path, lines: Sequence[Line]) -> list[Path]:
    """Write ``table.md`` and ``figures.csv`` beside the lines of a run, and return their paths."""
    rows = make_rows(lines)
    texts = {"table.md": f"{LEGEND}\n\n{markdown(rows)}", "figures.csv": csv_text(rows)}
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def make_rows(lines: Sequence[Line]) -> list[Row]:
    """Return the rows of a run: by model, kind and output, in order of first occurrence."""
    groups: dict[tuple[str, str, str], dict[str, list[Line]]] = {}
    for line in lines:
        if line["method"] is not None:
            place = (line["model"], line["target"], line["kind"])
            groups.setdefault(place, {}).setdefault(line["method"], []).append(line)
    return [row for some in groups.values() for row in _rows(some)]


def _rows(methods: dict[str, list[Line]]) -> list[Row]:
    """Return the rows of one table: the methods on the same sounds."""
    energy = {line["clip"]: line for line in _cases(methods.get("energy", []))}
    rows, tests = [], []
    for lines in methods.values():
        cases = _cases(lines)
        whole = [line for line in cases if "failed" not in line]
        row = Row(
            model=lines[0]["model"],
            target=lines[0]["target"],
            kind=lines[0]["kind"],
            method=lines[0]["method"],
            options=lines[0]["options"],
            drawn=len(lines),
            cases=len(cases),
            failed=len(cases) - len(whole),
            cost=_mean(_cost(line) for line in cases),
            area=_mean(float(line["area"]) for line in whole if "area" in line),
            seconds=float(np.median([line["seconds"] for line in whole])) if whole else math.nan,
        )
        rows.append(row)
        if not whole:
            continue
        shown = ("in time",) if row.kind in REPLACED else SHARES
        for name, of in _OF.items():
            if name not in shown:
                continue
            values = np.array([of(line) for line in whole])
            row.shares[name] = Share(float(values.mean()))
            other = [energy.get(line["clip"]) for line in whole]
            theirs = [math.nan if one is None else of(one) for one in other]
            tests.append((row.shares[name], values, values - np.array(theirs), row.method))
        costs = np.array([_cost(line) for line in whole])
        if "raises" in whole[0]:
            raised = np.array([float(line["raises"]) for line in whole])
            row.shares["raises"] = Share(float(raised.mean()))
            tests.append((row.shares["raises"], raised, np.full(len(raised), math.nan), row.method))
        if "remainder_own" in whole[0]:
            sides = [side for side in SIDES if f"remainder_{side}" in whole[0]]
            gains = {side: np.array([_gain(line, side) for line in whole]) for side in sides}
            for side in sides:
                ratio = float(gains[side].mean() / costs.mean())
                linear = ratio + (gains[side] - ratio * costs) / costs.mean()
                share = row.shares[f"remainder {side}"] = Share(ratio)
                best = np.max([gains.get(one, math.nan * costs) for one in SIDES[1:]], axis=0)
                against = gains["own"] - best if side == "own" else np.full(len(costs), math.nan)
                tests.append((share, linear, against, row.method))
    _weigh(tests)
    return rows


def _weigh(tests: Sequence[tuple[Share, Values, Values, str]]) -> None:
    """Fill in intervals and p values; corrected over the methods, share by share."""
    ends = intervals([values for _, values, _, _ in tests])
    chances = paired_tests([against for _, _, against, _ in tests])
    for (share, _, _, _), (low, high) in zip(tests, ends, strict=True):
        share.low, share.high = low, high
    by_name: dict[int, list[int]] = {}
    count = 0
    seen: dict[str, int] = {}
    for k, (_, _, _, method) in enumerate(tests):
        count = seen.get(method, 0)
        seen[method] = count + 1
        if method not in (*CONTROLS, *CEILINGS):
            by_name.setdefault(count, []).append(k)
    for places in by_name.values():
        for k, chance in zip(places, holm([chances[k] for k in places]), strict=True):
            share, against = tests[k][0], tests[k][2]
            share.p = chance
            share.ahead = bool(chance < ALPHA and against.mean() > 0)


def _cases(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if _cost(line) >= LEAST_COST and not line.get("skipped")]


def _cost(line: Line) -> float:
    return float(line["clean"]) - float(line["degraded"])


def _gain(line: Line, side: str) -> float:
    return float(line[f"remainder_{side}"]) - float(line["degraded"])


def _mean(values: Any) -> float:
    some = list(values)
    return float(np.mean(some)) if some else math.nan


def _in_time(line: Line) -> float:
    return float(float(line["time_error"]) <= TOLERANCE)


_OF: dict[str, Callable[[Line], float]] = {
    "found": lambda line: _in_time(line) * line["right_third"],
    "in time": _in_time,
    "right third": lambda line: float(line["right_third"]),
    "pointing": lambda line: float(line["pointing"]),
    "pointing, louder cells": lambda line: float(line["pointing_louder"]),
}


def markdown(rows: Sequence[Row]) -> str:
    """Return one table for each model, output and kind."""
    parts: list[str] = []
    for place in dict.fromkeys((row.model, row.target, row.kind) for row in rows):
        some = [row for row in rows if (row.model, row.target, row.kind) == place]
        names = list(dict.fromkeys(name for row in some for name in row.shares))
        first = some[0]
        parts += [
            f"### {place[0]}: {place[1]}: {place[2]}",
            "",
            f"{first.cases} of {first.drawn} sounds cost at least {LEAST_COST} of the score; "
            f"{first.cost:.2f} in the mean.",
            "",
            _line(["method", *names, "area", "s", "failed"]),
            _line(["---"] * (len(names) + 4)),
        ]
        for row in some:
            cells = [row.method, *(share_text(row.shares.get(name)) for name in names)]
            cells += ["" if math.isnan(row.area) else f"{100 * row.area:.1f} %"]
            parts.append(_line([*cells, f"{row.seconds:.1f}", str(row.failed or "")]))
        parts.append("")
    return "\n".join(parts)


def share_text(share: Share | None) -> str:
    """Return a share with its interval, and `>e` if it is ahead."""
    if share is None or math.isnan(share.value):
        return ""
    known = f" [{share.low:.2f}, {share.high:.2f}]" if not math.isnan(share.low) else ""
    return f"{share.value:.2f}{known}{' >e' if share.ahead else ''}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def csv_text(rows: Sequence[Row]) -> str:
    """Return all shares of all rows as CSV, one per line."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["model", "target", "kind", "method", "drawn", "cases", "failed", "cost", "area", "seconds",
         "share", "value", "low", "high", "p", "ahead"]
    )  # fmt: skip
    for row in rows:
        own = [row.model, row.target, row.kind, row.method, row.drawn, row.cases, row.failed]
        for name, one in row.shares.items():
            numbers = (row.cost, row.area, row.seconds)
            cells = [*own, *map(_number, numbers), name]
            cells += [*map(_number, (one.value, one.low, one.high, one.p)), one.ahead]
            writer.writerow(cells)
    return stream.getvalue()


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
