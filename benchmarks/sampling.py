"""How many evaluations weights of pieces need: ``python benchmarks/sampling.py DATA``.

DATA is a folder with ESC-10 as ESC-50 is shipped; two clips of each class are taken from folds 1-3.
The default model, 10 segments x 8 mel bands. For every clip the converged weights come from 12,000
evaluations drawn apart from everything else; then each way of sampling is run with more and more
evaluations, several times, until the median error is at most 20 % of the weights (L2). Shapley
values of 80 pieces are further away than that after any number of evaluations one would wait for,
so ``kernel-shap`` and shap are compared by their errors after the same numbers of evaluations. What
is measured is kept in ``runs/sampling/`` and not measured again, so a broken run goes on where it
was.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_eval

from earwitness.audio import read_audio
from earwitness.data.collection import read_collection
from earwitness.models.registry import load_model
from earwitness.models.target import make_target
from earwitness.perturbation.estimators import kernel_shap
from earwitness.perturbation.estimators.designs import fair_draws
from earwitness.perturbation.estimators.game import Game
from earwitness.perturbation.estimators.lime import fit_pairs, kernel
from earwitness.perturbation.estimators.regression import weighted_ridge
from earwitness.perturbation.pieces.registry import Sizes, cut
from earwitness.probe import Probe
from earwitness.provenance import stamp

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "runs" / "sampling"
CONVERGED = 12_000
SETTLED = 0.2
COUNTS = [*range(100, 500, 20), *range(500, 1000, 50), *range(1000, 4001, 250)]
SHAPLEY_COUNTS = (500, 1000, 2000)
REPEATS = 3
PASSES = 64  # gradients of the expected gradient alone, as dear as 192 evaluations
HINT_PASSES = 16  # gradients that help LIME


class Clip:
    """One sound as a game; the mel features of pieces add up, so draws skip the plane."""

    def __init__(self, path: Path, model: Any, network: Any) -> None:
        wave = torch.from_numpy(read_audio(path, rate=model.rate).samples)
        with torch.no_grad():
            target = make_target(model, model(wave[None])[0])
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

    def gradients(self, switches: Tensor) -> Tensor:
        found = []
        for some in switches.float().split(8):
            leaf = some.clone().requires_grad_()
            mel = torch.einsum("bk,kft->bft", leaf, self.mels).unsqueeze(1)
            features = torch.log1p(mel / self.floor).to(memory_format=torch.channels_last)
            score = self.network(features)[:, self.target.index].sum()
            found.append(torch.autograd.grad(score, leaf)[0])
        return torch.cat(found).double()


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


def miss(weights: Tensor, wanted: Tensor) -> float:
    """Return the error of weights, those of silent pieces counted, relative to the true ones."""
    other = torch.zeros(len(weights), dtype=torch.float64)
    other[: len(wanted)] = wanted
    return float((weights - other).norm() / wanted.norm())


def expected_gradient(clip: Clip, passes: int, seed: int) -> Tensor:
    """Return the mean gradient by the switches over draws between off and on, evenly spread."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(passes, clip.players, generator=generator).argsort(dim=0)
    places = (order + torch.rand(order.shape, generator=generator)) / passes
    return clip.gradients(places).mean(dim=0)


def needed(
    way: Callable[..., tuple[Tensor, Fit]],
    clip: Clip,
    wanted: Tensor,
    hints: list[Tensor] | None = None,
) -> float:
    """Return the least number of evaluations with a median error of at most 20 %.

    With ``hints``, one for each run, the weights are moved towards them as far as is best, which
    only who knows the true weights could do: no use of the hints can need fewer.
    """
    runs = [way(clip, torch.Generator().manual_seed(seed)) for seed in range(REPEATS)]
    scores = [torch.zeros(0, dtype=torch.float64) for _ in runs]
    for count in COUNTS:
        for k, (draws, _) in enumerate(runs):
            fresh = draws[len(scores[k]) : count, : clip.players]
            scores[k] = torch.cat([scores[k], clip.scores(fresh)])
        found = [fit(draws[:count], scores[k]) for k, (draws, fit) in enumerate(runs)]
        if hints is not None:
            found = [moved(one, hint, wanted) for one, hint in zip(found, hints, strict=True)]
        misses = [miss(one, wanted) for one in found]
        if np.median(misses) <= SETTLED:
            return count
    return float("inf")


def moved(weights: Tensor, hint: Tensor, wanted: Tensor) -> Tensor:
    """Return the point on the line from weights to a hint that is nearest to the true ones."""
    way = hint - weights
    return weights + float((wanted - weights) @ way / (way @ way)) * way


def needed_with_gradients(name: str, clip: Clip, wanted: Tensor) -> list[float]:
    """Return the error of the expected gradient alone, and the least cost of weights with its
    help, in forward passes (a gradient counts three).
    """
    path = RUNS / f"{name}.gradient.json"
    if not path.exists():
        alone = [miss(expected_gradient(clip, PASSES, seed), wanted) for seed in range(REPEATS)]
        few = [expected_gradient(clip, HINT_PASSES, seed) for seed in range(REPEATS)]
        cost = needed(our_lime, clip, wanted, few) + 3 * HINT_PASSES
        path.write_text(json.dumps([float(np.median(alone)), cost]))
    found: list[float] = json.loads(path.read_text())
    return found


