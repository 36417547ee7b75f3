"""Measure L-MAC against every other method: ``python benchmarks/lmac.py DATA RUN DECODER...``.

DATA holds ``esc10`` (as ESC-50 is shipped), ``fsdd`` and ``noises/room.flac``; each DECODER is what
``earwitness train lmac --data DATA/esc10 --folds 1,2,3 --seed N`` wrote. Everything is explained on
fold 4, which nothing was chosen on, and scored as audio. Results are kept in RUN, a line for every
sound, method and mask, and not measured again; ``--condition NAME`` and ``--method NAME`` measure
some only, so several processes can share the work, ``--tuned DIR`` adds a fine-tuned decoder,
``--other MODEL`` another classifier for transfer, and ``--table`` writes ``benchmarks/lmac.md`` and
``.csv`` from what is there.

Every method's map is made into these masks: the very gains of the first decoder's map in the
method's own order, so that size and softness are equal to the last digit; binary masks of the 2, 5,
10, 20 and 30 % largest cells, of which the area under AI, AD and FF against size is one figure
without a size; and the binary mask whose effective area as heard is 15 % (``--match``). Scattered
cells spread in the inverse transform, so equal shares of cells are not heard at equal size.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lmac_tables import (
    FAITHFUL,
    HEARD,
    OPTIMISED,
    SANITY_CLIPS,
    SECONDS,
    SEED,
    SIZED,
    SMALL,
    STEPPED,
    Line,
    lines_of,
    tables,
)

from earwitness.audio import read_audio
from earwitness.benchmark.cells import Setting, ideal_ratio_mask, prepare, seed_of
from earwitness.benchmark.localisation.grid import OPTIONS
from earwitness.data.clips import Clip, Material
from earwitness.data.collection import Item, read_collection
from earwitness.data.digits import read_digits
from earwitness.data.mixtures import loudest, mixtures
from earwitness.errors import EarwitnessError
from earwitness.evaluation.cases import heard, measure, output_fields
from earwitness.evaluation.orders import order_by, surrogate
from earwitness.evaluation.passes import evaluate
from earwitness.evaluation.scrambling import scrambled_maps
from earwitness.matching import matched_share
from earwitness.methods.registry import METHODS
from earwitness.metrics.localisation import map_fields, si_sdr
from earwitness.metrics.sanity import sanity_spearman as spearman_of
from earwitness.metrics.sanity import sanity_ssim as ssim_of
from earwitness.metrics.sizes import SIZES
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.probe import Probe
from earwitness.provenance import commit
from earwitness.types import FloatArray

HERE = Path(__file__).parent
COUNT, FOLD = 160, 4
CONTROLS = ("random", "energy", "ideal-ratio-mask", "constant", "all-ones")


@dataclass(frozen=True)
class Condition:
    """Sounds of one kind."""

    title: str
    clips: Callable[[Path], list[Clip]]


def mixed(
    data: Path, level: int, named: bool, *, fold: int = FOLD, count: int = COUNT
) -> list[Clip]:
    """Return pairs of recordings; the decided class is explained unless the source's is named."""
    clips = mixtures(data=str(data / "esc10"), folds=[fold], levels=[level], count=count,
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


@dataclass(frozen=True)
class Sound:
    """A mixture with the model's outputs, and the gains of the first decoder."""

    setting: Setting
    probe: Probe
    first: FloatArray
    other: tuple[Model, int] | None


def area_gains(values: FloatArray, share: float) -> FloatArray:
    """Return the binary mask of the largest cells."""
    gains = np.zeros(values.size, np.float32)
    gains[np.argsort(values, axis=None, kind="stable")[-round(share * values.size) :]] = 1
    return gains.reshape(values.shape)


def map_of(sound: Sound, name: str, options: dict[str, Any]) -> FloatArray:
    """Return the map of a method or control."""
    probe = sound.probe
    if name == "random":
        rng = np.random.default_rng(probe.seed)
        return np.asarray(surrogate(probe.magnitude.numpy(), rng), np.float32)
    if name == "energy":
        return probe.magnitude.numpy()
    if name == "ideal-ratio-mask":
        return ideal_ratio_mask(*sound.setting.truth["levels"])
    method = METHODS.get(name)
    values: FloatArray = method.function(probe, **method.settle(options)).values.numpy()
    return values


def masks_of(
    sound: Sound, name: str, options: dict[str, Any]
) -> tuple[dict[str, FloatArray], FloatArray | None]:
    """Return the masks of a method by name, and its map; a decoder is asked for each size."""
    if name == "constant":
        return {"same": np.full_like(sound.first, sound.first.mean())}, None
    if name == "all-ones":
        return {"own": np.ones_like(sound.first)}, None
    if name == "lmac" and options.get("steps"):
        values = map_of(sound, name, {**options, "size": SMALL})
        return {f"area:{SMALL:.0%}": area_gains(values, SMALL)}, values
    values = map_of(sound, name, options)
    if name == "lmac":

        def of(share: float) -> FloatArray:
            return area_gains(map_of(sound, name, {**options, "size": share}), share)
    else:

        def of(share: float) -> FloatArray:
            return area_gains(values, share)

    masks = {"same": values if name == "lmac" else order_by(sound.first, values)}
    masks |= {f"area:{share:.0%}": of(share) for share in SIZES}
    masks[f"heard:{HEARD:.0%}"] = of(matched_share(sound.probe, of, HEARD))
    if name in ("optimised-mask", "ideal-ratio-mask"):
        masks["own"] = values.clip(0, 1)
    return masks, values


def measure_method(sound: Sound, label: str, name: str, options: dict[str, Any]) -> list[Line]:
    """Return a line for every mask of a method, and one for its map."""
    probe, truth = sound.probe, sound.setting.truth
    masks, values = masks_of(sound, name, options)
    gains = list(masks.values())
    passes = evaluate(probe, gains, routes=("audio",), sounds=True)
    assert passes.sounds is not None
    case = output_fields(probe.model, probe.target, sound.setting.whole, passes.audio)
    case |= {"gains": np.stack(gains), "heard": heard(probe, passes.sounds), **truth}
    case |= {"sounds": passes.sounds.numpy()}
    figures = measure(case, [*FAITHFUL, *SIZED, "si-sdr-source"])
    before = float(si_sdr(probe.wave.numpy()[None], truth["source_sound"])[0])
    lines = []
    for k, mask in enumerate(masks):
        one: Line = {"mask": mask, **{metric: float(row[k]) for metric, row in figures.items()}}
        one["gain of si-sdr"] = one["si-sdr-source"] - before
        if sound.other and mask in ("same", f"area:{SMALL:.0%}"):
            model, decided = sound.other
            with torch.no_grad(), model.undisturbed():
                outputs = model(passes.sounds[k][None])
            one["kept by another"] = float(int(outputs.argmax()) == decided)
        lines.append(one)
    if values is not None:
        case = {**truth, **map_fields(values[None]), "map": values}
        found = measure(case, ["relevance-mass", "pointing-game"])
        lines.append({"mask": "map", **{metric: float(row[0]) for metric, row in found.items()}})
    return [{"method": label, **line} for line in lines]


def rows_of(decoders: list[str], tuned: str | None) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return method and options by the name of the row."""
    rows: dict[str, tuple[str, dict[str, Any]]] = {
        f"lmac, seed {k}": ("lmac", {"decoder": one}) for k, one in enumerate(decoders)
    }
    rows[STEPPED] = ("lmac", {"decoder": decoders[0], "steps": 10})
    if tuned:
        rows["lmac, fine-tuned"] = ("lmac", {"decoder": tuned})
    rows |= {name: (name, dict(options)) for name, options in OPTIONS.items()}
    return rows | {name: (name, {}) for name in ("optimised-mask", *CONTROLS)}


def run(
    data: Path, folder: Path, decoders: list[str], tuned: str | None, wanted: list[str],
    methods: list[str], other: str | None,
) -> None:  # fmt: skip
    """Measure what is not in the folder yet, sound by sound."""
    torch.set_num_threads(1)
    model, second = load_model("esc10"), load_model(other) if other else None
    folder.mkdir(parents=True, exist_ok=True)
    rows = {
        name: row
        for name, row in rows_of(decoders, tuned).items()
        if name in methods or not methods
    }
    for condition in wanted:
        path = folder / f"{condition}.jsonl"
        done = {(line["clip"], line["method"]) for line in lines_of(path)}
        for number, clip in enumerate(CONDITIONS[condition].clips(data)):
            left = [name for name in rows if (clip.name, name) not in done]
            if not condition.startswith("mix") or number >= OPTIMISED:
                left = [name for name in left if name != "optimised-mask"]
            if not left:
                continue
            sound = sound_of(model, second, clip, decoders[0])
            with model.undisturbed():
                lines = [line for name in left for line in measure_method(sound, name, *rows[name])]
            head = {
                "clip": clip.name,
                "commit": commit(),
                "area of lmac": float(sound.first.mean()),
            }
            text = "".join(json.dumps({**head, **line}) + "\n" for line in lines)
            with path.open("a", encoding="utf-8") as file:
                file.write(text)
            print(condition, number + 1, clip.name, flush=True)
    if "mix12" in wanted and not methods:
        sanity(model, data, folder, decoders[0])


def sound_of(model: Model, second: Model | None, clip: Clip, decoder: str) -> Sound:
    """Return a sound with what its methods share."""
    with model.undisturbed():
        setting = prepare(model, clip)
        wave = torch.from_numpy(setting.material.input)
        probe = Probe(model, wave, setting.target, seed=seed_of(SEED, clip.name))
        sound = Sound(setting, probe, np.empty(0, np.float32), None)
        first = map_of(sound, "lmac", {"decoder": decoder})
    decided = None
    if second is not None:
        with second.undisturbed(), torch.no_grad():
            decided = (second, int(second(wave[None]).argmax()))
    return Sound(setting, probe, first, decided)


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
    parser.add_argument("--method", action="append", default=[])
    parser.add_argument("--tuned")
    parser.add_argument("--other")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        titles = {name: one.title for name, one in CONDITIONS.items()}
        tables(arguments.run, len(arguments.decoders), titles)
        return
    wanted = arguments.condition or list(CONDITIONS)
    try:
        run(
            arguments.data, arguments.run, arguments.decoders, arguments.tuned, wanted,
            arguments.method, arguments.other,
        )  # fmt: skip
    except EarwitnessError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
