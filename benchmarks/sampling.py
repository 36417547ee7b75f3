"""How many evaluations weights of pieces need: ``python benchmarks/sampling.py DATA``.

DATA is a folder with ESC-10 as ESC-50 is shipped; two clips of each class are taken from folds 1-3.
The default model, 10 segments x 8 mel bands. For every clip the converged weights come from 12,000
evaluations drawn apart from everything else; then each way of sampling is run with more and more
evaluations, several times, until the median error is at most 20 % of the weights (L2). What is
measured is kept in ``runs/sampling/`` and not measured again, so a broken run goes on where it was.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_eval

from earwitness.audio import read_audio
from earwitness.data.collection import read_collection
from earwitness.methods.estimators import kernel_shap
from earwitness.methods.estimators.designs import fair_draws
from earwitness.methods.estimators.game import Game
from earwitness.methods.estimators.lime import fit_pairs, kernel
from earwitness.methods.estimators.regression import weighted_ridge
from earwitness.methods.pieces.registry import Sizes, cut
from earwitness.models.registry import load_model
from earwitness.probe import Probe

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "runs" / "sampling"
CONVERGED = 12_000
SETTLED = 0.2
COUNTS = [*range(100, 500, 20), *range(500, 1000, 50), *range(1000, 4001, 250)]
REPEATS = 3


class Clip:
    """One sound as a game; the mel features of pieces add up, so draws skip the plane."""

    def __init__(self, path: Path, model: Any, network: Any) -> None:
        wave = torch.from_numpy(read_audio(path, rate=model.rate).samples)
        with torch.no_grad():
            target = model.target(model(wave[None])[0])
            probe = Probe(model, wave, target)
            pieces = cut(probe, "grid", Sizes(segments=10, bands=8))
            self.game = Game([probe], pieces)
            eye = torch.eye(len(pieces))[self.game.live]
            self.silent = len(pieces) - len(eye)
            front = model.frontend
            self.mels = torch.stack([front.filters @ (pieces.mix(row[None])[0] * probe.magnitude)
                                     for row in eye])  # fmt: skip
        self.floor, self.network, self.target = front.floor, network, target
        self.players, self.name = len(eye), path.name

    def scores(self, draws: Tensor) -> Tensor:
        found = []
        with torch.inference_mode():
            for some in draws.float().split(16):
                mel = torch.einsum("bk,kft->bft", some, self.mels).unsqueeze(1)
                features = torch.log1p(mel / self.floor).to(memory_format=torch.channels_last)
                found.append(self.network(features)[:, self.target.index])
        return torch.cat(found).double().clone()


def folded(module: torch.nn.Module) -> torch.nn.Module:
    """Return the network with its batch norms folded, the same to rounding and faster."""
    network = copy.deepcopy(module).eval()
    for block in network.blocks:
        if isinstance(block, torch.nn.Sequential):
            block[0] = fuse_conv_bn_eval(block[0], block[1])
            block[1] = torch.nn.Identity()
    return network.to(memory_format=torch.channels_last)


def converged(name: str, number: int, clip: Clip) -> Tensor:
    """Return LIME's weights from 12,000 draws of fair coins and their opposites."""
    path = RUNS / f"{name}.pt"
    if not path.exists():
        generator = torch.Generator().manual_seed(1000 + number)
        half = torch.rand(CONVERGED // 2, clip.players, generator=generator) < 0.5
        draws = torch.cat([half, ~half])
        RUNS.mkdir(parents=True, exist_ok=True)
        torch.save({"Z": draws, "y": clip.scores(draws)}, path)
    kept = torch.load(path)
    draws = kept["Z"]
    return weighted_ridge(draws.double(), kept["y"], kernel(draws, 0.25), 1.0).weights


def converged_shapley(name: str, number: int, clip: Clip) -> Tensor:
    """Return Shapley values from 12,000 coalitions."""
    path = RUNS / f"{name}.shapley.pt"
    if not path.exists():
        draws = kernel_shap.coalitions(
            clip.players, CONVERGED, torch.Generator().manual_seed(2000 + number)
        )
        ends = clip.scores(torch.tensor([[False] * clip.players, [True] * clip.players]))
        RUNS.mkdir(parents=True, exist_ok=True)
        torch.save({"Z": draws, "y": clip.scores(draws), "ends": ends}, path)
    kept = torch.load(path)
    weights = kernel_shap._importance(clip.players, kept["Z"])
    return kernel_shap.constrained(kept["Z"], kept["y"], weights, *kept["ends"].tolist())[0]


Fit = Callable[[Tensor, Tensor], Tensor]


def plain_lime(clip: Clip, generator: torch.Generator) -> tuple[Tensor, Fit]:
    """Fair coins for all 80 pieces, silent ones too, weighed by the kernel, ridge 1."""
    draws = torch.rand(COUNTS[-1], clip.players + clip.silent, generator=generator) < 0.5

    def fit(some: Tensor, scores: Tensor) -> Tensor:
        return weighted_ridge(some.double(), scores, kernel(some, 0.25), 1.0).weights

    return draws, fit


def our_lime(clip: Clip, generator: torch.Generator) -> tuple[Tensor, Fit]:
    """As the library samples and fits."""
    draws = fair_draws(clip.players, COUNTS[-1], generator)
    return draws, lambda some, scores: fit_pairs(some, scores, 0.25, 1.0)[0]


def our_shapley(clip: Clip, generator: torch.Generator) -> tuple[Tensor, Fit]:
    """As the library samples and fits; the two ends are counted among the evaluations."""
    ends = torch.tensor([[False] * clip.players, [True] * clip.players])
    draws = kernel_shap.coalitions(clip.players, COUNTS[-1], generator)

    def fit(some: Tensor, scores: Tensor) -> Tensor:
        weights = kernel_shap._importance(clip.players, some[2:])
        return kernel_shap.constrained(some[2:], scores[2:], weights, *scores[:2].tolist())[0]

    return torch.cat([ends, draws]), fit


def miss(weights: Tensor, wanted: Tensor) -> float:
    """Return the error of weights, those of silent pieces counted, relative to the true ones."""
    other = torch.zeros(len(weights), dtype=torch.float64)
    other[: len(wanted)] = wanted
    return float((weights - other).norm() / wanted.norm())


def needed(way: Callable[..., tuple[Tensor, Fit]], clip: Clip, wanted: Tensor) -> float:
    """Return the least number of evaluations with a median error of at most 20 %."""
    runs = [way(clip, torch.Generator().manual_seed(seed)) for seed in range(REPEATS)]
    scores = [torch.zeros(0, dtype=torch.float64) for _ in runs]
    for count in COUNTS:
        for k, (draws, _) in enumerate(runs):
            fresh = draws[len(scores[k]) : count, : clip.players]
            scores[k] = torch.cat([scores[k], clip.scores(fresh)])
        misses = [
            miss(fit(draws[:count], scores[k]), wanted) for k, (draws, fit) in enumerate(runs)
        ]
        if np.median(misses) <= SETTLED:
            return count
    return float("inf")


def needed_by_shap(clip: Clip, wanted: Tensor) -> float:
    """Return the same for shap's KernelExplainer on the switches, no features left out."""
    import shap

    def ask(rows: Any) -> Any:
        return clip.scores(torch.from_numpy(rows > 0.5)).numpy()

    def misses(count: int) -> float:
        found = []
        for seed in range(REPEATS):
            state = np.random.get_state()  # noqa: NPY002
            np.random.seed(seed)  # noqa: NPY002
            explainer = shap.KernelExplainer(ask, np.zeros((1, clip.players)))
            values = explainer.shap_values(
                np.ones((1, clip.players)), nsamples=count - 2, l1_reg=False, silent=True
            )
            np.random.set_state(state)  # noqa: NPY002
            found.append(miss(torch.from_numpy(np.asarray(values)[0]).double(), wanted))
        return float(np.median(found))

    low, high = -1, len(COUNTS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if misses(COUNTS[middle]) <= SETTLED else (middle, high)
    return COUNTS[high] if high < len(COUNTS) else float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--clips", type=int, default=20, help="of LIME")
    parser.add_argument("--shapley-clips", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model("esc10")
    network = folded(model.module)
    by_label: dict[str, list[Path]] = {}
    for item in sorted(read_collection(arguments.data), key=lambda item: item.path.name):
        if item.fold in (1, 2, 3):
            by_label.setdefault(item.label, []).append(item.path)
    paths = [path for label in sorted(by_label) for path in by_label[label][:2]]
    rows: list[list[Any]] = []
    for number, path in enumerate(paths[: arguments.clips]):
        kept = RUNS / f"{path.name}.json"
        row: list[Any] = json.loads(kept.read_text()) if kept.exists() else []
        wanted = number < arguments.shapley_clips
        if len(row) < (7 if wanted else 5):
            row = measured(number, Clip(path, model, network), row, wanted)
            kept.write_text(json.dumps(row))
            print(*row, flush=True)
        rows.append(row)
        (ROOT / "benchmarks" / "sampling.md").write_text(table(rows), encoding="utf-8")
    print(table(rows))


def measured(number: int, clip: Clip, row: list[Any], shapley: bool) -> list[Any]:
    """Return a row of the table, from what of it was measured already."""
    name = clip.name
    if not row:
        wanted = converged(name, number, clip)
        row = [name, clip.target.label, clip.players]
        row += [needed(way, clip, wanted) for way in (plain_lime, our_lime)]
    if shapley:
        values = converged_shapley(name, number, clip)
        row = [*row, needed_by_shap(clip, values), needed(our_shapley, clip, values)]
    return row


def table(rows: list[list[Any]]) -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    lines = [
        "# Evaluations needed for settled weights, measured",
        "",
        "Made by `python benchmarks/sampling.py DATA`.",
        f"Commit {commit}, torch {torch.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()}; seeds 0-{REPEATS - 1} for each figure.",
        "",
        "Evaluations (one forward pass each) until the weights of 80 pieces (10 segments x 8 mel",
        f"bands) are within 20 % (L2) of those of 12,000 evaluations; median of the seeds; "
        f"{len(rows)} clips.",
        "`live` pieces are those that hold any sound; the plain ways draw the others too.",
        "",
        "| clip | class | live | plain LIME | `lime` | shap's KernelExplainer | `kernel-shap` |",
        "|---|---|---|---|---|---|---|",
    ]
    shown = [[*row, *[None] * (7 - len(row))] for row in rows]
    for row in shown:
        lines.append("| " + " | ".join("" if one is None else f"{one:g}" if isinstance(one, float)
                                       else str(one) for one in row) + " |")  # fmt: skip
    medians = [np.median([row[k] for row in shown if row[k] is not None]) if any(
        row[k] is not None for row in shown) else None for k in range(3, 7)]  # fmt: skip
    cells = " | ".join("" if one is None else f"**{one:g}**" for one in medians)
    lines += [f"| **median** | | | {cells} |", ""]
    lines.append(f"`lime` needs {medians[1] / medians[0]:.2f} of plain LIME.")
    if medians[2] is not None:
        lines.append(f"`kernel-shap` needs {medians[3] / medians[2]:.2f} of shap.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
