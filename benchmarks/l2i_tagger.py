"""Measure an interpreter of several labels: ``python benchmarks/l2i_tagger.py DATA RUN``.

DATA holds ``esc10`` (as ESC-50 is shipped). Two recordings of different classes of one fold are
mixed, at -3, 0 or 3 dB; a compact CNN is trained on the mixtures of folds 1 to 3 to tell both
labels, and an interpreter of it (Listen to Interpret) with the default settings but for the numbers
of epochs and passes. Both are measured on the mixtures of fold 4. Mixtures, trainings and figures
are kept in RUN; the command is repeated to go on. ``--table`` writes ``benchmarks/l2i_tagger.md``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from earwitness.audio import read_audio
from earwitness.data.collection import Item, read_collection
from earwitness.data.mixtures import mix, pair_items
from earwitness.errors import EarwitnessError
from earwitness.files import replacing, write_text
from earwitness.metrics.agreement import tag_fidelity
from earwitness.models.registry import load_model
from earwitness.models.target import probabilities
from earwitness.models.zoo.checkpoint import default_recipe
from earwitness.provenance import commit
from earwitness.train.classifier import Settings, train_classifier
from earwitness.train.interpreters.l2i import train_l2i
from earwitness.train.interpreters.settings import InterpreterSettings
from earwitness.train.settings import split

HERE = Path(__file__).parent
FOLDS, TEST = (1, 2, 3), 4
ROUNDS = 1  # how often each recording of folds 1 to 3 is the first of a mixture
LEVELS = (-3, 0, 3)  # dB
SECONDS = 2.5
EPOCHS = {"tagger": 60, "interpreter": 60}
PASSES = 4  # over the sounds for the dictionary
DECIDED = 0.5  # probability from which the tagger decides a label


def mixtures(data: Path, folder: Path, seed: int = 0) -> list[Item]:
    """Write the mixtures with their table, unless they are there, and return them."""
    if not (folder / "mixtures.csv").exists():
        rate = load_model("esc10").rate
        (folder / "audio").mkdir(parents=True, exist_ok=True)
        items = read_collection(data / "esc10")
        rows = [("filename", "fold", "category")]
        for fold in (*FOLDS, TEST):
            rng = np.random.default_rng((seed, fold))
            own = [item for item in items if item.fold == fold]
            rounds = 1 if fold == TEST else ROUNDS
            pairs = [pair for _ in range(rounds) for pair in pair_items(own, len(own), rng)]
            for number, (one, other) in enumerate(dict.fromkeys(pairs)):
                level = int(rng.choice(LEVELS))
                name = f"{fold}-{number:03d}-{one.label}+{other.label}.wav"
                sound = mix(one, other, level, SECONDS, rate).input
                soundfile.write(folder / "audio" / name, sound, rate, subtype="PCM_16")
                rows.append((name, str(fold), f"{one.label};{other.label}"))
        write_text(folder / "mixtures.csv", "".join(",".join(row) + "\n" for row in rows))
    return read_collection(folder)


def run(data: Path, folder: Path, seeds: list[int]) -> None:
    torch.set_num_threads(1)
    items = mixtures(data, folder / "mixtures")
    learn = [item for item in items if item.fold != TEST]
    test = [item for item in items if item.fold == TEST]
    labels = sorted({label for item in items for label in item.labels})
    settings = Settings(epochs=EPOCHS["tagger"])
    train_classifier(
        learn, default_recipe(labels, "multi-label"), settings, folder / "tagger", test=test,
        on_epoch=lambda epoch, loss: print("tagger", epoch, f"{loss:.4f}", flush=True),
    )  # fmt: skip
    tagger = load_model(str(folder / "tagger"))
    paths, held_out = split([item.path for item in learn], 0.1, 0)
    for seed in seeds:
        plain = InterpreterSettings()
        dictionary = replace(plain.dictionary, passes=PASSES, seed=seed)
        own = replace(plain, epochs=EPOCHS["interpreter"], dictionary=dictionary, seed=seed)
        place = folder / f"interpreter-{seed}"
        found = train_l2i(
            tagger, paths, held_out, own, place,
            on_pass=lambda group, number, error: print(group, number, f"{error:.3f}", flush=True),
            on_epoch=lambda epoch, figures: print("interpreter", epoch, figures, flush=True),
        )  # fmt: skip
        lines = measured(tagger, found, test)
        facts = {"seed": seed, "commit": commit(), "torch": torch.__version__, "sounds": lines}
        with replacing(folder / f"figures-{seed}.json") as partial:
            partial.write_text(json.dumps(facts), encoding="utf-8")


def measured(tagger: Any, interpreter: Any, test: list[Item]) -> list[dict[str, Any]]:
    """Return the probabilities of both and the true labels, for every sound."""
    lines = []
    for item in test:
        wave = torch.from_numpy(read_audio(item.path, rate=tagger.rate).samples)
        magnitude = tagger.plane.analyse(wave[None])[0].abs()
        with tagger.undisturbed(), torch.no_grad():
            chances = probabilities(tagger, tagger(wave[None]))[0]
            activations = interpreter.activations(tagger, magnitude, wave)
            theta = interpreter.network.theta(activations[None])[0].sigmoid()
        truth = [label in item.labels for label in tagger.labels]
        lines.append({"tagger": chances.tolist(), "interpreter": theta.tolist(), "truth": truth})
    return lines


def table(folder: Path) -> str:
    """Return the table of what was measured, as Markdown."""
    found = [json.loads(one.read_text("utf-8")) for one in sorted(folder.glob("figures-*.json"))]
    text = "# An interpreter of several labels, measured\n\nMade by `python benchmarks/"
    text += "l2i_tagger.py DATA RUN` and the same with `--table`; what it means is in "
    text += f"[docs/l2i.md](../docs/l2i.md).\nCommit {found[0]['commit']}, torch "
    text += f"{found[0]['torch']}. {len(found[0]['sounds'])} mixtures of two recordings of fold "
    text += f"{TEST} of ESC-10, {SECONDS} s each;\ntrained on mixtures of folds 1 to 3, "
    text += f"{EPOCHS['tagger']} epochs for the tagger and "
    text += f"{EPOCHS['interpreter']} for each interpreter.\nThe tagger decides a label from "
    text += f"{DECIDED} on.\n\n"
    text += "| scores of | labels | seed | macro AUPRC | micro AUPRC | largest F1 |\n"
    text += "|---|---|---|---|---|---|\n"
    for facts in found:
        column = {name: np.array([one[name] for one in facts["sounds"]])
                  for name in ("tagger", "interpreter", "truth")}  # fmt: skip
        decided = column["tagger"] >= DECIDED
        rows = [("interpreter", "decided by the tagger", column["interpreter"], decided),
                ("interpreter", "true", column["interpreter"], column["truth"])]  # fmt: skip
        if facts is found[0]:
            rows.insert(0, ("tagger", "true", column["tagger"], column["truth"]))
        for scores, labels, chances, wanted in rows:
            seed = "-" if scores == "tagger" else facts["seed"]
            figures = tag_fidelity(chances, wanted.astype(bool))
            cells = " | ".join(f"{value:.3f}" for value in figures.values())
            text += f"| {scores} | {labels} | {seed} | {cells} |\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seed", type=int, action="append", dest="seeds")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        (HERE / "l2i_tagger.md").write_text(table(arguments.run), encoding="utf-8")
        return
    try:
        run(arguments.data, arguments.run, arguments.seeds or [0])
    except EarwitnessError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
