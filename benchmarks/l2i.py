"""Measure interpreters of Listen to Interpret: ``python benchmarks/l2i.py DATA RUN FOLDER...``.

DATA holds ``esc10`` (as ESC-50 is shipped); each FOLDER is what ``earwitness train l2i --data
DATA/esc10 --folds 1,2,3 --seed N`` wrote. Everything is measured on fold 4, which nothing was
chosen on. Results are kept in RUN, a line for every sound and row, and not measured again, so rows
can be added later; ``--table`` writes ``benchmarks/l2i.md`` from what is there.

``clean``: the 80 recordings. Agreement of Theta with the model, fall of the logit when the relevant
components are removed, and the same for as many random ones, of all and of the active ones; error
of the reconstruction beside that of the best activations for the same dictionary.

``mix12``, ``mix0``: the mixtures of ``benchmarks/lmac.py``. The filter of the first interpreter at
four thresholds and of the others at the default one, its gains in random order and in that of
energy as controls, and the gains of the built-in decoder of ``lmac`` in the order of the filter.
``lmac`` and the methods of ``--flint FOLDER``, ``--piq FOLDER`` and ``--iba``, each with its own
gains, if it makes gains, and with those of the filter in its order. At a threshold, ``flint``
keeps attributes of more relevance, and ``piq`` and ``iba`` keep the cells above this share of
their maximum.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lmac import FOLD, mixed, surrogate_of
from lmac_tables import FAITHFUL, SEED, lines_of

from earwitness.audio import read_audio
from earwitness.benchmark.cells import prepare, seed_of
from earwitness.benchmark.statistics import interval
from earwitness.data.collection import read_collection
from earwitness.decoders.components import THRESHOLD
from earwitness.decoders.interpreter import load_interpreter
from earwitness.errors import EarwitnessError
from earwitness.evaluation.cases import make_cases, measure
from earwitness.evaluation.orders import order_by
from earwitness.methods.registry import METHODS
from earwitness.metrics.agreement import top_fidelity
from earwitness.metrics.localisation import map_fields, si_sdr
from earwitness.models.registry import load_model
from earwitness.models.target import make_target
from earwitness.probe import Probe
from earwitness.provenance import commit
from earwitness.train.interpreters.figures import component_figures
from earwitness.types import FloatArray

HERE = Path(__file__).parent
THRESHOLDS = (0.2, 0.4, 0.6, 0.8)
FOLDERS = ("flint", "piq")  # methods with a trained folder of their own
CONDITIONS = ("clean", "mix12", "mix0")
SHOWN = {"average-increase": "AI %", "average-drop": "AD %", "average-gain": "AG %",
         "faithfulness": "FF", "fidelity": "Fid-In"}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """What is measured: interpreters of l2i, and the folders of other methods.

    Attributes
    ----------
    folders : list of str
        Interpreters of l2i, of seeds from 0 on.
    others : dict of str to dict
        Names of other methods, and their options.
    """

    folders: list[str]
    others: dict[str, dict[str, Any]]


def clean(model: Any, data: Path, path: Path, rows: Rows) -> None:
    """Measure the recordings of the fold."""
    done = {(one["clip"], one["interpreter"]) for one in lines_of(path)}
    for item in read_collection(data / "esc10"):
        name = item.path.stem
        wanted = [k for k in range(len(rows.folders)) if (name, k) not in done]
        if item.fold != FOLD or not wanted:
            continue
        wave = torch.from_numpy(read_audio(item.path, rate=model.rate).samples)[: model.longest]
        with model.undisturbed():
            target = make_target(model, model(wave[None])[0].detach())
            probe = Probe(model, wave, target, seed=seed_of(SEED, name))
            lines = []
            for number in wanted:
                interpreter = load_interpreter(Path(rows.folders[number]))
                found = component_figures(probe, interpreter)
                lines.append({"clip": name, "interpreter": number, **found.__dict__})
        _append(path, lines)


def mixtures(model: Any, data: Path, path: Path, rows: Rows, level: int) -> None:
    """Measure the mixtures, and the rows of each that are not in the file."""
    done = {(one["clip"], one["row"]) for one in lines_of(path)}
    for clip in mixed(data, level, level == 0):
        with model.undisturbed():
            setting = prepare(model, clip)
            wave = torch.from_numpy(setting.material.input)
            probe = Probe(model, wave, setting.target, seed=seed_of(SEED, clip.name))
            masks = {name: make() for name, make in makers(probe, rows).items()
                     if (clip.name, name) not in done}  # fmt: skip
            if not masks:
                continue
            cases = make_cases(probe, list(masks.values()), whole=setting.whole)
            routes = {route: measure({**case, **setting.truth}, FAITHFUL)
                      for route, case in cases.items()}  # fmt: skip
            truth = {**cases["spectrogram"], **setting.truth}
            sound = measure(truth, ["si-sdr-source"])["si-sdr-source"]
            before = float(si_sdr(wave.numpy()[None], setting.material.source)[0])
            lines = []
            for k, (name, gains) in enumerate(masks.items()):
                case = {**setting.truth, **map_fields(gains[None]), "map": gains}
                mass = measure(case, ["relevance-mass"])["relevance-mass"][0]
                line = {"clip": clip.name, "row": name, "area": float(gains.mean())}
                line |= {f"{metric} {route}": float(routes[route][metric][k])
                         for route in routes for metric in FAITHFUL}  # fmt: skip
                line |= {"si-sdr gain": float(sound[k]) - before, "relevance-mass": float(mass)}
                lines.append(line)
        _append(path, lines)


def makers(probe: Probe, rows: Rows) -> dict[str, Callable[[], FloatArray]]:
    """Return what makes the gains of each row; maps that several rows take are computed once."""

    @cache
    def own(number: int, threshold: float = THRESHOLD) -> FloatArray:
        options = {"interpreter": rows.folders[number], "threshold": threshold}
        return _map(probe, "l2i", options)

    @cache
    def other(name: str) -> FloatArray:
        return _map(probe, name, rows.others.get(name, {}))

    found: dict[str, Callable[[], FloatArray]] = {}
    for number in range(len(rows.folders)):
        for threshold in THRESHOLDS if not number else (THRESHOLD,):
            name = f"l2i, seed {number}, threshold {threshold}"
            found[name] = partial(own, number, threshold)
        name = f"l2i, seed {number}, gains of lmac"
        found[name] = lambda k=number: order_by(other("lmac"), own(k))
    found["random, gains of l2i"] = lambda: order_by(own(0), surrogate_of(probe))
    found["energy, gains of l2i"] = lambda: order_by(own(0), probe.magnitude.numpy())
    for name in ("lmac", *rows.others):
        if METHODS.get(name).gives_gains:
            found[name] = partial(other, name)
        found[f"{name}, gains of l2i"] = lambda name=name: order_by(own(0), other(name))
    for name, options in rows.others.items():
        for threshold in THRESHOLDS:
            cut = partial(_map, probe, name, {**options, "threshold": threshold})
            if name != "flint":
                cut = partial(_above, other, name, threshold)
            found[f"{name}, threshold {threshold}"] = cut
    return found


def _above(of: Callable[[str], FloatArray], name: str, threshold: float) -> FloatArray:
    values = of(name)
    return (values > threshold * values.max()).astype(np.float32)


def _append(path: Path, lines: list[dict[str, Any]]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps({**line, "commit": commit()}) + "\n" for line in lines)
    print(path.stem, lines[0]["clip"], flush=True)


def _map(probe: Probe, name: str, options: dict[str, Any]) -> FloatArray:
    method = METHODS.get(name)
    values: FloatArray = method.function(probe, **method.settle(options)).values.numpy()
    return values


def run(data: Path, folder: Path, rows: Rows, wanted: list[str]) -> None:
    torch.set_num_threads(1)
    model = load_model("esc10")
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        path = folder / f"{name}.jsonl"
        if name == "clean":
            clean(model, data, path, rows)
        else:
            mixtures(model, data, path, rows, int(name.removeprefix("mix")))


def table(folder: Path, folders: list[str]) -> str:
    """Return the tables of what was measured, as Markdown."""
    first = lines_of(folder / "clean.jsonl")
    text = "# Listen to Interpret, measured\n\nMade by `python benchmarks/l2i.py DATA RUN "
    text += "FOLDER...` and the same with `--table`; what it means is in "
    text += "[docs/l2i.md](../docs/l2i.md).\n"
    every = [one for name in CONDITIONS for one in lines_of(folder / f"{name}.jsonl")]
    commits = ", ".join(dict.fromkeys(str(one["commit"]) for one in every))
    text += f"Commits {commits}, torch {torch.__version__}; {len(folders)} "
    text += "interpreters of seeds from 0 on. Mean over sounds with its 95 % bootstrap interval.\n"
    text += _clean_table(first, len(folders))
    for name, title in (("mix12", "Mixtures at +12 dB"), ("mix0", "Mixtures at 0 dB")):
        lines = lines_of(folder / f"{name}.jsonl")
        if lines:
            text += f"\n## {title}\n\n{len({one['clip'] for one in lines})} sounds of 2.5 s.\n"
            for route in ("audio", "spectrogram"):
                text += f"\n### {route} scores\n\n" + _mixture_table(lines, route)
    return text


def _clean_table(lines: list[dict[str, Any]], count: int) -> str:
    rows = [
        "seed | top-1 | top-3 | top-5 | kept | area | drop, mean | median | random, median | "
        "active, median | median / random | error, mean | fitted | error, pooled | fitted"
    ]
    for seed in range(count):
        own = [one for one in lines if one["interpreter"] == seed]
        scores = np.array([one["scores"] for one in own])
        decided = np.array([one["chances"] for one in own]).argmax(axis=1)
        column = {name: np.array([one[name] for one in own]) for name in own[0]
                  if isinstance(own[0][name], int | float)}  # fmt: skip
        drop, random = np.median(column["drop"]), np.median(column["drop_random"])
        tops = [f"{top_fidelity(scores, decided, k):.3f}" for k in (1, 3, 5)]
        cells = [str(seed), *tops, *(f"{column[name].mean():.3g}" for name in ("kept", "area"))]
        cells += [_mean(column["drop"]), f"{drop:.3g}", f"{random:.3g}"]
        cells += [f"{np.median(column['drop_active']):.3g}"]
        cells += [f"{drop / random:.3g}" if random > 0 else "-"]
        cells += [_mean(column["reconstruction"]), _mean(column["fitted"])]
        power = column["power"]
        cells += [f"{(column[name] * power).sum() / power.sum():.3f}"
                  for name in ("reconstruction", "fitted")]  # fmt: skip
        rows.append(" | ".join(cells))
    head = f"\n## Clean recordings\n\n{len(lines) // count} recordings of fold {FOLD}; logits.\n\n"
    text = head + _markdown(rows)
    return text + _classes(lines)


def _classes(lines: list[dict[str, Any]]) -> str:
    """Return how many classes have a most relevant component of their own, for every seed."""
    labels = load_model("esc10").labels
    text = "\nMost relevant component of each class (mean relevance over its sounds):\n\n"
    rows = ["seed | " + " | ".join(labels) + " | classes with one of their own"]
    for seed in sorted({one["interpreter"] for one in lines}):
        best: dict[str, int] = {}
        own = [one for one in lines if one["interpreter"] == seed]
        for index, label in enumerate(labels):
            some = [one["relevance"] for one in own if np.argmax(one["chances"]) == index]
            if some:
                best[label] = int(np.mean(some, axis=0).argmax())
        alone = sum(list(best.values()).count(one) == 1 for one in best.values())
        cells = [str(best[label] + 1) if label in best else "-" for label in labels]
        rows.append(" | ".join([str(seed), *cells, str(alone)]))
    return text + _markdown(rows)


def _mixture_table(lines: list[dict[str, Any]], route: str) -> str:
    rows = ["row | area | " + " | ".join(SHOWN.values()) + " | relevance mass | SI-SDR gain, dB"]
    for name in dict.fromkeys(one["row"] for one in lines):
        own = [one for one in lines if one["row"] == name]
        fields = [*(f"{metric} {route}" for metric in SHOWN), "relevance-mass", "si-sdr gain"]
        area = f"{np.mean([one['area'] for one in own]):.3f}"
        cells = [_mean(np.array([one[field] for one in own])) for field in fields]
        rows.append(" | ".join([name, area, *cells]))
    return _markdown(rows)


def _mean(values: FloatArray) -> str:
    finite = values[np.isfinite(values)]
    low, high = interval(finite)
    return f"{finite.mean():.3g} [{low:.3g}, {high:.3g}]"


def _markdown(rows: list[str]) -> str:
    lines = [f"| {row} |" for row in rows]
    lines.insert(1, "|" + "---|" * (rows[0].count("|") + 1))
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--condition", action="append", choices=CONDITIONS)
    for name in FOLDERS:
        parser.add_argument(f"--{name}", metavar="FOLDER")
    parser.add_argument("--iba", action="store_true")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        text = table(arguments.run, arguments.folders)
        (HERE / "l2i.md").write_text(text, encoding="utf-8")
        return
    try:
        others = {name: {"interpreter": folder} for name in FOLDERS
                  if (folder := getattr(arguments, name))}  # fmt: skip
        others |= {"iba": {}} if arguments.iba else {}
        rows = Rows(arguments.folders, others)
        run(arguments.data, arguments.run, rows, arguments.condition or list(CONDITIONS))
    except EarwitnessError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
