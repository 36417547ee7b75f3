"""Compare explanations of MOSNet: ``python benchmarks/mosnet_lime.py DATA MODEL RUN``.

The published pipeline (mosnet-lime, Lamba 2023), repaired, its contrast of two classes, and the
methods of this package, on the same recordings: DAPS speech after 13 s and strings of FSDD's
digits (takes 0 to 4), 3 s each, some with soft noise, and all with a burst of white noise at the
speech's own level at a random place. MODEL is a folder of ``earwitness train mosnet`` that was
trained on other sounds of these.
With ``--nisqa FILE``, NISQA's noisiness is explained against its coloration too. Figures are kept
in RUN, one file for each recording; the command is repeated to go on, or run with ``--only 0 1`` in
several processes. ``--table`` writes ``benchmarks/mosnet_lime.md``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earwitness.audio import read_audio
from earwitness.benchmark.statistics import interval, paired_tests
from earwitness.errors import EarwitnessError
from earwitness.evaluation.cases import make_cases, measure
from earwitness.evaluation.scrambling import find_blocks, scrambled
from earwitness.files import replacing, write_text
from earwitness.methods.mosnet_lime import STORED, class_of
from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.target import make_target
from earwitness.probe import Probe
from earwitness.provenance import commit
from earwitness.types import Map, Target

HERE = Path(__file__).parent
RATE = 16000
SECONDS, BURST = 3.0, 0.4
LEVEL_DB = -26.0  # RMS re full scale
AFTER = 13.0  # s of DAPS, of which MODEL was trained on what lies before
COUNT = 32
NOISES = (None, 20.0, 8.0)  # dB below the speech, of white noise throughout, in turn
FRESH = 5  # takes of FSDD, from 0 on, that MODEL was not trained on
SLACK = 0.1  # s about the burst in which it counts as found
PUBLISHED = "mosnet-lime"
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "published": (PUBLISHED, {}),
    "published, repaired": ("mosnet-lime-repaired", {}),
    "published, contrast of classes": ("mosnet-lime-contrast", {}),
    "`lime`, ERB bands x time": ("lime", {"pieces": "erb x time"}),
    "`lime`, ERB bands x sound and pause": ("lime", {"pieces": "erb x pauses"}),
    "`audiolime` (harmonic, percussive, noise x time)": ("audiolime", {}),
    "`frame-scores`": ("frame-scores", {}),
    "`integrated-gradients`": ("integrated-gradients", {}),
    "`integrated-gradients` from silence": ("integrated-gradients", {"background": "silence"}),
    "`lrp`": ("lrp", {}),
    "`gradcam`": ("gradcam", {}),
    "control: `energy`": ("energy", {}),
    "control: `random`": ("random", {}),
}
BEST = "`lime`, ERB bands x time"
CONTRAST = ("noisiness", "coloration")
NISQA_BEST = "`integrated-gradients` from silence"
NISQA_ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "`occlusion` of time": ("occlusion", {"pieces": "time"}),
    "`frame-scores`": ("frame-scores", {}),
    "`integrated-gradients`": ("integrated-gradients", {}),
    NISQA_BEST: ("integrated-gradients", {"background": "silence"}),
    "`lrp`": ("lrp", {}),
    "`gradcam`": ("gradcam", {}),
    "control: `energy`": ("energy", {}),
    "control: `random`": ("random", {}),
}
Array = NDArray[np.float32]


def recordings(data: Path, rate: int, seed: int = 0) -> list[tuple[str, Array, float]]:
    """Return names, samples and the second at which the burst begins."""
    rng, found = np.random.default_rng(seed), []
    daps = sorted((data / "daps").glob("*clean*")) + sorted((data / "daps").glob("*produced*"))
    for number in range(COUNT):
        start, voice = float(rng.uniform(AFTER, 25.0)), int(rng.integers(5))
        digits, place = rng.integers(10, size=12), float(rng.uniform(0.3, SECONDS - BURST - 0.3))
        if number % 4 < 3:
            path = daps[number % len(daps)]
            speech = read_audio(path, rate=rate, start=start, end=start + SECONDS).samples
            name = f"{path.stem} from {start:.2f} s"
        else:
            speakers = sorted({one.stem.split("_")[1] for one in (data / "fsdd").glob("*.wav")})
            takes = [
                data / "fsdd" / f"{digit}_{speakers[voice]}_{int(rng.integers(FRESH))}.wav"
                for digit in digits
            ]
            parts = [read_audio(one, rate=rate).samples for one in takes if one.exists()]
            speech = np.concatenate(parts)[: round(SECONDS * rate)]
            name = f"digits of {speakers[voice]}"
        speech = speech * 10 ** (LEVEL_DB / 20) / np.sqrt(np.mean(speech**2))
        below, throughout = NOISES[number % len(NOISES)], rng.standard_normal(len(speech))
        if below is not None:
            speech = speech + throughout * 10 ** ((LEVEL_DB - below) / 20)
            name += f", noise {below:g} dB below"
        noise = rng.standard_normal(round(BURST * rate)) * 10 ** (LEVEL_DB / 20)
        first = round(place * rate)
        speech[first : first + len(noise)] += noise
        found.append((name, speech.astype(np.float32), place))
    return found


def score_of(model: Model, wave: Tensor) -> float:
    with model.undisturbed(), torch.no_grad():
        return float(model(wave[None])[0].mean())


def target_of(model: Model, wave: Tensor, **choice: Any) -> Target:
    with torch.no_grad():
        outputs = model(wave[None])[0]
    return make_target(model, outputs, seconds=len(wave) / model.rate, **choice)


def oriented(found: Map) -> Tensor:
    """Return a map of which positive values raise the score."""
    second = found.details.get("second")
    return -found.values if second and second > found.details["class"] else found.values


def found_in(values: Array, times: Array, place: float) -> bool:
    """Return whether the lowest tenth of a second of a map is in the burst."""
    step = float(times[1] - times[0])
    width = max(1, round(SLACK / step))
    smooth = np.convolve(values.sum(axis=0), np.ones(width), mode="same")
    return bool(place - SLACK <= times[smooth.argmin()] <= place + BURST + SLACK)


def explained(probe: Probe, name: str, options: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    """Return a map and what is reported of it."""
    spec, began = METHODS.get(name), time.perf_counter()
    found = spec.function(probe.fixed(), **spec.settle(options))
    keys = ("r2", "evaluations", "pieces", "settled", "class", "second", "completeness_gap")
    facts = {key: found.details[key] for key in keys if key in found.details}
    return oriented(found), {**facts, "seconds": time.perf_counter() - began}


def curves(probe: Probe, values: Array) -> dict[str, float]:
    """Return the areas under the curves of insertion and deletion, and their difference."""
    ones = np.ones((1, *probe.shape), np.float32)
    case = make_cases(probe, ones, attribution=values, sounds=False)["spectrogram"]
    areas = measure(case, ["insertion-score", "deletion-score"])
    high, low = (float(one[0]) for one in areas.values())
    return {"insertion": high, "deletion": low, "difference": high - low}


def correlation(first: Array, second: Array) -> float | None:
    """Return Pearson's coefficient of two maps; None if one is constant."""
    if not first.std() or not second.std():
        return None
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def classes(model: Model, waves: Sequence[Tensor], own: int) -> str:
    """Return the classes of ten recordings, the own first, as the published code has them."""
    scores = [score_of(model, wave) for wave in waves]
    order = [own, *(k for k in range(len(scores)) if k != own)][:STORED]
    return ",".join(str(class_of(scores[k], wrap=True)) for k in order)


