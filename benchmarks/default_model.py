"""Train the default model and measure it: ``python benchmarks/default_model.py DATA``.

DATA is a folder with ESC-10 as ESC-50 is shipped. The recipe is judged inside folds 1-3 (train on
two, validate on the third); then three seeds are trained on folds 1-3 and reported on fold 4, which
nothing was chosen on. Every run is kept in ``runs/`` and skipped when it is there, and a broken run
goes on where it was, so the script can be called again at any time; ``--only NAME`` does one run.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from earwitness.data.collection import read_collection
from earwitness.models.zoo.checkpoint import default_recipe, load_checkpoint, save_checkpoint
from earwitness.provenance import stamp
from earwitness.train.classifier import Settings, evaluate, load_waves, train_classifier

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


def temperature(data: Path) -> float:
    """Return the temperature of least NLL on the folds held out inside 1-3 (Guo 2017)."""
    logits, labels = [], []
    for name, (_, held_out, _) in JOBS.items():
        if name.startswith("validate"):
            model, recipe = loaded(name)
            items = [item for item in read_collection(data) if item.fold == held_out]
            waves, wanted = load_waves(items, recipe)
            with torch.no_grad():
                logits.append(torch.cat([model(some) for some in waves.split(16)]).double())
            labels.append(wanted)
    pooled, truth = torch.cat(logits), torch.cat(labels)

    def nll(log_t: float) -> float:
        return float(torch.nn.functional.cross_entropy(pooled / math.exp(log_t), truth))

    return math.exp(minimize_scalar(nll, bounds=(-2, 2), method="bounded").x)


def loaded(name: str) -> tuple[Any, Any]:
    model = load_checkpoint(RUNS / name)
    return model, default_recipe(model.labels)


def calibrated(row: dict[str, Any], data: Path, divisor: float) -> dict[str, Any]:
    """Return the row of the same run with its logits divided by the temperature."""
    model, recipe = loaded(row["run"])
    scale(model.module, divisor)
    items = [item for item in read_collection(data) if item.fold == row["held_out"]]
    name = f"{row['run']}, calibrated"
    return {**row, "run": name, "test": evaluate(model.module, recipe, items)}


def scale(network: Any, divisor: float) -> None:
    with torch.no_grad():
        network.head.weight.div_(divisor)
        network.head.bias.div_(divisor)


def table(rows: list[dict[str, Any]], divisor: float) -> str:
    lines = [
        "# The default model, measured",
        "",
        "Made by `python benchmarks/default_model.py DATA`.",
        f"{stamp()}.",
        "",
        f"Calibrated: logits divided by {divisor:.3f}, the temperature of least NLL on the folds",
        "held out inside 1-3.",
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
    groups = (
        ("validate", False, "mean inside folds 1-3"),
        ("seed", False, "mean on fold 4"),
        ("seed", True, "mean on fold 4, calibrated"),
    )
    for word, scaled, title in groups:
        some = [
            row["test"]
            for row in rows
            if row["run"].startswith(word) and row["run"].endswith("calibrated") == scaled
        ]
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
    divisor = temperature(arguments.data)
    scaled = [calibrated(row, arguments.data, divisor) for row in rows if "seed" in row["run"]]
    text = table(rows + scaled, divisor)
    (ROOT / "benchmarks" / "default_model.md").write_text(text, encoding="utf-8")
    model, recipe = loaded(SHIPPED)
    scale(model.module, divisor)
    (shipped,) = (row for row in scaled if row["run"].startswith(SHIPPED))
    facts = {key: shipped[key] for key in ("settings", "trained_on", "test")}
    save_checkpoint(WEIGHTS, recipe, model.module, {**facts, "temperature": divisor})
    print(text)


if __name__ == "__main__":
    main()
