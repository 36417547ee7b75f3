"""Rows as tables, in Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from earwitness.benchmark.cells import MATCHED
from earwitness.benchmark.rows import Figure, Row, column_order
from earwitness.benchmark.statistics import FEWEST
from earwitness.masks.keep import parse_keep
from earwitness.matching import AS_HEARD
from earwitness.metrics.registry import METRICS


def markdown(rows: Sequence[Row], columns: Sequence[str] = ()) -> str:
    """Return one table for each model, group and mask.

    Parameters
    ----------
    columns : sequence of str
        Metrics to show, in this order; all if empty.
    """
    parts = []
    for title, some in tables_of(rows):
        places = columns_of(some, columns)
        names = [heading(place, places) for place in places]
        sized = some[0].mask is not None
        head = ["method", *(["area"] if sized else []), *names, "degenerate", "failed"]
        parts += [f"### {title}", "", _line(head), _line(["---"] * len(head))]
        for row in some:
            cells = [row.method]
            cells += [f"{100 * row.area:.1f} %"] if sized else []
            cells += [cell_text(row.figures.get(place)) for place in places]
            flags = sum(row.degenerate.values())
            cells += [f"{flags} of {row.sounds}" if flags else "", str(row.failed or "")]
            parts.append(_line(cells))
        parts.append("")
    return "\n".join(parts)


def tables_of(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return the tables with their titles: rows of one model, group and mask."""
    tables: dict[str, list[Row]] = {}
    for row in rows:
        about = "maps"
        if row.mask is not None:
            soft = parse_keep(row.mask.removesuffix(AS_HEARD)).soft
            about = f"mask {row.mask} ({'soft' if soft else 'binary'})"
        tables.setdefault(f"{row.model}: {row.group}: {about}", []).append(row)
    return list(tables.items())


def columns_of(rows: Sequence[Row], wanted: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return the columns (metric, route) of some rows, in order."""
    places = list(dict.fromkeys(place for row in rows for place in row.figures))
    if not wanted:
        return sorted(places, key=column_order)
    order = {name: k for k, name in enumerate(wanted)}
    return sorted((p for p in places if p[0] in order), key=lambda p: (order[p[0]], p[1]))


def cell_text(figure: Figure | None) -> str:
    """Return a figure as text: mean, interval, and the controls that it is ahead of."""
    if figure is None or math.isnan(figure.mean):
        return ""
    text = interval_text(figure.mean, figure.low, figure.high)
    if figure.best:
        mean, rest = text.split(" ", 1)
        text = f"**{mean}** {rest}"
    ahead = [name[0] for name in MATCHED if name in figure.against and figure.against[name].ahead]
    return text + (f" >{''.join(ahead)}" if ahead else "")


def interval_text(mean: float, low: float, high: float) -> str:
    """Return a mean with its interval, ``[\u2013]`` if that is unknown; empty without a mean."""
    if math.isnan(mean):
        return ""
    return f"{mean:.3g} " + ("[\u2013]" if math.isnan(low) else f"[{low:.3g}, {high:.3g}]")


LEGEND = (
    "Mean over sounds with its 95 % bootstrap interval (BCa); "
    f"[\u2013]: fewer than {FEWEST} sounds, too few for an interval; bold: the best method of the "
    "table. "
    "`>r`: ahead of the random control, `>e`: of the energy control, `>re`: of both (for masks: "
    "permutations of their gains), by a paired test over sounds, p < 0.05 after Holm's correction. "
    "`degenerate`: masks that are empty, full or constant; they are left out of the means."
)


def heading(place: tuple[str, str], places: Sequence[tuple[str, str]]) -> str:
    """Return the heading of a column: name, route, unit and better direction."""
    metric = METRICS.get(place[0])
    several = sum(other[0] == place[0] for other in places) > 1
    arrow = {"higher": " ↑", "lower": " ↓", None: ""}[metric.direction]
    unit = f", {metric.unit}" if metric.unit in ("dB", "%", "nats") else ""
    return f"{place[0]}{f' {place[1]}' if several else ''}{unit}{arrow}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def csv_text(rows: Sequence[Row]) -> str:
    """Return all figures of all rows as CSV, one per line."""
    stream = io.StringIO()
    head = [
        *("model", "group", "method", "mask", "soft", "area", "route", "metric", "mean", "low"),
        *("high", "sounds", "failed", "empty", "full", "constant", "seed_spread", "best"),
    ]
    for control in MATCHED:
        some = ("difference", "low", "high", "p", "corrected", "ahead")
        head += [f"{control}_{one}" for one in some]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        for (name, route), figure in row.figures.items():
            cells: list[object] = [row.model, row.group, row.method, row.mask or "", row.soft]
            cells += [_number(row.area), route, name, _number(figure.mean), _number(figure.low)]
            cells += [_number(figure.high), figure.sounds, row.failed, *row.degenerate.values()]
            cells += [_number(figure.spread), figure.best]
            for control in MATCHED:
                one = figure.against.get(control)
                if one is None:
                    cells += [""] * 6
                    continue
                cells += map(_number, (one.difference, one.low, one.high, one.p, one.corrected))
                cells.append(one.ahead)
            writer.writerow(cells)
    return stream.getvalue()


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
