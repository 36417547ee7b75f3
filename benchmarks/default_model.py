"""Train the default model and measure it: ``python benchmarks/default_model.py DATA``.

DATA is a folder with ESC-10 as ESC-50 is shipped. The recipe is judged inside folds 1-3 (train on
two, validate on the third); then three seeds are trained on folds 1-3 and reported on fold 4, which
nothing was chosen on. Every run is kept in ``runs/`` and skipped when it is there, and a broken run
goes on where it was, so the script can be called again at any time; ``--only NAME`` does one run.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earwitness.data.collection import read_collection
from earwitness.models.checkpoint import default_recipe
from earwitness.train.classifier import Settings, train_classifier

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "runs" / "default_model"
WEIGHTS = ROOT / "src" / "earwitness" / "models" / "weights" / "esc10"
SHIPPED = "seed-0"  # fixed before any of them was trained
JOBS: dict[str, tuple[set[int], int, int]] = {
    "validate-1": ({2, 3}, 1, 0),
    "validate-2": ({1, 3}, 2, 0),
    "validate-3": ({1, 2}, 3, 0),
    "seed-0": ({1, 2, 3}, 4, 0),
    "seed-1": ({1, 2, 3}, 4, 1),
    "seed-2": ({1, 2, 3}, 4, 2),
}


def run(name: str, data: Path) -> dict[str, Any]:
    folds, held_out, seed = JOBS[name]
    place = RUNS / name
    if not (place / "model.json").exists():
        items = read_collection(data)
        recipe = default_recipe(sorted({item.label for item in items}))
        train_classifier(
            [item for item in items if item.fold in folds],
            recipe,
            replace(Settings(), seed=seed),
            place,
            test=[item for item in items if item.fold == held_out],
            on_epoch=lambda epoch, loss: print(f"{name} {epoch} {loss:.3f}", flush=True),
        )
    facts = json.loads((place / "model.json").read_text(encoding="utf-8"))["facts"]
    return {"run": name, "folds": sorted(folds), "held_out": held_out, "seed": seed, **facts}


def commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "# The default model, measured",
        "",
        "Made by `python benchmarks/default_model.py DATA`.",
        f"Commit {commit()}, torch {torch.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()}.",
        "",
        "| run | trained on folds | held-out fold | seed | accuracy | calibration error | NLL |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        test = row["test"]
        lines.append(
            f"| {row['run']} | {', '.join(map(str, row['folds']))} | {row['held_out']} | "
            f"{row['seed']} | {test['accuracy']:.3f} | {test['ece']:.3f} | {test['nll']:.3f} |"
        )
    for word, title in (("validate", "mean inside folds 1-3"), ("seed", "mean on fold 4")):
        some = [row["test"] for row in rows if row["run"].startswith(word)]
        means = [np.mean([test[key] for test in some]) for key in ("accuracy", "ece", "nll")]
        figures = " | ".join(f"**{value:.3f}**" for value in means)
        lines.append(f"| **{title}** | | | | {figures} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", choices=JOBS)
    arguments = parser.parse_args()
    if arguments.only:
        run(arguments.only, arguments.data)
        return
    rows = [run(name, arguments.data) for name in JOBS]
    text = table(rows)
    (ROOT / "benchmarks" / "default_model.md").write_text(text, encoding="utf-8")
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    for file in ("model.json", "weights.safetensors"):
        shutil.copy(RUNS / SHIPPED / file, WEIGHTS / file)
    print(text)


if __name__ == "__main__":
    main()
