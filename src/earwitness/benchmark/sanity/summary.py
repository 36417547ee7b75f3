"""Tables of the model randomisation test: methods against scrambled blocks.

Values are means over sounds of the mean over seeds, with the 95 % bootstrap interval over sounds
(BCa). At the logits, where one layer is scrambled and the maps of a method that explains the
decision should change most, each method is compared with Grad-CAM by a paired test.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from earwitness.benchmark.ledger import Line
from earwitness.benchmark.sanity.measure import MEASURES
from earwitness.benchmark.sanity.plan import BESIDE
from earwitness.benchmark.statistics import Values, holm, intervals, paired_tests

ALPHA = 0.05
TITLES = {
    "ssim": "SSIM of absolute values",
    "ssim-signed": "SSIM with the sign",
    "spearman": "Spearman of absolute values",
    "spearman-signed": "Spearman with the sign",
    "ssim-whole": "SSIM of absolute values, digital silence included",
}
LEGEND = (
    "Similarity of the map to that of the same network with scrambled weights: 1 if it does not "
    "change; Spearman is about 0 if nothing is left of it, SSIM is higher where both maps have few "
    "large cells. Blocks are scrambled from the logits to the input, each with those before it "
    "(cascading) or alone (independent). Frames in which the sound is digital silence are left "
    "out, except where the table says otherwise. Means over sounds of the mean over seeds, with "
    "95 % bootstrap intervals over sounds. A method that never looks at the model has 1 "
    "everywhere. `above gradcam's`: at the logits, by a paired test over sounds, p < 0.05 after "
    "Holm's correction. `constant`: maps of the scrambled network that are the same everywhere, "
    "mostly zero; their correlation counts as 0."
)


@dataclass(frozen=True)
class Figure:
    """A mean over sounds with its interval (nan without one)."""

    mean: float
    low: float
    high: float


@dataclass
class Row:
    """A method in one order of scrambling.

    Attributes
    ----------
    model, order, method : str
    options : dict
    blocks : list of str
        From the logits to the input.
    sounds, failed : int
    unchanged : bool
        Whether every map of every sound is equal to that of the trained network.
    constant : list of float
        Share of maps that are constant, one for each block.
    figures : dict of str to list of Figure
        By measure, one for each block.
    difference : Figure
        At the logits, SSIM minus that of Grad-CAM.
    p : float
        Of the paired test, corrected for the methods; nan without one.
    """

    model: str
    order: str
    method: str
    options: dict[str, Any]
    blocks: list[str]
    sounds: int
    failed: int
    unchanged: bool = False
    constant: list[float] = field(default_factory=list)
    figures: dict[str, list[Figure]] = field(default_factory=dict)
    difference: Figure = field(default_factory=lambda: Figure(math.nan, math.nan, math.nan))
    p: float = math.nan

    @property
    def verdict(self) -> str:
        """What the row says about the method, with the size of the effect."""
        if not self.figures:
            return "failed"
        if self.unchanged:
            return "never looks at the model"
        if self.method == BESIDE or math.isnan(self.p):
            return ""
        far = f"{self.difference.mean:+.2f}"
        if self.p < ALPHA:
            return f"SSIM {'above' if self.difference.mean > 0 else 'below'} gradcam's ({far})"
        few = ", too few sounds" if math.isnan(self.difference.low) else ""
        return f"SSIM not told apart from gradcam's ({far}{few})"

    def facts(self) -> dict[str, Any]:
        """Return the row as plain JSON values; nan is None."""
        figures = {
            name: [[_known(one.mean), _known(one.low), _known(one.high)] for one in some]
            for name, some in self.figures.items()
        }
        far = self.difference
        return {
            "model": self.model, "order": self.order, "method": self.method,
            "options": self.options, "sounds": self.sounds, "failed": self.failed,
            "unchanged": self.unchanged, "constant": self.constant,
            "verdict": self.verdict, "blocks": self.blocks, **figures,
            "difference": [_known(far.mean), _known(far.low), _known(far.high)],
            "p": _known(self.p),
        }  # fmt: skip


def make_rows(lines: Sequence[Line]) -> list[Row]:
    """Return a row for each model, order and method, in the order of the lines."""
    groups: dict[tuple[str, str], dict[str, list[Line]]] = {}
    for line in lines:
        if line["method"] is not None:
            place = line["model"], line["order"]
            groups.setdefault(place, {}).setdefault(line["method"], []).append(line)
    return [row for methods in groups.values() for row in _rows(methods)]


def _rows(methods: dict[str, list[Line]]) -> list[Row]:
    rows = [_row(lines) for lines in methods.values()]
    beside = _by_sound(methods.get(BESIDE, []), "ssim")
    tested, samples = [], []
    for row in rows:
        own = _by_sound(methods[row.method], "ssim")
        both = [clip for clip in own if clip in beside]
        if row.method != BESIDE and both:
            tested.append(row)
            samples.append(np.array([own[clip][0] - beside[clip][0] for clip in both]))
    chances = holm(paired_tests(samples))
    for row, sample, ends, chance in zip(tested, samples, intervals(samples), chances, strict=True):
        row.difference, row.p = Figure(float(sample.mean()), *ends), chance
    return rows


def _row(lines: Sequence[Line]) -> Row:
    whole = [line for line in lines if "failed" not in line]
    first = lines[0]
    clips = {line["clip"] for line in whole}
    row = Row(
        first["model"], first["order"], first["method"], first["options"], first["blocks"],
        sounds=len(clips), failed=len({line["clip"] for line in lines}) - len(clips),
    )  # fmt: skip
    if whole:
        row.unchanged = all(line["unchanged"] for line in whole)
        row.constant = np.mean([line["constant"] for line in whole], axis=0).round(6).tolist()
        for name in MEASURES:
            table = np.stack(list(_by_sound(whole, name).values()))
            ends = intervals(list(table.T))
            means = np.nanmean(table, axis=0).tolist()
            row.figures[name] = [Figure(m, *e) for m, e in zip(means, ends, strict=True)]
    return row


def _by_sound(lines: Sequence[Line], name: str) -> dict[str, Values]:
    """Return the mean over seeds for every sound, each an array over blocks."""
    found: dict[str, list[list[float]]] = {}
    for line in lines:
        if "failed" not in line:
            found.setdefault(line["clip"], []).append([float(one) for one in line[name]])
    return {clip: np.mean(some, axis=0) for clip, some in found.items()}


def heads_of(rows: Sequence[Row]) -> list[str]:
    """Return the headings of the blocks: a number from the logits on, and the layer's name."""
    return [f"{k} {name}" for k, name in enumerate(rows[0].blocks, start=1)]


