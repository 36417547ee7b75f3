"""Write the tables of runs: ``python benchmarks/speech_degradations.py [--commit HASH] RUN...``.

Each RUN is a folder that ``earwitness bench speech-degradations`` wrote; ``RUN=WORDS`` adds words
to the names of its models, where sounds differ. ``--commit`` is the commit of runs made with
a copy of the source, and do not know their own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from earwitness.benchmark.degradations.plan import CONTROLS, KEEP
from earwitness.benchmark.degradations.summary import (
    LEGEND,
    Row,
    csv_text,
    make_rows,
    markdown,
    share_text,
)
from earwitness.benchmark.engine import LINES
from earwitness.benchmark.ledger import Line, read_lines

HERE = Path(__file__).parent
SHOWN = ("found", "in time", "pointing", "remainder own", "remainder random")


def lines_of(run: Path, words: str) -> list[Line]:
    """Return the lines of a run, with models by the names of their files and some words."""
    lines = read_lines(run / LINES)
    added = f", {words}" if words else ""
    return [{**one, "model": "/".join(Path(one["model"]).parts[-2:]) + added} for one in lines]


def overview(rows: list[Row]) -> str:
    """Return one table of all kinds, without the controls."""
    lines = [f"| model | output | kind | cases | method | {' | '.join(SHOWN)} |"]
    lines.append("|---|---|---|---|---|" + "---|" * len(SHOWN))
    for row in rows:
        if row.method not in CONTROLS:
            own = [row.model, row.target, row.kind, f"{row.cases} of {row.drawn}", row.method]
            own += [share_text(row.shares.get(name)) for name in SHOWN]
            lines.append(f"| {' | '.join(own)} |")
    return "\n".join(lines)


def about(run: Path, lines: list[Line], commit: str) -> str:
    """Return what a run was, in a line."""
    key = json.loads((run / "run.json").read_text(encoding="utf-8"))
    sounds = {line["clip"] for line in lines}
    commits = ", ".join(sorted({str(line["commit"] or commit) for line in lines}))
    facts = key["facts"]
    methods = dict.fromkeys((line["method"], json.dumps(line["options"])) for line in lines)
    options = []
    for name, text in methods:
        given = [f"{one} {value}" for one, value in json.loads(text).items() if value]
        if name not in CONTROLS and given:
            options.append(f"`{name}` ({', '.join(given)})")
    return (
        f"{len(sounds)} of {sum(len(clips) for _, clips in key['parts'])} sounds measured; "
        f"excerpts of {facts['seconds']:g} s from {facts['since']:g} s on, seed {key['seed']}, "
        f"commit {commits}. {'; '.join(options)}"
    )


def main() -> None:
    given, commit = sys.argv[1:], "not known"
    if given[0] == "--commit":
        commit, given = given[1], given[2:]
    named = [one.partition("=") for one in given]
    runs = {Path(run): lines_of(Path(run), words) for run, _, words in named}
    rows = {run: make_rows(lines) for run, lines in runs.items()}
    every = [row for some in rows.values() for row in some]
    versions = next(iter(runs.values()))[0]["versions"]
    parts = [
        "# Degradations of clean speech, measured",
        "",
        "Made by `earwitness bench speech-degradations` and",
        "`python benchmarks/speech_degradations.py RUN...`; what it means is in",
        "[docs/speech_degradations.md](../docs/speech_degradations.md).",
        f"{', '.join(f'{name} {text}' for name, text in versions.items())}.",
        "",
        f"Masks keep `{KEEP}`. {LEGEND}",
        "",
        "## Overview",
        "",
        overview(every),
        "",
        "## Every table",
        "",
    ]
    for run, some in rows.items():
        parts += [about(run, runs[run], commit), "", markdown(some)]
    text = "\n".join(parts).rstrip("\n") + "\n"
    (HERE / "speech_degradations.md").write_text(text, encoding="utf-8")
    (HERE / "speech_degradations.csv").write_text(csv_text(every), encoding="utf-8")


if __name__ == "__main__":
    main()
