"""Measure L-MAC against every other method: ``python benchmarks/lmac.py DATA RUN DECODER...``.

DATA holds ``esc10`` (as ESC-50 is shipped), ``fsdd`` and ``noises/room.flac``; each DECODER is what
``earwitness train lmac --data DATA/esc10 --folds 1,2,3 --seed N`` wrote. Everything is explained on
fold 4, which nothing was chosen on. Results are kept in RUN, a line for every sound, and not
measured again; ``--condition NAME`` measures one condition only, so several processes can share the
work, ``--tuned DIR`` adds a fine-tuned decoder, and ``--table`` writes ``benchmarks/lmac.md`` and
``.csv`` from what is there.

Every method's map is made into three masks: the very gains of the first decoder's map in the
method's own order, so that size and softness are equal to the last digit; the same with the gains
raised to a power at which their mean is at most 0.10; and the binary mask of the 10 % largest
cells. A classifier that hears loud and quiet alike takes a constant gain for no mask at all, so
mean gain alone says little: beside it stands the effective area ``(sum g)^2 / (n sum g^2)``, which
is the area of a binary mask and one for a constant.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lmac_tables import FAITHFUL, OPTIMISED, SANITY_CLIPS, SECONDS, SEED, lines_of, tables

from earwitness.audio import read_audio
from earwitness.benchmark.cells import ideal_ratio_mask, prepare, seed_of
from earwitness.benchmark.localisation.grid import OPTIONS
from earwitness.data.clips import Clip, Material
from earwitness.data.collection import Item, read_collection
from earwitness.data.digits import read_digits
from earwitness.data.mixtures import loudest, mixtures
from earwitness.errors import EarwitnessError
from earwitness.evaluation.cases import make_cases, measure
from earwitness.evaluation.orders import order_by, surrogate
from earwitness.evaluation.scrambling import scrambled_maps
from earwitness.methods.registry import METHODS
from earwitness.metrics.localisation import map_fields, si_sdr
from earwitness.metrics.sanity import sanity_spearman as spearman_of
from earwitness.metrics.sanity import sanity_ssim as ssim_of
from earwitness.models.registry import load_model
from earwitness.probe import Probe
from earwitness.provenance import commit
from earwitness.types import FloatArray

HERE = Path(__file__).parent
COUNT, FOLD = 160, 4
SMALL = 0.10
_TUNED = "lmac, fine-tuned"


@dataclass(frozen=True)
class Condition:
    """Sounds of one kind."""

    title: str
    clips: Callable[[Path], list[Clip]]


def mixed(data: Path, level: int, named: bool) -> list[Clip]:
    """Return pairs of recordings; the decided class is explained unless the source's is named."""
    clips = mixtures(data=str(data / "esc10"), folds=[FOLD], levels=[level], count=COUNT,
                     seconds=SECONDS, seed=SEED)  # fmt: skip
    return clips if named else [Clip(c.name, c.group, None, c.make) for c in clips]


def over(data: Path, level: int, other: str) -> list[Clip]:
    """Return every recording twice, with white noise, a spoken digit or a room over it."""
    items = [item for item in read_collection(data / "esc10") if item.fold == FOLD]
    digits = read_digits(data / "fsdd", test=True)
    rng = np.random.default_rng(SEED)
    chosen = rng.permutation(len(digits))
    clips = []
    for number in range(COUNT):
        item = items[number % len(items)]
        spoken = [digits[chosen[(4 * number + k) % len(digits)]] for k in range(4)]
        make = partial(_over, item, level, other, spoken, data, number)
        clips.append(Clip(f"{item.path.stem}+{other}{number // len(items)}", other, None, make))
    return clips


