"""Write the tables of a run: ``python benchmarks/localisation.py RUN``.

RUN is the folder that ``earwitness bench localisation`` wrote.

Models whose sounds are not all done are left out, and the page says how many sounds it is about.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from earwitness.benchmark.engine import LINES
from earwitness.benchmark.ledger import read_lines
from earwitness.benchmark.localisation.grid import METRICS, RANK
from earwitness.benchmark.rows import Row, make_rows
from earwitness.benchmark.tables import LEGEND, csv_text, markdown

HERE = Path(__file__).parent
SHOWN = (("relevance-mass", "map", None), ("roc-auc", "map", None), ("pointing-game", "map", None))
SHOWN += (("faithfulness", "audio", "area:10%"), ("si-sdr-source", "mask", "minmax+"))


def overview(rows: list[Row], metric: str, route: str, mask: str | None) -> str:
    """Return one metric of all methods on all groups of sounds."""
    some = [row for row in rows if row.mask == mask and (metric, route) in row.figures]
    groups = list(dict.fromkeys(row.group for row in some))
    found = {(row.method, row.group): row.figures[metric, route] for row in some}
    about = "of the maps" if mask is None else f"of masks {mask}"
    lines = [f"### {metric} {about}", ""]
    lines += [f"| method | {' | '.join(groups)} |", f"|---|{'---|' * len(groups)}"]
    for method in dict.fromkeys(row.method for row in some):
        cells = []
        for group in groups:
            figure = found.get((method, group))
            text = "" if figure is None or figure.mean != figure.mean else f"{figure.mean:.3g}"
            cells.append(f"**{text}**" if figure is not None and figure.best else text)
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    run = Path(sys.argv[1])
    lines = read_lines(run / LINES)
    planned = json.loads((run / "run.json").read_text(encoding="utf-8"))
    done = {(line["model"], line["clip"]) for line in lines}
    whole = {
        model for model, clips in planned["parts"] if all((model, clip) in done for clip in clips)
    }
    lines = [line for line in lines if line["model"] in whole]
    rows = make_rows(lines, RANK)
    sounds = len({(line["model"], line["clip"]) for line in lines})
    wanted = sum(len(clips) for _, clips in planned["parts"])
    first = lines[0]
    versions = ", ".join(f"{name} {text}" for name, text in first["versions"].items())
    options = {row.method: row.options for row in rows if row.options}
    said = [
        f"`{name}` with {', '.join(f'{one} {value}' for one, value in some.items() if value != '')}"
        for name, some in options.items()
        if any(value != "" for value in some.values())
    ]
    commits = ", ".join(sorted({str(line["commit"]) for line in lines}))
    parts = [
        "# Localisation, measured",
        "",
        "Made by `earwitness bench localisation --data DIR -o RUN` and "
        "`python benchmarks/localisation.py RUN`;",
        "what it means is in [docs/localisation.md](../docs/localisation.md).",
        f"{sounds} of {wanted} sounds; commit {commits}; {versions}; seed {planned['seeds'][0]}.",
        "",
        f"Options: {'; '.join(said)}. {LEGEND}",
        "",
        "## Overview",
        "",
        *(overview(rows, *one) for one in SHOWN),
        "## What the taught classifiers rely on",
        "",
        (run / "shortcuts.md").read_text(encoding="utf-8")
        if (run / "shortcuts.md").exists()
        else "Not measured yet.\n",
        "## Every table",
        "",
        markdown(rows, METRICS),
    ]
    text = "\n".join(parts).rstrip("\n") + "\n"
    (HERE / "localisation.md").write_text(text, encoding="utf-8")
    (HERE / "localisation.csv").write_text(csv_text(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
