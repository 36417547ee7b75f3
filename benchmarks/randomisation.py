"""Tables of finished runs of ``earwitness bench randomisation`` in one document.

    python benchmarks/randomisation.py "TITLE=FOLDER" ... -o benchmarks/randomisation.md

writes the CSV beside it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from earwitness.benchmark.ledger import read_lines
from earwitness.benchmark.sanity.summary import LEGEND, csv_text, make_rows, markdown

SHOWN = ("samples", "steps")  # options that the table names
HEAD = "# Model randomisation on ESC-10, fold 4"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="TITLE=FOLDER")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    parts, table = [HEAD, "", LEGEND, ""], ""
    for run in arguments.runs:
        title, _, folder = run.partition("=")
        lines = read_lines(Path(folder) / "cells.jsonl")
        key = json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))
        rows = make_rows(lines)
        options = [
            f"{name} {' '.join(f'{k}={v}' for k, v in given.items() if k in SHOWN)}".strip()
            for name, given in key["methods"]
        ]
        commits = ", ".join(sorted({str(line["commit"]) for line in lines}))
        parts += [
            f"## {title}",
            "",
            f"{len(key['parts'][0][1])} sounds, seeds {', '.join(map(str, key['seeds']))}, "
            f"{' and '.join(key['orders'])}; {'; '.join(options)}. Commit {commits}.",
            "",
            markdown(rows),
        ]
        head, *body = csv_text(rows).splitlines()
        table += "" if table else f"run,{head}\n"
        table += "".join(f'"{title}",{line}\n' for line in body)
    arguments.output.write_text("\n".join(parts).rstrip("\n") + "\n", encoding="utf-8")
    arguments.output.with_suffix(".csv").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