def measured(model: Model, waves: list[Tensor], number: int, place: float) -> dict[str, Any]:
    """Return the figures of all methods on one recording, for the model and scrambled."""
    wave = waves[number]
    blocks, lines = find_blocks(model, wave), {}
    for row, (name, given) in ROWS.items():
        try:
            lines[row] = one_row(model, waves, number, place, name, given, blocks)
        except EarwitnessError as error:
            lines[row] = {"refused": str(error)}
        print(number, row, {k: v for k, v in lines[row].items() if k != "map"}, flush=True)
    return {"score": score_of(model, wave), "rows": lines}


def one_row(
    model: Model, waves: list[Tensor], number: int, place: float, name: str,
    given: dict[str, Any], blocks: Any,
) -> dict[str, Any]:  # fmt: skip
    wave, options = waves[number], dict(given)
    if name == PUBLISHED:
        options["stored"] = classes(model, waves, number)
    with model.undisturbed():
        probe = Probe(model, wave, target_of(model, wave), seed=number)
        values, facts = explained(probe, name, options)
        first: Array = values.float().numpy()
        facts |= curves(probe, first)
        times = probe.times.numpy()
    facts["found"] = found_in(first, times, place)
    facts["zero"] = not bool(first.any())
    others = {"scrambled": options}
    with scrambled(model, blocks, seed=number):
        if name == PUBLISHED:
            others["scrambled_own"] = {"stored": classes(model, waves, number)}
        with model.undisturbed():
            for key, some in others.items():
                probe = Probe(model, wave, target_of(model, wave), seed=number)
                second: Array = explained(probe, name, some)[0].float().numpy()
                facts[key] = correlation(first, second)
                facts[f"{key}_same"] = bool(np.array_equal(first, second))
    return facts


