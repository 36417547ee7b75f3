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
from earwitness.render.policy import content_policy

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
        pages = [_table(title, some, grid, examples) for title, some in tables_of(rows)]
        rank = grid.rank if examples else ""
        write_text(folder / PAGE, render(grid.name, LEGEND, lines, pages, rank=rank, players=True))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    return rows


def render(
    name: str, legend: str, lines: Sequence[Line], tables: Sequence[dict[str, Any]], *,
    rank: str = "", players: bool = False,
) -> str:  # fmt: skip
    """Return the page of a benchmark.

    Parameters
    ----------
    lines : sequence of dict
        Of the run; they name the commits.
    tables : sequence of dict
        Each with a title, ``heads`` and ``rows``; a row is a method with ``cells`` of text, or of a
        WebP ``picture`` in base 64.
    rank : str
        Metric that selected the examples.
    players : bool
        Whether there are any.
    """
    environment = Environment(
        loader=PackageLoader("earwitness", "benchmark"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    commits = sorted({str(line["commit"]) for line in lines if line["commit"]})
    return environment.get_template("page.html").render(
        name=name,
        legend=legend.replace("`", ""),
        version=__version__,
        policy=content_policy(),
        commit=", ".join(commits),
        rank=rank,
        players=players,
        tables=tables,
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
