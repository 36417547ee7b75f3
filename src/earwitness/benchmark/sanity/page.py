"""The results of the model randomisation test as files: tables, and a page with maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from earwitness.benchmark.ledger import Line
from earwitness.benchmark.page import FIGURES, PAGE, TABLE, render
from earwitness.benchmark.sanity.summary import LEGEND, Row, csv_text, make_rows, markdown, tables
from earwitness.files import write_json, write_text

NAME = "Model randomisation"
ROWS = "rows.json"


def write_results(folder: Path, lines: Sequence[Line]) -> tuple[list[Row], list[Path]]:
    """Write the tables and the page beside the lines of a run; return the rows and the files."""
    rows = make_rows(lines)
    text = f"# {NAME}\n\n{LEGEND}\n\n{markdown(rows)}"
    write_text(folder / TABLE, text.rstrip("\n") + "\n")
    write_text(folder / FIGURES, csv_text(rows))
    write_json(folder / ROWS, [row.facts() for row in rows])
    pages = [_table(title, heads, body) for title, heads, body in tables(rows)]
    pages += [_maps(clip, lines) for clip in _drawn(lines)]
    write_text(folder / PAGE, render(NAME, LEGEND, lines, pages))
    return rows, [folder / name for name in (PAGE, TABLE, FIGURES, ROWS)]


def _table(title: str, heads: list[str], body: list[list[tuple[str, str]]]) -> dict[str, Any]:
    rows = [
        {"method": cells[0][0], "cells": [{"text": a, "more": b} for a, b in cells[1:]]}
        for cells in body
    ]
    return {"title": title, "heads": heads, "rows": rows}


def _drawn(lines: Sequence[Line]) -> list[str]:
    return list(dict.fromkeys(line["clip"] for line in lines if "pictures" in line))


def _maps(clip: str, lines: Sequence[Line]) -> dict[str, Any]:
    """Return a table of pictures: the map of the trained network, and after each block."""
    some = [line for line in lines if line["clip"] == clip and "pictures" in line]
    first = some[0]
    rows = [
        {"method": line["method"], "cells": [{"picture": one} for one in line["pictures"]]}
        for line in some
    ]
    title = f"Maps of {Path(clip).name}, {first['target']}: {first['order']}, seed {first['seed']}"
    return {"title": title, "heads": ["trained", *first["blocks"]], "rows": rows}
