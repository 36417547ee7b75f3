"""Tables of a run of Pak and Teryokhina's grid: figures, choices of masks, and rankings."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earwitness.benchmark.grids.pak import CONTROLS, METHODS, RULES
from earwitness.benchmark.ledger import Line
from earwitness.benchmark.published.pak import FIGURES, LOWER
from earwitness.benchmark.rows import MOST_DEGENERATE
from earwitness.benchmark.statistics import FEWEST, Values, intervals
from earwitness.benchmark.tables import interval_text
from earwitness.files import write_text
from earwitness.metrics.ranking import published_score

TABLE, CELLS = "table.md", "table.csv"
MATCHED = "topK_30"  # keeps the same share of cells of every map
_TOLERANCE = 1e-6  # of probability; smaller rises are rounding
_AUDIO = ("AI", "AD", "AG", "FidIn")
Place = tuple[str, str, str]  # method, version, mask


@dataclass(frozen=True)
class Row:
    """A map and a mask over all sounds.

    Attributes
    ----------
    method, version, mask : str
    sounds : int
    degenerate : int
        Sounds whose mask is empty, full or constant.
    area : float
    published : mapping of str to float
        Means of the seven metrics over all sounds, as published, and ``AD2``.
    right : mapping of str to ndarray
        By sound, without degenerate masks: the five metrics of outputs, with a tolerance for rises,
        and ``audio`` ones.
    """

    method: str
    version: str
    mask: str
    sounds: int
    degenerate: int
    area: float
    published: Mapping[str, float]
    right: Mapping[str, Values]

    def mean(self, name: str) -> float:
        """Return a mean of ``right``; nan without any sound."""
        values = self.right[name]
        return float(values.mean()) if len(values) else math.nan

    @property
    def sound(self) -> bool:
        """Whether few of its masks are degenerate."""
        return self.degenerate <= MOST_DEGENERATE * self.sounds


def rows_of(lines: Sequence[Line]) -> list[Row]:
    """Return the rows of a run, in the order of its first sound; failed sounds are left out."""
    cells: dict[Place, list[Line]] = {}
    for line in sorted(lines, key=lambda one: str(one["clip"])):  # whatever was done first
        if "failed" not in line:
            place = (line["method"], line["version"], line["mask"])
            cells.setdefault(place, []).append(line)
    return [_row(place, some) for place, some in cells.items()]


def _row(place: Place, lines: Sequence[Line]) -> Row:
    kept = [line for line in lines if line["degenerate"] is None]
    published = {name: _mean([line["figures"][name] for line in lines]) for name in FIGURES}
    published["AD2"] = _mean([line["AD2"] for line in lines])
    right: dict[str, Values] = {
        name: np.array([float(line["figures"][name]) for line in kept])
        for name in ("FF", "AI", "AD", "AG", "FidIn", "SPS")
    }
    rises = [float(line["p_in"]) - float(line["p"]) for line in kept]
    right["AI"] = np.array([100.0 * (rise > _TOLERANCE) for rise in rises])
    right |= {
        f"audio {name}": np.array([float(line["audio"][name]) for line in kept]) for name in _AUDIO
    }
    return Row(
        *place, sounds=len(lines), degenerate=len(lines) - len(kept),
        area=_mean([line["area"] for line in lines]), published=published, right=right,
    )  # fmt: skip


def _mean(values: Sequence[float | str]) -> float:
    return float(np.mean([float(one) for one in values]))


def choice(rows: Sequence[Row], own: Sequence[Row]) -> tuple[Row, float]:
    """Return the row that the publication's rule chooses among ``own``, and its score.

    Metrics are scaled over ``rows``: all of a version for the rule of the code, ``own`` for that of
    the text.
    """
    tables = [
        {name: np.array([row.published[name] for row in some]) for name in FIGURES}
        for some in (own, rows)
    ]
    scores = published_score(tables[0], tables[1], LOWER)
    best = int(scores.argmax())
    return own[best], float(scores[best])


def ranked(scores: Mapping[str, float], *, lower: bool = False) -> str:
    """Return names from the best to the worst, with their scores; last, those without one: -."""
    order = sorted(
        scores,
        key=lambda one: (math.isnan(scores[one]), scores[one] if lower else -scores[one]),
    )
    texts = {one: "-" if math.isnan(score) else f"{score:.3g}" for one, score in scores.items()}
    return ", ".join(f"{one} {texts[one]}" for one in order)


def write_tables(folder: Path, lines: Sequence[Line]) -> list[Path]:
    """Write ``table.md`` and ``table.csv`` to the folder of a run and return their paths."""
    rows = rows_of(lines)
    write_text(folder / TABLE, markdown(rows, lines))
    write_text(folder / CELLS, csv_text(rows))
    return [folder / TABLE, folder / CELLS]


def markdown(rows: Sequence[Row], lines: Sequence[Line]) -> str:
    """Return the tables as Markdown."""
    first = lines[0]
    failed = len({line["clip"] for line in lines if "failed" in line})
    commits = sorted({str(line.get("commit")) for line in lines})
    parts = [
        f"{len({line['clip'] for line in lines}) - failed} sounds ({failed} failed), front end "
        f"{first['model']}, {first['group']}; commit {', '.join(commits)}.",
        "",
        *_choices(rows),
        *_rankings(rows),
        *_all(rows),
    ]
    return "\n".join(parts) + "\n"


def _choices(rows: Sequence[Row]) -> list[str]:
    head = ("version", "method", "mask by the code", "score", "by the text",
            "degenerate masks of the choice", "without degenerate rows")  # fmt: skip
    found = ["## Masks that the publication's rule chooses", "", table_line(head), table_rule(head)]
    for version, some in _versions(rows).items():
        for method in dict.fromkeys(row.method for row in some):
            own = [row for row in some if row.method == method]
            by_code, score = choice(some, own)
            by_text, _ = choice(own, own)
            good = [row for row in own if row.sound]
            fair = choice(some, good)[0].mask if good else "none"
            flat = f"{by_code.degenerate} of {by_code.sounds}"
            found.append(table_line((version, method, by_code.mask, f"{score:.3f}",
                                by_text.mask, flat, fair)))  # fmt: skip
    return [*found, ""]


def _rankings(rows: Sequence[Row]) -> list[str]:
    """Return the orders of the methods under different ways to compare them."""
    head = ("compared by", "published", "repaired")
    ways: list[tuple[str, Callable[[Sequence[Row]], str]]] = [
        ("score of the chosen mask, by the code's rule", _by_score),
        (f"Fid-In at the same size ({MATCHED})", lambda some: _matched(some, "FidIn")),
        (f"AD at the same size ({MATCHED}), %", lambda some: _matched(some, "AD")),
        (f"AD at the same size, on the sound ({MATCHED}), %",
         lambda some: _matched(some, "audio AD")),
        ("AD of bin, whatever its size, %", lambda some: _matched(some, "AD", "bin")),
        (f"FF at the same size ({MATCHED})", lambda some: _matched(some, "FF")),
    ]  # fmt: skip
    versions = _versions(rows)
    controls = [row for row in rows if row.method in CONTROLS]
    found = ["## Order of the methods", "", table_line(head), table_rule(head)]
    for title, way in ways:
        cells = [way([*versions.get(one, []), *controls]) for one in head[1:]]
        found.append(table_line((title, *cells)))
    return [*found, ""]


def _by_score(some: Sequence[Row]) -> str:
    own = [row for row in some if row.method not in CONTROLS]
    methods = dict.fromkeys(row.method for row in own)
    return ranked({m: choice(own, [r for r in own if r.method == m])[1] for m in methods})


def _matched(some: Sequence[Row], name: str, mask: str = MATCHED) -> str:
    scores = {row.method: row.mean(name) for row in some if row.mask == mask}
    return ranked(scores, lower="AD" in name)


def _all(rows: Sequence[Row]) -> list[str]:
    """Return every row: the seven metrics as published, and figures put right beside them."""
    names = (*FIGURES, "AD2")
    fair = ("FidIn", "AD", "audio AD")
    found = [
        "## All cells",
        "",
        "Means over all sounds as published; `AD2`: average drop under two softmaxes. Right of "
        "that, without degenerate masks: fidelity, average drop, and average drop on the "
        "resynthesised sound, with 95 % bootstrap intervals "
        f"([\u2013]: fewer than {FEWEST} sounds).",
        "",
    ]
    head = ("mask", "area, %", *names, "degenerate", *(f"{one}, right" for one in fair))
    for (method, version), some in _groups(rows).items():
        found += [f"### {method}, {version}", "", table_line(head), table_rule(head)]
        ends = iter(intervals([row.right[name] for row in some for name in fair]))
        for row in some:
            right = [interval_text(row.mean(name), *next(ends)) for name in fair]
            flat = str(row.degenerate or "")
            cells = [f"{row.published[name]:.4g}" for name in names]
            found.append(table_line((row.mask, f"{100 * row.area:.1f}", *cells, flat, *right)))
        found.append("")
    return found


def csv_text(rows: Sequence[Row]) -> str:
    """Return all cells as CSV; the first eleven columns are those of the published tables."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    right = tuple(rows[0].right)
    writer.writerow(
        ["version", "method", "mask", *FIGURES, "AD2", "area", "sounds", "degenerate",
         *(f"right_{name.replace(' ', '_')}" for name in right)]
    )  # fmt: skip
    for row in rows:
        figures = [f"{row.published[name]:.8g}" for name in (*FIGURES, "AD2")]
        means = [row.mean(name) for name in right]
        writer.writerow(
            [row.version, row.method, row.mask, *figures, f"{row.area:.6g}", row.sounds,
             row.degenerate, *("" if math.isnan(one) else f"{one:.6g}" for one in means)]
        )  # fmt: skip
    return stream.getvalue()


def _versions(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.method in METHODS:
            found.setdefault(row.version, []).append(row)
    return found


def _groups(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.method, row.version), []).append(row)
    for some in found.values():
        some.sort(key=lambda row: list(RULES).index(row.mask))
    return found


def table_line(cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


def table_rule(cells: Sequence[str]) -> str:
    """Return the line between the headings of a table and its rows."""
    return f"|{' --- |' * len(cells)}"