def contrasted(model: Model, wave: Tensor, number: int, place: float) -> dict[str, Any]:
    """Return the figures of methods that explain one output of NISQA against another."""
    lines: dict[str, Any] = {}
    with model.undisturbed():
        target = target_of(model, wave, target=CONTRAST[0], versus=CONTRAST[1])
        for row, (name, options) in NISQA_ROWS.items():
            probe = Probe(model, wave, target, seed=number)
            try:
                values, facts = explained(probe, name, options)
            except EarwitnessError as error:
                lines[row] = {"refused": str(error)}
                continue
            own: Array = values.float().numpy()
            facts |= curves(probe, own)
            facts["found"] = found_in(own, probe.times.numpy(), place)
            lines[row] = {**facts, "commit": commit()}
            print(number, "NISQA", row, facts, flush=True)
    return {"rows": lines}


def run(data: Path, named: str, folder: Path, nisqa: str | None, only: list[int]) -> None:
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    model = load_model(named)
    sounds = recordings(data, model.rate)
    waves = [torch.from_numpy(samples) for _, samples, _ in sounds]
    facts = {"commit": commit(), "torch": torch.__version__, "model": type(model.module).__name__}
    facts["variant"] = getattr(model.module, "variant", "")
    for number, (name, _, place) in enumerate(sounds):
        path = folder / f"mosnet-{number:02}.json"
        if number in only and not path.exists():
            line = {**facts, "name": name, **measured(model, waves, number, place)}
            write(path, line)
    if nisqa is None:
        return
    model = load_model(f"nisqa:{nisqa}")
    for number, (name, samples, place) in enumerate(recordings(data, model.rate)):
        path = folder / f"nisqa-{number:02}.json"
        if number in only and not path.exists():
            wave = torch.from_numpy(samples)
            line = {**facts, "name": name, **contrasted(model, wave, number, place)}
            write(path, line)


def write(path: Path, line: dict[str, Any]) -> None:
    with replacing(path) as partial:
        partial.write_text(json.dumps(line), encoding="utf-8")