def _over(
    item: Item, level: int, other: str, spoken: list[Item], data: Path, number: int, rate: int
) -> Material:
    source = loudest(read_audio(item.path, rate=rate).samples, SECONDS, rate)
    rng = np.random.default_rng(number)
    if other == "white":
        rest = rng.standard_normal(len(source))
    elif other == "speech":
        words = [read_audio(one.path, rate=rate).samples for one in spoken]
        rest = np.concatenate([np.concatenate([word, np.zeros(rate // 10)]) for word in words])
        rest = np.resize(rest, len(source))
    else:
        room = read_audio(data / "noises" / "room.flac", rate=rate).samples
        rest = np.roll(room, int(rng.integers(len(room))))[: len(source)]
    gain = np.sqrt((source**2).mean() / (rest**2).mean()) * 10 ** (-level / 20)
    rest = (gain * rest).astype(np.float32)
    scale = np.float32(1 / max(1.0, float(np.abs(source + rest).max())))
    return Material(scale * (source + rest), scale * source)


CONDITIONS = {
    "mix12": Condition("ESC-10 mixtures, +12 dB", lambda data: mixed(data, 12, False)),
    "mix0": Condition("ESC-10 mixtures, 0 dB, asked about the first sound's class",
                      lambda data: mixed(data, 0, True)),
    "white": Condition("white noise, +3 dB", lambda data: over(data, 3, "white")),
    "speech": Condition("spoken digits, +3 dB", lambda data: over(data, 3, "speech")),
    "room": Condition("room noise, 0 dB", lambda data: over(data, 0, "room")),
}  # fmt: skip


def small_gains(gains: FloatArray, mean: float = SMALL) -> FloatArray:
    """Return gains to the power that brings their mean down to ``mean``, if it is above."""
    low, high = 1.0, 1.0
    while float((gains**high).mean()) > mean and high < 1e3:
        low, high = high, 2 * high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if float((gains**middle).mean()) > mean else (low, middle)
    return (gains**high).astype(np.float32)


def effective(gains: FloatArray) -> float:
    """Return the effective area of gains."""
    wide = gains.astype(np.float64)
    squares = float((wide**2).mean())
    return float(wide.mean()) ** 2 / squares if squares > 0 else 0.0


def area_gains(values: FloatArray, share: float) -> FloatArray:
    """Return the binary mask of the largest cells."""
    gains = np.zeros(values.size, np.float32)
    gains[np.argsort(values, axis=None, kind="stable")[-round(share * values.size) :]] = 1
    return gains.reshape(values.shape)


def maps_of(
    probe: Probe, truth: dict[str, Any], decoders: dict[str, str], optimise: bool
) -> Iterator[tuple[str, FloatArray]]:
    """Yield the name and the map of every method and control, the decoders first."""
    for name, decoder in decoders.items():
        yield name, _map(probe, "lmac", {"decoder": decoder})
    if _TUNED in decoders:
        return
    for name, options in OPTIONS.items():
        yield name, _map(probe, name, options)
    if optimise:
        yield "optimised-mask", _map(probe, "optimised-mask", {})
    yield "random", surrogate_of(probe)
    yield "energy", probe.magnitude.numpy()
    yield "ideal-ratio-mask", ideal_ratio_mask(*truth["levels"])


def surrogate_of(probe: Probe) -> FloatArray:
    rng = np.random.default_rng(probe.seed)
    return np.asarray(surrogate(probe.magnitude.numpy(), rng), np.float32)


def _map(probe: Probe, name: str, options: dict[str, Any]) -> FloatArray:
    method = METHODS.get(name)
    values: FloatArray = method.function(probe, **method.settle(options)).values.numpy()
    return values


def measure_sound(
    model: Any, clip: Clip, decoders: dict[str, str], optimise: bool
) -> list[dict[str, Any]]:
    """Return a line for every method and mask of one sound."""
    with model.undisturbed():
        setting = prepare(model, clip)
        probe = Probe(model, torch.from_numpy(setting.material.input), setting.target,
                      seed=seed_of(SEED, clip.name))  # fmt: skip
        truth = dict(setting.truth)
        found = dict(maps_of(probe, truth, decoders, optimise))
        gains = next(iter(found.values()))
        masks: dict[tuple[str, str], FloatArray] = {}
        for name, values in found.items():
            own = values if name.startswith("lmac") else order_by(gains, values)
            masks[name, "same"] = own
            masks[name, "small"] = small_gains(own)
            masks[name, "area:10%"] = area_gains(values, SMALL)
            if name in ("optimised-mask", "ideal-ratio-mask"):
                masks[name, "own"] = values.clip(0, 1)
        if _TUNED not in decoders:
            masks["all-ones", "own"] = np.ones_like(gains)
            masks["constant", "same"] = np.full_like(gains, gains.mean())
        cases = make_cases(probe, list(masks.values()), whole=setting.whole)
        lines = []
        figures = {route: measure({**case, **truth}, FAITHFUL) for route, case in cases.items()}
        sound = measure({**cases["spectrogram"], **truth}, ["si-sdr-source"])["si-sdr-source"]
        for k, (name, mask) in enumerate(masks):
            one: dict[str, Any] = {"method": name, "mask": mask}
            one["area"] = float(masks[name, mask].mean())
            one["effective area"] = effective(masks[name, mask])
            one |= {f"{m} {route}": float(figures[route][m][k])
                    for route in figures for m in FAITHFUL}  # fmt: skip
            one["si-sdr-source"] = float(sound[k])
            lines.append(one)
        for name, values in found.items():
            case = {**truth, **map_fields(values[None]), "map": values}
            mass = float(measure(case, ["relevance-mass"])["relevance-mass"][0])
            lines.append({"method": name, "mask": "map", "relevance-mass": mass})
        source, mixture = setting.material.source, setting.material.input
        before = float(si_sdr(mixture[None], source)[0])
        head = {"clip": clip.name, "target": str(setting.target), "input si-sdr": before}
        return [{**head, **line} for line in lines]


def run(
    data: Path, folder: Path, decoders: dict[str, str], wanted: list[str], suffix: str = ""
) -> None:
    torch.set_num_threads(1)
    model = load_model("esc10")
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        path = folder / f"{name}{suffix}.jsonl"
        done = {line["clip"] for line in lines_of(path)}
        for number, clip in enumerate(CONDITIONS[name].clips(data)):
            if clip.name in done:
                continue
            optimise = name.startswith("mix") and number < OPTIMISED
            lines = measure_sound(model, clip, decoders, optimise)
            text = "".join(json.dumps({**line, "commit": commit()}) + "\n" for line in lines)
            with path.open("a", encoding="utf-8") as file:
                file.write(text)
            print(name, number + 1, clip.name, flush=True)
    if "mix12" in wanted and not suffix:
        sanity(model, data, folder, next(iter(decoders.values())))


def sanity(model: Any, data: Path, folder: Path, decoder: str) -> None:
    """Scramble the weights from the logits down, and see what is left of the maps."""
    path = folder / "sanity.json"
    if path.exists():
        return
    found: dict[str, list[list[float]]] = {}
    for clip in mixed(data, 12, False)[:SANITY_CLIPS]:
        setting = prepare(model, clip)
        wave = torch.from_numpy(setting.material.input)
        blocks, maps = scrambled_maps(
            model, wave, setting.target, {"lmac": {"decoder": decoder}}, seed=SEED
        )
        for name, fields in maps.items():
            for what, of in (("SSIM", ssim_of), ("Spearman", spearman_of)):
                values = of(fields["map"], fields["random_maps"])
                found.setdefault(f"{name} {what}", []).append(np.asarray(values).tolist())
    means = {name: np.mean(rows, axis=0).tolist() for name, rows in found.items()}
    path.write_text(json.dumps({"blocks": blocks, **means}) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("decoders", nargs="+")
    parser.add_argument("--condition", action="append", choices=list(CONDITIONS))
    parser.add_argument("--tuned")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        tables(
            arguments.run, arguments.decoders, {name: one.title for name, one in CONDITIONS.items()}
        )
        return
    decoders = {f"lmac, seed {k}": one for k, one in enumerate(arguments.decoders)}
    wanted = arguments.condition or list(CONDITIONS)
    try:
        if arguments.tuned:
            run(arguments.data, arguments.run, {_TUNED: arguments.tuned}, wanted, ".tuned")
        else:
            run(arguments.data, arguments.run, decoders, wanted)
    except EarwitnessError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
