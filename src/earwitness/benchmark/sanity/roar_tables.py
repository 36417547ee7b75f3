"""Tables of remove and retrain: accuracy against the share of cells that was replaced."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.benchmark.ledger import Line
from earwitness.benchmark.page import FIGURES, PAGE, TABLE, render
from earwitness.benchmark.sanity.roar import CONTROLS, NOTHING
from earwitness.files import write_text

TITLE = "Remove and retrain"
LEGEND = (
    "Accuracy of a classifier that was trained anew on sounds without the cells that a method "
    "ranks highest, of the same kind of test sounds: mean over seeds, with the least and the "
    "largest. The lower, the more of what tells the classes apart the method had found. `under "
    "both`: at every share the largest accuracy is below the least of both controls, random and "
    "energy; `under random`: below the least of random."
)


@dataclass(frozen=True)
class Row:
    """A method: accuracies by share, one for each seed."""

    method: str
    accuracies: dict[float, list[float]]

    def facts(self) -> dict[str, Any]:
        """Return the row as plain JSON values."""
        some = {f"{share:g}": values for share, values in self.accuracies.items()}
        return {"method": self.method, "accuracies": some}


def make_rows(lines: Sequence[Line]) -> list[Row]:
    """Return a row for each method, in the order of the lines."""
    found: dict[str, dict[float, list[float]]] = {}
    for line in lines:
        shares = found.setdefault(line["model"], {})
        shares.setdefault(line["share"], []).append(float(line["test"]["accuracy"]))
    return [Row(name, shares) for name, shares in found.items()]


def verdict(row: Row, rows: Sequence[Row]) -> str:
    """Return which controls a method is under, at every share and with every seed."""
    if row.method in (NOTHING, *CONTROLS):
        return ""
    beaten = [
        other.method
        for other in rows
        if other.method in CONTROLS
        and all(
            max(values) < min(other.accuracies.get(share, [0.0]))
            for share, values in row.accuracies.items()
        )
    ]
    return {0: "", 1: f"under {beaten[0]}" if beaten else "", 2: "under both"}[len(beaten)]


def cells_of(row: Row, shares: Sequence[float]) -> list[tuple[str, str]]:
    """Return the mean and the range of the accuracies for every share."""
    cells = []
    for share in shares:
        values = row.accuracies.get(share, [])
        ends = f"[{min(values):.2f}, {max(values):.2f}]" if len(values) > 1 else ""
        cells.append((f"{np.mean(values):.2f}", ends) if values else ("", ""))
    return cells


def write_results(folder: Path, lines: Sequence[Line], about: str) -> tuple[list[Row], list[Path]]:
    """Write the tables and the page of a run; return the rows and the files.

    Parameters
    ----------
    about : str
        How large the run is, in a sentence.
    """
    rows = make_rows(lines)
    write_text(folder / TABLE, f"# {TITLE}\n\n{LEGEND}\n\n{about}\n\n{markdown(rows)}")
    write_text(folder / FIGURES, csv_text(lines))
    heads, body = _body(rows)
    page = {
        "title": "Accuracy",
        "heads": heads,
        "rows": [
            {"method": name, "cells": [{"text": a, "more": b} for a, b in cells]}
            for name, cells in body
        ],
    }
    write_text(folder / PAGE, render(TITLE, f"{LEGEND} {about}", lines, [page]))
    return rows, [folder / name for name in (PAGE, TABLE, FIGURES)]


def markdown(rows: Sequence[Row]) -> str:
    """Return the table as Markdown."""
    heads, body = _body(rows)
    lines = [["method", *heads], ["---"] * (len(heads) + 1)]
    lines += [[name, *(f"{a} {b}".strip() for a, b in cells)] for name, cells in body]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def _body(rows: Sequence[Row]) -> tuple[list[str], list[tuple[str, list[tuple[str, str]]]]]:
    shares = sorted({share for row in rows for share in row.accuracies})
    heads = [*(f"{100 * share:g} % replaced" for share in shares), "against the controls"]
    return heads, [(row.method, [*cells_of(row, shares), (verdict(row, rows), "")]) for row in rows]


def csv_text(lines: Sequence[Line]) -> str:
    """Return a line for each training as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["method", "share", "seed", "sounds", "accuracy", "nll", "ece"])
    for line in lines:
        test = line["test"]
        numbers = [f"{test[name]:.6g}" for name in ("accuracy", "nll", "ece")]
        own = [line["model"], f"{line['share']:g}", line["seed"], test["sounds"]]
        writer.writerow([*own, *numbers])
    return stream.getvalue()