def read(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [json.loads(one.read_text("utf-8")) for one in sorted(folder.glob(f"{kind}-*.json"))]


def column(lines: list[dict[str, Any]], row: str, key: str) -> list[float]:
    """Return a figure of every recording that has it."""
    found = [line["rows"][row].get(key) for line in lines]
    return [float(one) for one in found if one is not None]


def cell(values: list[float], digits: int = 3) -> str:
    """Return a mean with its interval."""
    if not values:
        return "-"
    low, high = interval(np.array(values))
    text = f"{np.mean(values):.{digits}f}"
    return text if not low < high else f"{text} ({low:.{digits}f} to {high:.{digits}f})"


def body(lines: list[dict[str, Any]], rows: Sequence[str], best: str, *, more: bool) -> str:
    """Return the rows of a table."""
    every, text = lines, ""
    for row in rows:
        lines = [line for line in every if "refused" not in line["rows"][row]] or every[:1]
        own = np.array(column(lines, best, "difference"))
        if "refused" in lines[0]["rows"][row]:
            text += (
                f"| {row} | refused: {lines[0]['rows'][row]['refused']} |"
                + " |" * (10 if more else 4)
                + "\n"
            )
            continue
        other = np.array(column(lines, row, "difference"))
        against = "" if row == best else f"{paired_tests([own - other])[0]:.4f}"
        cells = [cell(column(lines, row, key), 2) for key in ("insertion", "deletion")]
        cells += [cell(other.tolist(), 2), against]
        cells += [f"{sum(column(lines, row, 'found')):.0f} of {len(lines)}"]
        if more:
            some = [line for line in lines if not line["rows"][row]["zero"]]
            same = column(some, row, "scrambled_same")
            cells += [cell(column(lines, row, "scrambled"), 2), f"{sum(same):.0f} of {len(some)}"]
            cells += [f"{len(lines) - len(some)}"]
            fit = column(lines, row, "r2")
            pieces = column(lines, row, "pieces")
            each = column(lines, row, "evaluations")
            settled = column(lines, row, "settled")
            cells += [f"{np.median(fit):.2f}" if fit else ""]
            cells += [f"{np.median(np.array(each) / pieces):.1f}" if pieces else ""]
            cells += [f"{sum(settled):.0f} of {len(lines)}" if settled else ""]
        some = f", on {len(lines)} recordings, else refused" if len(lines) < len(every) else ""
        text += f"| {row}{some} | " + " | ".join(cells) + " |\n"
    return text


HEAD = """# The published explanation of MOSNet, and others, measured

Made by `python benchmarks/mosnet_lime.py DATA MODEL RUN` and the same with `--table`; what it
means is in [docs/quality.md](../docs/quality.md). Commit {commit}, torch {torch}.

{count} recordings of {seconds:g} s: DAPS speech (one speaker) after {after:g} s, and strings of
FSDD's digits, a third with white noise 20 dB below and a third with noise 8 dB below the
speech, all with a burst of {burst:g} s of white noise at the speech's own level at a random
place. MOSNet ({variant}) was trained on other degraded sounds of DAPS and FSDD, with labels
from STOI and SI-SDR; no published weights can be had offline. Its scores of the recordings are
{low:.2f} to {high:.2f}. 95 % intervals: bootstrap over recordings.
p values are not corrected for their number. The rows "from silence" and "occlusion" were
added after the first 12 recordings had been measured, which are among these.

## The score of MOSNet

Insertion and deletion: area under the score as the cells that raise it most come first, or go
first; the difference is better if it is larger. p: paired test of the difference against
{best}. Burst found: the lowest tenth of a second of the map is within {slack:g} s of the burst.
Scrambled: correlation with the map of the model with all weights scrambled; then on how many
recordings it is the same map, bit for bit, of those whose map is not zero; and on how many it
is zero (all labels are equal).

| method | insertion | deletion | difference | p | burst found | scrambled | same map | zero | \
R² | evaluations a piece | settled |
"""
TAIL = """
The published map of the scrambled model is computed with the ten classes that the model with its
own weights gives for the ten stored recordings: they are all of the model that enters. With the
ten classes of the scrambled model itself, the published map is zero on {none} of {count}
recordings, because all ten are equal.
"""
NISQA = """
## NISQA: {first} rather than {second}

The same recordings at 48 kHz; what raises {first} minus {second}. p: against {best}.
Commits: {made}.

| method | insertion | deletion | difference | p | burst found |
"""


def table(folder: Path) -> str:
    """Return the tables of what was measured, as Markdown."""
    lines, others = read(folder, "mosnet"), read(folder, "nisqa")
    scores = [line["score"] for line in lines]
    none = len(lines) - len(column(lines, "published", "scrambled_own"))
    text = HEAD.format(
        **{key: lines[0][key] for key in ("commit", "torch", "variant")},
        count=len(lines), seconds=SECONDS, after=AFTER, burst=BURST, slack=SLACK, best=BEST,
        low=min(scores), high=max(scores),
    )  # fmt: skip
    text += "|---" * 12 + "|\n" + body(lines, list(ROWS), BEST, more=True)
    text += TAIL.format(none=none, count=len(lines))
    if others:
        every = {one.get("commit") for line in others for one in line["rows"].values()} - {None}
        made = ", ".join(sorted(every))
        text += (
            NISQA.format(first=CONTRAST[0], second=CONTRAST[1], best=NISQA_BEST, made=made)
            + "|---" * 6
            + "|\n"
        )
        text += body(others, list(NISQA_ROWS), NISQA_BEST, more=False)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("run", type=Path)
    parser.add_argument("--nisqa")
    parser.add_argument("--only", type=int, nargs="+", default=list(range(COUNT)), metavar="N")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        write_text(HERE / "mosnet_lime.md", table(given.run))
    else:
        run(given.data, given.model, given.run, given.nisqa, given.only)


if __name__ == "__main__":
    main()
