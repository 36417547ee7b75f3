"""What a training of CNN14 costs: time and memory of steps on random sounds of 5 s, on the CPU.

python benchmarks/cnn14_cost.py -o benchmarks/cnn14_cost.md
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace
from pathlib import Path

import torch

from earwitness.models.zoo.checkpoint import default_recipe
from earwitness.provenance import commit
from earwitness.train.classifier import CNN14_SETTINGS, _begin, _epoch

SETS = {"esc50": (1200, "folds 1 to 3"), "urbansound8k": (8732, "all; nine folds are a tenth less")}


def step(batch: int, repeats: int) -> tuple[float, float]:
    """Return CPU seconds of a step after the first one, and the peak memory in GB."""
    recipe = default_recipe([str(k) for k in range(50)], architecture="cnn14")
    settings = replace(CNN14_SETTINGS, batch=batch, epochs=repeats + 1)
    waves = 0.1 * torch.randn(
        batch, round(recipe.seconds * recipe.rate), generator=torch.Generator().manual_seed(0)
    )
    labels = torch.arange(batch) % 50
    state = _begin(recipe, settings, batch, torch.device("cpu"))
    times = []
    for _ in range(repeats + 1):
        began = time.process_time()
        _epoch(state, waves, labels, recipe, settings)
        times.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return sorted(times[1:])[repeats // 2], peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=CNN14_SETTINGS.batch)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seconds, peak = step(arguments.batch, arguments.repeats)
    each = seconds / arguments.batch
    lines = [
        "# Cost of a training of CNN14",
        "",
        f"A step on {arguments.batch} random sounds of 5 s takes {seconds:.1f} s of one CPU thread "
        f"({each:.2f} s a sound) and {peak:.1f} GB at the peak, sounds of the data set not "
        f"counted. torch {torch.__version__}, commit {commit()}. No GPU was measured.",
        "",
        "| data set | sounds | hours of one thread an epoch | hours for "
        f"{CNN14_SETTINGS.epochs} epochs | memory of the sounds, GB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, (count, what) in SETS.items():
        hours = count * each / 3600
        lines.append(
            f"| {name} | {count} ({what}) | {hours:.1f} | {hours * CNN14_SETTINGS.epochs:.0f} | "
            f"{count * 5 * 32000 * 4 / 1e9:.1f} |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
