"""The tables of ``benchmarks/lmac.py``, from the lines that it measured."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earwitness.benchmark.statistics import holm, intervals, paired_tests
from earwitness.metrics.sizes import SIZES

HERE = Path(__file__).parent
SECONDS, SEED = 2.5, 0
OPTIMISED = 32  # mixtures of each level that optimised-mask is run on
SANITY_CLIPS = 10
SMALL, HEARD = 0.1, 0.15  # share of cells; effective area as heard
STEPPED = "lmac, seed 0, steps=10"
FAITHFUL = ("average-increase", "average-drop", "average-gain", "faithfulness", "fidelity")
SHOWN = ("AI %", "AD %", "AG %", "FF", "Fid-In")
SIZED = ("area", "effective-area", "effective-area-audio")
CURVED = ("average-increase", "average-drop", "faithfulness")
HEADINGS = {
    "same": "the very gains of `lmac, seed 0`, in each method's order",
    f"area:{SMALL:.0%}": f"binary, the largest {100 * SMALL:.0f} % of the cells",
    f"heard:{HEARD:.0%}": f"binary, at an effective area as heard of {100 * HEARD:.0f} %",
    "own": "their own gains",
}
Line = dict[str, Any]
Values = Mapping[str, Mapping[str, float]]  # of a method, by sound


def lines_of(path: Path) -> list[Line]:
    """Return the lines of sounds that are whole; a torn last one is left out."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def tables(folder: Path, decoders: int, titles: Mapping[str, str]) -> None:
    """Write what was measured as Markdown and CSV, a part for each condition and its title."""
    rows: list[Line] = []
    parts = []
    commits: set[str] = set()
    for condition, title in titles.items():
        lines = lines_of(folder / f"{condition}.jsonl")
        if not lines:
            continue
        commits |= {str(line["commit"]) for line in lines}
        count = len({line["clip"] for line in lines})
        parts.append(f"## {title}\n\n{count} sounds of {SECONDS} s.\n")
        table = _Table(condition, rows)
        for mask, heading in HEADINGS.items():
            some = [line for line in lines if line["mask"] == mask]
            if some:
                parts.append(f"### {heading}\n")
                parts.append(table.of(some, (*SIZED, *FAITHFUL), mask))
        parts.append("### area under the curves from 2 to 30 % of the cells\n")
        parts.append(table.of(curves(lines), CURVED, "2 to 30 %"))
        parts.append("### where the true source is\n")
        parts.append(_truth(table, lines))
        others = [line for line in lines if "kept by another" in line]
        if others:
            parts.append("### decision of another classifier, kept on the evidence\n")
            for mask in dict.fromkeys(line["mask"] for line in others):
                some = [line for line in others if line["mask"] == mask]
                parts.append(f"{HEADINGS[mask]}:\n\n{table.of(some, ('kept by another',), mask)}")
    head = [
        "# L-MAC, measured",
        "",
        "Made by `python benchmarks/lmac.py DATA RUN DECODER...` and the same with `--table`; what "
        "it means is in [docs/lmac.md](../docs/lmac.md).",
        f"Commit {', '.join(sorted(commits))}, torch {torch.__version__}, seed {SEED}, scored as "
        f"audio; decoders of seeds 0 to {decoders - 1}; `optimised-mask` on the first {OPTIMISED} "
        "mixtures of each level.",
        "",
        "Mean over sounds with its 95 % bootstrap interval. `*`: behind `lmac, seed 0` sound by "
        "sound, p < 0.05 after Holm's correction; `!`: ahead of it. A method that was not measured "
        "on all sounds is compared on those it has.",
        "",
    ]
    text = "\n".join([*head, *parts, _sanity_table(folder)])
    (HERE / "lmac.md").write_text(text, encoding="utf-8")
    with (HERE / "lmac.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def curves(lines: Sequence[Line]) -> list[Line]:
    """Return the mean of metrics over the share of cells, by the trapezoidal rule, per sound."""
    named = {f"area:{share:.0%}": share for share in SIZES}
    found: dict[tuple[str, str], dict[float, Line]] = {}
    for line in lines:
        if line["mask"] in named:
            found.setdefault((line["clip"], line["method"]), {})[named[line["mask"]]] = line
    width = SIZES[-1] - SIZES[0]
    return [
        {
            "clip": clip,
            "method": method,
            **{
                metric: float(np.trapezoid([own[share][metric] for share in SIZES], SIZES)) / width
                for metric in CURVED
            },
        }
        for (clip, method), own in found.items()
        if len(own) == len(SIZES)
    ]


class _Table:
    """Tables of one condition, whose values are also added to the rows of the CSV file."""

    def __init__(self, condition: str, rows: list[Line]) -> None:
        self.condition, self.rows = condition, rows

    def of(self, lines: Sequence[Line], metrics: Sequence[str], mask: str) -> str:
        """Return a table of metrics, a row for each method, with intervals and marks."""
        names = list(dict.fromkeys(line["method"] for line in lines))
        shown = dict(zip(FAITHFUL, SHOWN, strict=True))
        text = [
            f"| method | sounds | {' | '.join(shown.get(metric, metric) for metric in metrics)} |",
            f"|---{'|---' * (len(metrics) + 1)}|",
        ]
        by_name = {
            name: {line["clip"]: line for line in lines if line["method"] == name} for name in names
        }
        marks = {
            metric: _marks(by_name, metric)
            for metric in metrics if metric not in SIZED
        }  # fmt: skip
        for name in names:
            own = by_name[name].values()
            drawn = [np.array([one[metric] for one in own]) for metric in metrics]
            cells = []
            for metric, found, ends in zip(metrics, drawn, intervals(drawn), strict=True):
                if metric in SIZED:
                    cells.append(f"{found.mean():.3f}")
                else:
                    mark = marks[metric].get(name, "")
                    cells.append(f"{found.mean():.3g}{mark} [{ends[0]:.3g}, {ends[1]:.3g}]")
                self.rows.append({
                    "condition": self.condition, "mask": mask, "method": name, "metric": metric,
                    "mean": found.mean(), "low": ends[0], "high": ends[1], "sounds": len(found),
                })  # fmt: skip
            text.append(f"| {name} | {len(own)} | {' | '.join(cells)} |")
        return "\n".join(text) + "\n"


def _marks(values: Mapping[str, Values], metric: str) -> dict[str, str]:
    first = values.get("lmac, seed 0", {})
    sign = -1 if metric.startswith("average-drop") else 1
    names = [name for name in values if not name.startswith("lmac, seed 0") and first]
    pairs = {
        name: np.array([sign * (first[clip][metric] - one[metric])
                        for clip, one in values[name].items() if clip in first])
        for name in names
    }  # fmt: skip
    chances = holm(paired_tests([pairs[name] for name in names])) if names else []
    return {
        name: ("*" if pairs[name].mean() > 0 else "!") if chance < 0.05 else ""
        for name, chance in zip(names, chances, strict=True)
    }


def _truth(table: _Table, lines: Sequence[Line]) -> str:
    maps = [line for line in lines if line["mask"] == "map"]
    text = ["Of the map:\n", table.of(maps, ("relevance-mass", "pointing-game"), "map")]
    for mask in ("same", f"area:{SMALL:.0%}"):
        some = [line for line in lines if line["mask"] == mask]
        text.append(f"SI-SDR of the evidence over that of the input, dB; {HEADINGS[mask]}:\n")
        text.append(table.of(some, ("gain of si-sdr",), mask))
    return "\n".join(text)


def _sanity_table(folder: Path) -> str:
    path = folder / "sanity.json"
    if not path.exists():
        return ""
    found = json.loads(path.read_text(encoding="utf-8"))
    blocks = found.pop("blocks")
    text = ["## When weights are scrambled, from the logits down\n",
            f"Mean over {SANITY_CLIPS} mixtures of +12 dB: likeness to the first map after as many "
            "blocks.\n",
            f"| map | {' | '.join(str(k + 1) for k in range(len(blocks)))} |",
            f"|---{'|---' * len(blocks)}|"]  # fmt: skip
    text += [f"| {name} | {' | '.join(f'{value:.2f}' for value in values)} |"
             for name, values in found.items()]  # fmt: skip
    return "\n".join(text) + "\n"
