"""The table of a run of L-MAC's grid: figures as published, and put right beside them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earwitness.benchmark.grids.lmac import CONTROLS, MATCHED
from earwitness.benchmark.grids.pak_tables import CELLS, TABLE, ranked, table_line, table_rule
from earwitness.benchmark.ledger import Line
from earwitness.benchmark.published.lmac import CAP, FIGURES
from earwitness.benchmark.statistics import Values, interval
from earwitness.benchmark.tables import interval_text
from earwitness.files import write_text

_HALVED = "in-domain"
_RIGHT = (("spectrogram", "FidIn"), ("spectrogram", "AD"), ("audio", "FidIn"), ("audio", "AD"))


@dataclass(frozen=True)
class Row:
    """One explanation over all sounds.

    Attributes
    ----------
    method : str
    sounds, failed : int
    figures : mapping of str to float
        Means as published; sounds without a figure are left out.
    single : float
        Average drop of the same masks under one softmax, in %.
    right : mapping of (route, metric) to ndarray
        By sound, of masks of one size.
    """

    method: str
    sounds: int
    failed: int
    figures: dict[str, float]
    single: float
    right: dict[tuple[str, str], Values]

    def mean(self, place: tuple[str, str]) -> float:
        """Return a mean of ``right``; nan without any sound."""
        values = self.right[place]
        return float(values.mean()) if len(values) else math.nan


def rows_of(lines: Sequence[Line]) -> list[Row]:
    """Return the rows of a run, in the order of its table."""
    by_method: dict[str, list[Line]] = {}
    for line in sorted(lines, key=lambda one: str(one["clip"])):
        if line["method"] is not None:
            by_method.setdefault(line["method"], []).append(line)
    return [_row(method, some) for method, some in by_method.items()]


def _row(method: str, lines: Sequence[Line]) -> Row:
    good = [line for line in lines if "failed" not in line]
    sized = [line for line in good if line["matched"]["degenerate"] is None]
    return Row(
        method,
        len(good),
        len(lines) - len(good),
        {name: _mean([float(line["figures"][name]) for line in good]) for name in FIGURES},
        _mean([float(line["AD1"]) for line in good]),
        {
            (route, name): np.array([float(line["matched"][route][name]) for line in sized])
            for route, name in _RIGHT
        },
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def write_tables(folder: Path, lines: Sequence[Line]) -> list[Path]:
    """Write ``table.md`` and ``table.csv`` to the folder of a run and return their paths."""
    rows = rows_of(lines)
    write_text(folder / TABLE, markdown(rows, lines))
    write_text(folder / CELLS, csv_text(rows))
    return [folder / TABLE, folder / CELLS]


def markdown(rows: Sequence[Row], lines: Sequence[Line]) -> str:
    """Return the table as Markdown."""
    clips = {line["clip"] for line in lines}
    commits = sorted({str(line.get("commit")) for line in lines})
    kind = lines[0]["group"]
    halved = kind == _HALVED
    names = (*FIGURES, *(("AD halved", "FidIn halved", "COMP halved") if halved else ()))
    head = ("method", *names, "AD, one softmax", *(f"{name}, {route}" for route, name in _RIGHT),
            "failed")  # fmt: skip
    found = [
        f"{len(clips)} sounds of model {lines[0]['model']}, contamination {kind}; commit "
        f"{', '.join(commits)}.",
        "",
        f"Left as published: soft masks on ln(1 + |X|), average drop under two softmaxes (at most "
        f"{CAP:.1f} %). Right: the strongest {MATCHED:.0%} of the cells for all alike, linear "
        "magnitudes, one softmax, with 95 % bootstrap intervals."
        + (" `halved`: as the published code divides in-domain sums." if halved else ""),
        "",
        table_line(head),
        table_rule(head),
    ]
    for row in rows:
        cells = [_text(row.figures[name]) for name in FIGURES]
        if halved:
            cells += [_text(row.figures[name] / 2) for name in ("AD", "FidIn", "COMP")]
        right = [interval_text(row.mean(one), *interval(row.right[one])) for one in _RIGHT]
        cells += [_text(row.single), *right, str(row.failed or "")]
        found.append(table_line((row.method, *cells)))
    own = [row for row in rows if row.method not in CONTROLS and row.sounds]
    orders = {
        "AD as published": {row.method: row.figures["AD"] for row in own},
        "AD under one softmax, the same masks": {row.method: row.single for row in own},
        "AD of masks of one size": {r.method: r.mean(("spectrogram", "AD")) for r in own},
        "AD of masks of one size, on the sound": {r.method: r.mean(("audio", "AD")) for r in own},
        "mean mask": {row.method: row.figures["MM"] for row in own},
    }
    found += ["", "Order of the methods, the lowest first:", ""]
    found += [f"- {title}: {ranked(scores, lower=True)}" for title, scores in orders.items()]
    return "\n".join(found) + "\n"


def _text(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}"


def csv_text(rows: Sequence[Row]) -> str:
    """Return all figures as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    right = [f"{route}_{name}" for route, name in _RIGHT]
    writer.writerow(["method", *FIGURES, "AD_one_softmax", *right, "sounds", "failed"])
    for row in rows:
        means = [*row.figures.values(), row.single, *(row.mean(place) for place in _RIGHT)]
        texts = ["" if math.isnan(one) else f"{one:.6g}" for one in means]
        writer.writerow([row.method, *texts, row.sounds, row.failed])
    return stream.getvalue()
