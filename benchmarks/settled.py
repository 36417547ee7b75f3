"""Time until weights of pieces are settled: ``python benchmarks/settled.py DATA``.

DATA is a folder with ESC-10 as ESC-50 is shipped; two clips of each class are taken from fold 4.
``lime`` of 80 pieces (10 segments x 8 mel bands) runs against Captum's ``Lime`` and lime's
``LimeImageExplainer`` on the same model, sound and pieces, as in ``earwitness bench speed``. Each
is held against its own limit: what its own regression gives for 12,000 evaluations drawn apart from
the rest. For every seed the least number of evaluations is looked for, in steps of 10 %, with which
the weights are within 20 % (L2) of the limit, and still are with twice as many. Then the package
itself runs with that number, on one thread, and the processor time counts. That the weights of this
run are those of the search is checked. What is measured is kept in ``runs/settled/``, so a broken
run goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import gc
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from settled_ways import Captum, LimePackage, Masked, Net, Ours, Way, miss, shap_error
from torch import Tensor

from earwitness.audio import read_audio
from earwitness.benchmark.speed.floor import Floor
from earwitness.data.collection import read_collection
from earwitness.models.adapters.spectral import SpectralModel
from earwitness.models.prepare import prepared
from earwitness.models.registry import load_model
from earwitness.models.target import make_target
from earwitness.models.zoo.cnn14 import CNN14, cnn14_model
from earwitness.perturbation.estimators.designs import fair_draws
from earwitness.probe import Probe
from earwitness.provenance import commit, stamp

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "runs" / "settled"
FOLD = 4
SETTLED = 0.2
MOST = 6000  # evaluations after which the search gives up
COUNTS = [round(25 * 1.1**k) for k in range(58)]  # 25 to 5700, in steps of 10 %
SHAP_COUNT = 2000
LIMIT_SEED = 1000
SAME = 0.01  # L2 distance of the weights of a run from those of the search; rounding is below it
BARS = {"esc10": 0.33, "cnn14": 0.40}
WANTED = {"esc10": 20, "cnn14": 1}  # clips
NOTES = {
    "cnn14": [
        "Random weights (seed 0), and half a second of sound instead of five, the loudest of",
        "the clip, with limits at fewer evaluations than the default model's: a pass is dear.",
    ]
}
NAMES = ("lime", "Captum", "lime package")


def limit(way: Way, count: int) -> Tensor:
    """Return the weights after many evaluations.

    The draws come in pairs of opposites in orthogonal blocks. Each is as likely as by fair coins,
    so the limit is the same and what is left of chance is smaller, for every package.
    """
    draws = fair_draws(way.players, count, torch.Generator().manual_seed(LIMIT_SEED))
    return way.fit(draws, way.scores(draws))


def needed(way: Way, wanted: Tensor, seed: int, most: int) -> tuple[int, Tensor] | None:
    """Return the least number of evaluations, up to ``most``, that settles the weights, and the
    weights; None if none does.
    """
    draws = way.draws(seed, 2 * most)

    def weights(count: int) -> Tensor:
        return way.fit(draws[:count], way.scores(draws[:count]))

    for count in (count for count in COUNTS if count <= most):
        found = weights(count)
        if miss(found, wanted) <= SETTLED and miss(weights(2 * count), wanted) <= SETTLED:
            return count, found
    return None


def seconds(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Return the processor time that it takes, and its result."""
    gc.collect()
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


