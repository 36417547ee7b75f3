"""The results of a grid as files: Markdown, CSV, and a page with players."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from earwitness import __version__
from earwitness.benchmark.examples import Example, make_examples
from earwitness.benchmark.grid import Grid
from earwitness.benchmark.ledger import Line
from earwitness.benchmark.rows import Row, make_rows
from earwitness.benchmark.tables import (
    LEGEND,
    cell_text,
    columns_of,
    csv_text,
    heading,
    markdown,
    tables_of,
)
from earwitness.errors import OutputError
from earwitness.files import write_text

TABLE, FIGURES, PAGE = "table.md", "figures.csv", "index.html"


def write_results(
    grid: Grid,
    folder: Path,
    lines: Sequence[Line],
    *,
    listen: bool = True,
    on_clip: Callable[[str], None] | None = None,
) -> list[Row]:
    """Write ``table.md``, ``figures.csv`` and ``index.html`` beside the lines of a run.

    Parameters
    ----------
    listen : bool
        Whether to make players of the best, the median and the worst sound of every row.
    on_clip : callable, optional
        Called with the name of each sound for which players are made.
    """
    rows = make_rows(lines, grid.rank)
    try:
        examples = make_examples(grid, folder, rows, on_clip=on_clip) if listen else {}
        head = f"# {grid.name}\n\n{LEGEND}\n\n"
        text = head + markdown(rows, grid.metrics)
        write_text(folder / TABLE, text.rstrip("\n") + "\n")
        write_text(folder / FIGURES, csv_text(rows))
        write_text(folder / PAGE, _page(grid, lines, rows, examples))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    return rows


def _page(
    grid: Grid,
    lines: Sequence[Line],
    rows: Sequence[Row],
    examples: dict[tuple[str, str, str, str | None], list[Example]],
) -> str:
    environment = Environment(
        loader=PackageLoader("earwitness", "benchmark"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    commits = sorted({str(line["commit"]) for line in lines if line["commit"]})
    return environment.get_template("page.html").render(
        name=grid.name,
        legend=LEGEND.replace("`", ""),
        version=__version__,
        commit=", ".join(commits),
        rank=grid.rank if examples else "",
        tables=[_table(title, some, grid, examples) for title, some in tables_of(rows)],
    )


def _table(
    title: str,
    rows: Sequence[Row],
    grid: Grid,
    examples: dict[tuple[str, str, str, str | None], list[Example]],
) -> dict[str, Any]:
    places = columns_of(rows, grid.metrics)
    sized = rows[0].mask is not None
    heads = [*(["area"] if sized else []), *(heading(place, places) for place in places)]
    made = []
    for row in rows:
        cells: list[dict[str, Any]] = [{"text": f"{100 * row.area:.1f} %"}] if sized else []
        for place in places:
            figure = row.figures.get(place)
            text, _, more = cell_text(figure).replace("*", "").partition(" ")
            cells.append({"text": text, "more": more, "best": bool(figure and figure.best)})
        flags = sum(row.degenerate.values())
        cells.append({"text": f"{flags} of {row.sounds}" if flags else ""})
        cells.append({"text": str(row.failed or "")})
        played = examples.get((row.model, row.group, row.method, row.mask), [])
        made.append(
            {"method": row.method, "cells": cells, "examples": [_players(e) for e in played]}
        )
    return {"title": title, "heads": [*heads, "degenerate", "failed"], "rows": made}


def _players(one: Example) -> dict[str, Any]:
    return {
        "rank": one.rank,
        "clip": one.clip,
        "value": f"{one.value:.3g}",
        "players": [{"name": name, "file": file} for name, file in one.files.items()],
    }