def tables(rows: Sequence[Row]) -> list[tuple[str, list[str], list[list[tuple[str, str]]]]]:
    """Return title, headings and rows of every table; a cell is a value and its interval.

    For every model and order: what is found at the logits, then every measure against the blocks.
    """
    found = []
    for place in dict.fromkeys((row.model, row.order) for row in rows):
        some = [row for row in rows if (row.model, row.order) == place]
        title = f"{place[0]}: {place[1]}"
        heads = [*(TITLES[name] for name in MEASURES), "constant", "sounds", "failed", "verdict"]
        body = []
        for row in some:
            cells = [_text(row.figures[name][0]) if row.figures else ("", "") for name in MEASURES]
            flat = f"{100 * row.constant[0]:.0f} %" if row.figures and row.constant[0] else ""
            counts = [(one, "") for one in (flat, str(row.sounds), str(row.failed or ""))]
            counts.append((row.verdict, ""))
            body.append([(row.method, ""), *cells, *counts])
        found.append((f"{title}: at the logits ({some[0].blocks[0]})", heads, body))
        for name in MEASURES:
            whole = [row for row in some if row.figures]
            if whole:
                cells_of = [[_text(one) for one in row.figures[name]] for row in whole]
                body = [
                    [(row.method, ""), *cells] for row, cells in zip(whole, cells_of, strict=True)
                ]
                found.append((f"{title}: {TITLES[name]}", heads_of(whole), body))
    return found


def markdown(rows: Sequence[Row]) -> str:
    """Return all tables as Markdown; intervals only at the logits."""
    parts: list[str] = []
    for title, heads, body in tables(rows):
        full = heads[-1] == "verdict"
        parts += [f"### {title}", "", _line(["method", *heads]), _line(["---"] * (len(heads) + 1))]
        for cells in body:
            parts.append(_line([f"{a} {b}".strip() if full else a for a, b in cells]))
        parts.append("")
    return "\n".join(parts)


def csv_text(rows: Sequence[Row]) -> str:
    """Return all figures of all rows as CSV, one per line."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["model", "order", "method", "sounds", "failed", "unchanged", "constant", "block", "layers",
         "measure", "mean", "low", "high"]
    )  # fmt: skip
    for row in rows:
        own = [row.model, row.order, row.method, row.sounds, row.failed, row.unchanged]
        for name, figures in row.figures.items():
            for k, (block, one) in enumerate(zip(row.blocks, figures, strict=True), start=1):
                values = map(_number, (one.mean, one.low, one.high))
                writer.writerow([*own, _number(row.constant[k - 1]), k, block, name, *values])
    return stream.getvalue()


def _text(one: Figure) -> tuple[str, str]:
    known = not math.isnan(one.low)
    return f"{one.mean:.2f}", f"[{one.low:.2f}, {one.high:.2f}]" if known else ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