def errors_of_shap(clip: Clip, wanted: Tensor) -> list[float]:
    """Return the errors of shap's KernelExplainer on the switches, no features left out."""
    import shap

    def ask(rows: Any) -> Any:
        return clip.scores(torch.from_numpy(rows > 0.5)).numpy()

    def error(count: int, seed: int) -> float:
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(seed)  # noqa: NPY002
        explainer = shap.KernelExplainer(ask, np.zeros((1, clip.players)))
        values = explainer.shap_values(
            np.ones((1, clip.players)), nsamples=count - 2, l1_reg=False, silent=True
        )
        np.random.set_state(state)  # noqa: NPY002
        return miss(torch.from_numpy(np.asarray(values)[0]).double(), wanted)

    return [median(error(count, seed) for seed in range(REPEATS)) for count in SHAPLEY_COUNTS]


def errors_of_ours(clip: Clip, wanted: Tensor) -> list[float]:
    """Return the errors of ``kernel-shap`` as the library samples and fits it."""
    ends = clip.scores(torch.tensor([[False] * clip.players, [True] * clip.players])).tolist()

    def error(count: int, seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        draws = kernel_shap.coalitions(clip.players, count - 2, generator)
        weights = kernel_shap._importance(clip.players, draws)
        return miss(kernel_shap.constrained(draws, clip.scores(draws), weights, *ends)[0], wanted)

    return [median(error(count, seed) for seed in range(REPEATS)) for count in SHAPLEY_COUNTS]


def median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


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
        if len(row) < (5 + 2 * len(SHAPLEY_COUNTS) if wanted else 5):
            row = measured(number, Clip(path, model, network), row, wanted)
            kept.write_text(json.dumps(row))
            print(*row, flush=True)
        clip = Clip(path, model, network)
        weights = converged(clip.name, number, clip)
        rows.append([*row[:5], *needed_with_gradients(clip.name, clip, weights), *row[5:]])
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
        row = [*row[:5], *errors_of_shap(clip, values), *errors_of_ours(clip, values)]
    return row


def table(rows: list[list[Any]]) -> str:
    lines = [
        "# Evaluations needed for settled weights, measured",
        "",
        "Made by `python benchmarks/sampling.py DATA`.",
        f"{stamp()}; seeds 0-{REPEATS - 1} for each figure.",
        "",
        "Evaluations (one forward pass each) until the weights of 80 pieces (10 segments x 8 mel",
        f"bands) are within 20 % (L2) of those of 12,000 evaluations; median of the seeds; "
        f"{len(rows)} clips.",
        "`live` pieces are those that hold any sound; the plain ways draw the others too.",
        f"The expected gradient (mean over {PASSES} gradients by the switches, as dear as "
        f"{3 * PASSES} evaluations)",
        "is held against the same weights. `lime` with gradients: moved towards the mean of "
        f"{HINT_PASSES} gradients as",
        "far as is best for the true weights, so no way of using them can cost less.",
        "",
        "`kernel-shap` and shap's KernelExplainer: the error after as many evaluations.",
        "",
        "| clip | class | live | plain LIME | `lime` | error of the expected gradient | "
        "`lime` with gradients, at best | "
        + " | ".join(f"{name}, {n}" for name in ("shap", "`kernel-shap`") for n in SHAPLEY_COUNTS)
        + " |",
        "|" + "---|" * (7 + 2 * len(SHAPLEY_COUNTS)),
    ]
    width = 7 + 2 * len(SHAPLEY_COUNTS)
    shown = [[*row, *[None] * (width - len(row))] for row in rows]
    for row in shown:
        lines.append("| " + " | ".join("" if one is None else f"{one:.4g}" if isinstance(one, float)
                                       else str(one) for one in row) + " |")  # fmt: skip
    known = [[row[k] for row in shown if row[k] is not None] for k in range(3, width)]
    medians = [median(values) if values else None for values in known]
    cells = " | ".join("" if one is None else f"**{one:.4g}**" for one in medians)
    lines += [f"| **median** | | | {cells} |", ""]
    lines.append(f"`lime` needs {medians[1] / medians[0]:.2f} of plain LIME.")
    lines.append(f"With gradients it needs {medians[3] / medians[0]:.2f} at best.")
    for count, theirs, ours in zip(SHAPLEY_COUNTS, known[4:7], known[7:], strict=True):
        if theirs:
            shares = [own / other for own, other in zip(ours, theirs, strict=True)]
            lines.append(
                f"After {count} evaluations the error of `kernel-shap` is {median(shares):.2f} of "
                f"shap's (median over clips; smaller on {sum(one < 1 for one in shares)} of "
                f"{len(shares)})."
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