def race(ways: dict[str, Way], count: int, seeds: int) -> dict[str, Any]:
    """Return evaluations and seconds of every seed for each package; they take turns."""
    limits = {name: limit(way, count) for name, way in ways.items()}
    facts: dict[str, Any] = {
        name: {"live": way.players, "weights": int((limits[name] != 0).sum()), "runs": []}
        for name, way in ways.items()
    }
    for seed in range(seeds):
        for name, way in ways.items():
            found = (
                needed(way, limits[name], seed, min(MOST, count)) if limits[name].any() else None
            )
            if found is None:
                continue
            way.run(seed, 16)()
            facts[name]["runs"].append([seed, found[0], *timed(way, seed, found, 3 // seeds)])
    return facts


def timed(way: Way, seed: int, found: tuple[int, Tensor], repeats: int) -> list[float]:
    """Return the median time of runs, and how far their weights are from the search's."""
    runs = [seconds(way.run(seed, found[0])) for _ in range(repeats)]
    apart = miss(runs[0][1], found[1])
    if apart > SAME:
        raise RuntimeError(f"{way}, seed {seed}: the run's weights are {apart:.2%} from the fit's")
    return [median(one for one, _ in runs), apart]


def clips(data: Path) -> list[tuple[str, Path]]:
    """Return class and path of two clips of each class, the classes in turn."""
    by_label: dict[str, list[Path]] = {}
    for item in sorted(read_collection(data), key=lambda item: item.path.name):
        if item.fold == FOLD:
            by_label.setdefault(item.label, []).append(item.path)
    return [(label, by_label[label][k]) for k in range(2) for label in sorted(by_label)]


def loudest(wave: Tensor, length: int) -> Tensor:
    """Return the stretch of a sound (samples,) with the most energy."""
    if length >= len(wave):
        return wave
    starts = range(0, len(wave) - length + 1, length // 4)
    first = max(starts, key=lambda k: float(wave[k : k + length].square().sum()))
    return wave[first : first + length]


def quicker(model: SpectralModel, features: Tensor) -> Net:
    """Return the network or its faster copy, whichever is faster."""
    copy = prepared(model)
    nets = [model.module, *([copy.module] if copy is not None else [])]
    batch = features.expand(16, -1, -1, -1)

    def cost(network: Any) -> float:
        with torch.no_grad():
            network(batch)
            return min(seconds(lambda: network(batch))[0] for _ in range(2))

    return min(nets, key=cost)


def best_batch(model: SpectralModel, features: Tensor, most: int) -> int:
    """Return the batch size that is best for the plain network, as ``earwitness bench speed``."""

    def ask(some: Tensor) -> Tensor:
        with torch.no_grad():
            return model.module(some)

    return Floor(ask, features.repeat(most, 1, 1, 1)).batch


def models() -> dict[str, tuple[Callable[[], SpectralModel], float, int]]:
    """Return how to make each model, the seconds of sound, and the largest batch to try."""

    def large() -> SpectralModel:
        torch.manual_seed(0)
        return cnn14_model(CNN14(50), labels=[str(k) for k in range(50)])

    return {"esc10": (lambda: load_model("esc10"), 5.0, 32), "cnn14": (large, 0.5, 8)}


def measure(
    name: str, chosen: list[tuple[str, Path]], count: int, seeds: int, shap_clips: int
) -> None:
    """Measure the clips of one model that are not measured yet."""
    make, length, most = models()[name]
    left = [
        (k, *one) for k, one in enumerate(chosen) if not (RUNS / f"{name}.{k:02d}.json").exists()
    ]
    if not left:
        return
    model, network, batch = make(), None, 0
    for number, label, path in left:
        wave = torch.from_numpy(read_audio(path, rate=model.rate).samples)
        wave = loudest(wave, round(length * model.rate))
        with torch.no_grad():
            probe = Probe(model, wave, make_target(model, model(wave[None])[0]))
            features = model.frontend(probe.magnitude[None])
        if network is None:
            network, batch = quicker(model, features), best_batch(model, features, most)
        masked = Masked(model, probe, network, batch)
        ways: dict[str, Way] = {
            "lime": Ours(probe), "Captum": Captum(masked), "lime package": LimePackage(masked)
        }  # fmt: skip
        facts = {"clip": path.name, "label": label, "commit": commit(), "limit": count,
                 "seeds": seeds, "batch": batch, "packages": race(ways, count, seeds)}  # fmt: skip
        if number < shap_clips:
            facts["shap"] = shap_error(masked, SHAP_COUNT, count, LIMIT_SEED)
        RUNS.mkdir(parents=True, exist_ok=True)
        (RUNS / f"{name}.{number:02d}.json").write_text(json.dumps(facts, indent=1))
        print(json.dumps(facts), flush=True)
        write()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--clips", type=int, default=20, help="of the default model")
    parser.add_argument("--large", type=int, default=1, help="clips of CNN14")
    parser.add_argument("--limit", type=int, default=12_000, help="evaluations of the limit")
    parser.add_argument("--large-limit", type=int, default=2000, help="the same, of CNN14")
    parser.add_argument("--shap", type=int, default=1, help="clips on which shap is measured")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    chosen = clips(arguments.data)
    measure("esc10", chosen[: arguments.clips], arguments.limit, 3, arguments.shap)
    measure("cnn14", chosen[: arguments.large], arguments.large_limit, 1, 0)
    write()


def cells(facts: dict[str, Any]) -> list[Any]:
    """Return clip, class, live pieces, weights, medians over seeds of evaluations and of seconds
    of each package, and the ratio of our seconds to the least of the others (None if none settled).
    """
    packages = [facts["packages"][name] for name in NAMES]
    counts, times = (
        [median(run[k] for run in one["runs"]) if one["runs"] else None for one in packages]
        for k in (1, 2)
    )
    others = [one for one in times[1:] if one is not None]
    ratio = times[0] / min(others) if others and times[0] is not None else None
    zeros = [one["weights"] for one in packages[:2]]
    return [facts["clip"], facts["label"], *zeros, *counts, *times, ratio]


def speeds(facts: list[dict[str, Any]]) -> str:
    """Return the median cost of an evaluation in runs of each package, in words."""
    found = []
    for name in NAMES:
        runs = [run for one in facts for run in one["packages"][name]["runs"]]
        cost = f"{1e3 * median(run[2] / run[1] for run in runs):.2f}" if runs else "-"
        found.append(f"{name} {cost}")
    return ", ".join(found)


def shown(value: Any, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def block(name: str, facts: list[dict[str, Any]]) -> list[str]:
    """Return the part of the report on one model."""
    rows = [cells(one) for one in facts]
    one, length, bar = facts[0], models()[name][1], BARS[name]
    seeds = "seeds 0-2, one run of each" if one["seeds"] > 1 else "seed 0, median of three runs"

    def several(key: str) -> str:
        return " or ".join(map(str, sorted({one[key] for one in facts})))

    lines = [
        f"## {name}, {length:g} s of sound",
        "",
        *NOTES.get(name, []),
        f"Clips: {len(rows)}; limits after {several('limit')} evaluations; {seeds};"
        f" the others in batches of {several('batch')}.",
        f"Measured at commit {several('commit')}.",
        "",
        "| clip | class | weights of `lime` | of Captum | evaluations: `lime` | Captum"
        " | lime package | seconds: `lime` | Captum | lime package | ratio |",
        "|" + "---|" * 11,
    ]
    lines += [f"| {' | '.join(shown(cell, 0 if 4 <= k < 7 else 2) for k, cell in enumerate(row))} |"
              for row in rows]  # fmt: skip
    known = [[row[k] for row in rows if row[k] is not None] for k in range(4, 11)]
    middle = [median(values) if values else None for values in known]
    ends = " | ".join(f"**{shown(one, 0 if k < 3 else 2)}**" for k, one in enumerate(middle))
    lines += [f"| **median** | | | | {ends} |", ""]
    if middle[-1] is not None:
        verdict = "met" if middle[-1] <= bar else "missed"
        some = f", on {len(rows)} of {WANTED[name]} clips" if len(rows) < WANTED[name] else ""
        lines.append(
            f"Ratio to the best of the others: {middle[-1]:.2f} (bar {bar:.2f}: {verdict}{some})."
        )
    lines.append(f"Milliseconds of an evaluation, all included: {speeds(facts)}.")
    for package in NAMES:
        flat = sum(not one["packages"][package]["weights"] for one in facts)
        if flat:
            lines.append(
                f"All weights of {package} are zero in the limit on {flat} clips: no race."
            )
    apart = max(run[3] for one in facts for way in one["packages"].values() for run in way["runs"])
    lines.append(f"Runs and search differ by {apart:.1e} of the weights at most.")
    errors = [one["shap"] for one in facts if "shap" in one]
    if errors:
        lines.append(
            f"shap's KernelExplainer is {median(errors):.0%} away from its own limit after "
            f"{SHAP_COUNT} evaluations (seed 0, clips: {len(errors)}), so it is not raced."
        )
    return [*lines, ""]


def write() -> None:
    """Write the report and the table of what is measured so far."""
    found = {
        name: [json.loads(path.read_text()) for path in sorted(RUNS.glob(f"{name}.*.json"))]
        for name in BARS
    }
    lines = [
        "# Time to settled weights, measured",
        "",
        "Made by `python benchmarks/settled.py DATA`.",
        f"{stamp('captum', 'lime', 'shap', 'scikit-learn')}; one thread;",
        f"limits drawn with seed {LIMIT_SEED}.",
        "",
        "Processor seconds of a run with as many evaluations as bring the weights of 80 pieces",
        "(10 segments x 8 mel bands) within 20 % (L2) of the package's own limit, and keep them",
        "there with twice as many; steps of 10 %; medians of the seeds. Each has its own defaults:",
        "Captum's `Lime` is a lasso (some weights are exactly zero), lime's a ridge, as is ours.",
        "The others do not know the plane: they switch pieces of the features.",
        "",
        "A limit is each package's own regression on draws in pairs of opposites, each as likely",
        "as by fair coins: the limit is the same as with independent draws, and closer to it.",
        "",
    ]
    for name, facts in found.items():
        lines += block(name, facts) if facts else []
    (ROOT / "benchmarks" / "settled.md").write_text("\n".join(lines).rstrip() + "\n")
    with (ROOT / "benchmarks" / "settled.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["model", "clip", "package", "seed", "evaluations", "seconds", "apart"])
        for name, facts in found.items():
            for one in facts:
                for package, way in one["packages"].items():
                    table.writerows([name, one["clip"], package, *run] for run in way["runs"])


if __name__ == "__main__":
    main()
