"""The tables of ``benchmarks/lmac.py``, from the lines that it measured."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earwitness.benchmark.statistics import holm, interval, intervals, paired_tests

HERE = Path(__file__).parent
SECONDS, SEED = 2.5, 0
OPTIMISED = 32  # mixtures of each level that optimised-mask is run on
SANITY_CLIPS = 10
FAITHFUL = ("average-increase", "average-drop", "average-gain", "faithfulness", "fidelity")
SHOWN = ("AI %", "AD %", "AG %", "FF", "Fid-In")
TRUE = ("relevance-mass", "si-sdr-source")


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of sounds that are whole; a torn last one is left out."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def tables(folder: Path, decoders: list[str], titles: dict[str, str]) -> None:
    """Write what was measured as Markdown and CSV, a part for each condition and its title."""
    rows: list[dict[str, Any]] = []
    parts = []
    commits: set[str] = set()
    for name, title in titles.items():
        lines = [*lines_of(folder / f"{name}.jsonl"), *lines_of(folder / f"{name}.tuned.jsonl")]
        if not lines:
            continue
        commits |= {str(line["commit"]) for line in lines}
        count = len({line["clip"] for line in lines})
        parts.append(f"## {title}\n\n{count} sounds of {SECONDS} s.\n")
        for mask, heading in (("same", "the very gains of `lmac`, in each method's order"),
                            ("small", "the same, raised to a power: mean gain at most 0.10"),
                            ("area:10%", "binary, the largest 10 % of the cells"),
                            ("own", "their own gains")):  # fmt: skip
            for route in ("spectrogram", "audio"):
                parts.append(f"### {heading}; {route}\n")
                parts.append(_table(lines, mask, route, name, rows))
        parts.append(_truth(lines, name, rows))
    head = [
        "# L-MAC, measured",
        "",
        "Made by `python benchmarks/lmac.py DATA RUN DECODER...` and the same with `--table`; what "
        "it means is in [docs/lmac.md](../docs/lmac.md).",
        f"Commit {', '.join(sorted(commits))}, torch {torch.__version__}, seed {SEED}; "
        f"{len(decoders)} decoders of seeds 0 to {len(decoders) - 1}; `optimised-mask` on the "
        f"first {OPTIMISED} mixtures of each level.",
        "",
        "Mean over sounds with its 95 % bootstrap interval. `*`: behind `lmac, seed 0` sound by "
        "sound, p < 0.05 after Holm's correction; `!`: ahead of it.",
        "",
    ]
    text = "\n".join([*head, *parts, _sanity_table(folder)])
    (HERE / "lmac.md").write_text(text, encoding="utf-8")
    with (HERE / "lmac.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _table(
    lines: list[dict[str, Any]], mask: str, route: str, condition: str, rows: list[dict[str, Any]]
) -> str:
    some = [line for line in lines if line["mask"] == mask]
    names = list(dict.fromkeys(line["method"] for line in some))
    columns = [f"{one} {route}" for one in FAITHFUL]
    values = {
        name: {line["clip"]: line for line in some if line["method"] == name} for name in names
    }
    first = values.get("lmac, seed 0", {})
    marks = {column: _marks(values, first, column) for column in columns}
    text = [f"| method | area | effective | {' | '.join(SHOWN)} |", f"|---{'|---' * 7}|"]
    for name in names:
        own = values[name].values()
        cells = [f"{np.mean([one[key] for one in own]):.3f}" for key in ("area", "effective area")]
        drawn = [np.array([one[column] for one in own]) for column in columns]
        for column, found, (low, high) in zip(columns, drawn, intervals(drawn), strict=True):
            cells.append(f"{found.mean():.3g}{marks[column].get(name, '')} "
                         f"[{low:.3g}, {high:.3g}]")  # fmt: skip
            rows.append({"condition": condition, "mask": mask, "method": name, "metric": column,
                         "mean": found.mean(), "low": low, "high": high,
                         "sounds": len(found)})  # fmt: skip
        text.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def _marks(values: dict[str, dict[str, Any]], first: dict[str, Any], column: str) -> dict[str, str]:
    sign = -1 if column.startswith("average-drop") else 1
    names = [name for name in values if not name.startswith("lmac")]
    pairs = {
        name: np.array([sign * (first[clip][column] - one[column])
                        for clip, one in values[name].items() if clip in first])
        for name in names
    }  # fmt: skip
    chances = holm(paired_tests([pairs[name] for name in names]))
    return {
        name: ("*" if pairs[name].mean() > 0 else "!") if chance < 0.05 else ""
        for name, chance in zip(names, chances, strict=True)
    }


def _truth(lines: list[dict[str, Any]], condition: str, rows: list[dict[str, Any]]) -> str:
    text = [
        "### where the true source is\n",
        "| method | relevance mass of the map | SI-SDR of the evidence, dB: `lmac`'s gains | "
        "10 % of the cells |",
        "|---|---|---|---|",
    ]
    for name in dict.fromkeys(line["method"] for line in lines):
        cells = []
        for mask, key in (("map", "relevance-mass"), ("same", "si-sdr-source"),
                          ("area:10%", "si-sdr-source")):  # fmt: skip
            found = np.array([one[key] for one in lines
                              if one["method"] == name and one["mask"] == mask])  # fmt: skip
            if not len(found):
                cells.append("")
                continue
            low, high = interval(found)
            cells.append(f"{found.mean():.3g} [{low:.3g}, {high:.3g}]")
            rows.append({"condition": condition, "mask": mask, "method": name, "metric": key,
                         "mean": found.mean(), "low": low, "high": high,
                         "sounds": len(found)})  # fmt: skip
        text.append(f"| {name} | {' | '.join(cells)} |")
    before = np.mean([line["input si-sdr"] for line in lines])
    return "\n".join(text) + f"\n\nThe input itself: {before:.2f} dB.\n"


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
