"""One sound of a benchmark: results of all methods, masks, seeds and metrics, as lines.

The model is evaluated once on each distinct mask of the sound, for all methods and metrics. Each
mask has two controls, permutations of its gains: by energy, and at random with its smoothness.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch

from earwitness.benchmark.grid import IDEAL, Choice, Grid
from earwitness.benchmark.ledger import Line, pack
from earwitness.benchmark.reruns import fields_of, other_outputs, repeated, sized_masks
from earwitness.data.clips import Clip, Material
from earwitness.errors import EarwitnessError, NotApplicableError
from earwitness.evaluation.cases import ROUTES, make_cases, size_fields
from earwitness.evaluation.orders import Orders
from earwitness.evaluation.passes import Memo
from earwitness.methods.registry import METHODS
from earwitness.metrics.localisation import map_fields, true_cells
from earwitness.metrics.registry import METRICS, Case, Metric
from earwitness.metrics.sizes import SIZES
from earwitness.models.declared import outputs_for
from earwitness.models.model import Model
from earwitness.models.target import make_target, reported_score
from earwitness.pipeline import stated_options
from earwitness.probe import Probe
from earwitness.types import FloatArray, Map, Target

MATCHED = ("random", "energy")
_AS_IT_IS = "gains"
_FLOOR = 1e-3  # -60 dB relative to the largest magnitude; quieter cells are not true


@dataclass(frozen=True)
class Setting:
    """A sound at the model's rate, with the target and the fields of the true source, if known."""

    clip: str
    model: Model
    material: Material
    target: Target
    whole: torch.Tensor
    truth: Case

    def probe(self, seed: int, tick: Callable[[int], None] | None = None) -> Probe:
        """Return a new probe for one of the grid's seeds."""
        wave = torch.from_numpy(self.material.input)
        own = seed_of(seed, self.clip)
        return Probe(self.model, wave, self.target, seed=own, on_passes=tick)


def measure_clip(
    model: Model, name: str, clip: Clip, grid: Grid, tick: Callable[[int], None] | None = None
) -> list[Line]:
    """Return the lines of one sound.

    ``route`` says what a line's values are computed from: ``map`` (the attribution), ``mask`` (the
    mask and its sound), or the model's outputs, ``spectrogram`` and ``audio``.

    Parameters
    ----------
    name : str
        Name of the model in the results.
    tick : callable, optional
        Called with the number of forward passes, as they are made.
    """
    head: Line = {"model": name, "clip": clip.name, "group": clip.group, "sound": None}
    try:
        with torch.inference_mode(False), model.undisturbed():
            setting = prepare(model, clip)
            head |= {"sound": setting.material.digest}
            head |= {"target": str(setting.target), "score": pack(_score(setting))}
            return [{**head, **line} for line in _Sound(setting, grid, tick).lines()]
    except EarwitnessError as error:
        return [{**head, **failed_line(str(error))}]


def failed_line(reason: str) -> Line:
    """Return what the only line of a sound that cannot be measured holds beside its names."""
    return {"method": None, "mask": None, "route": "map", "failed": reason}


def prepare(model: Model, clip: Clip) -> Setting:
    """Make a sound, evaluate the model on it, and determine the target and the true source."""
    material = clip.make(model.rate)
    wave = torch.from_numpy(material.input).to(model.device)
    whole = outputs_for(model, wave)
    seconds = len(material.input) / model.rate
    target = make_target(model, whole, clip.target, seconds=seconds)
    truth: dict[str, Any] = {}
    if material.source is not None:
        parts = np.stack([material.source, material.input - material.source])
        levels = model.plane.analyse(torch.from_numpy(parts)).abs().numpy()
        audible = np.maximum(levels[1], _FLOOR * levels.max())
        truth = {**true_cells(levels[0], audible), "source_sound": material.source}
        truth["levels"] = levels
    return Setting(clip.name, model, material, target, whole, truth)


def explain_by(choice: Choice, probe: Probe, truth: Case) -> Map:
    """Return a method's map, or the ideal ratio mask.

    Raises
    ------
    NotApplicableError
        If the method does not apply to the model, or returns values that are not finite.
    """
    if choice.name == IDEAL:
        return Map(torch.from_numpy(ideal_ratio_mask(*truth["levels"])).to(probe.device))
    found = METHODS.get(choice.name).map(probe, choice.options)
    if not bool(torch.isfinite(found.values).all()):
        raise NotApplicableError(f"{choice.name}: the map is not finite")
    return found


def ideal_ratio_mask(source: FloatArray, rest: FloatArray) -> FloatArray:
    """Return ``sqrt(S^2 / (S^2 + N^2))``, and 0 where both are zero.

    Wang, Narayanan, Wang: On Training Targets for Supervised Speech Separation, 2014, eq. 2, with
    an exponent of one half.

    Parameters
    ----------
    source, rest : ndarray, shape (freq, frame)
        Magnitudes.
    """
    wanted, other = (np.asarray(one, np.float64) ** 2 for one in (source, rest))
    both = wanted + other
    ratio = np.divide(wanted, both, out=np.zeros_like(both), where=both > 0)
    return np.sqrt(ratio).astype(np.float32)


def choices_of(grid: Grid, setting: Setting) -> list[Choice]:
    """Return the methods for one sound: the grid's, and the ideal mask if the source is known."""
    return [*grid.methods, *([Choice(IDEAL, {})] if setting.truth else [])]


def masks_of(grid: Grid, choice: Choice) -> list[str]:
    """Return the masks of a method; methods whose values are gains also use them as a mask."""
    gains = choice.name == IDEAL or METHODS.get(choice.name).gives_gains
    as_it_is = gains and _AS_IT_IS not in grid.masks
    return [*grid.masks, *([_AS_IT_IS] if as_it_is else [])]


class _Sound:
    """The shared state of all cells of one sound.

    Parameters
    ----------
    tick : callable or None
        Called with the number of forward passes.
    """

    def __init__(self, setting: Setting, grid: Grid, tick: Callable[[int], None] | None) -> None:
        self.setting, self.grid, self.tick = setting, grid, tick
        self.magnitude = setting.probe(0).magnitude.cpu().numpy()
        self.memo: Memo = {}
        metrics = [METRICS.get(name) for name in grid.metrics] or METRICS.all()
        self.metrics = {
            kind: [metric for metric in metrics if _kind(metric) == kind]
            for kind in ("map", "mask", "curve", "outputs")
        }

    def lines(self) -> list[Line]:
        """Return the lines of all methods and seeds."""
        lines: list[Line] = []
        for choice in choices_of(self.grid, self.setting):
            last: tuple[Map, float] | None = None
            for seed in self.grid.seeds:
                head = {"method": choice.name, "options": dict(choice.options), "seed": seed}
                probe = self.setting.probe(seed, self.tick)
                try:
                    made, seconds = last or _timed(choice, probe, self.setting.truth)
                    # a map without random draws is the same for every seed
                    last = None if probe.drew else (made, seconds)
                    head["options"] = stated_options(choice.options, made.details)
                    found = self._of_map(seed, probe, choice, made.values.float().cpu().numpy())
                except EarwitnessError as error:
                    lines.append({**head, "route": "map", "mask": None, "failed": str(error)})
                    continue
                lines += [{**head, **line, "seconds": round(seconds, 4)} for line in found]
        return lines

    def _of_map(self, seed: int, probe: Probe, choice: Choice, values: FloatArray) -> list[Line]:
        """Return the lines of one map, then those of its masks."""
        rules = masks_of(self.grid, choice)
        sizes = SIZES if "sizes" in fields_of(self.grid) else ()
        found = sized_masks(
            probe, choice, values, [*rules, *(f"area:{size:.0%}" for size in sizes)]
        )
        masks, nested = found[: len(rules)], found[len(rules) :]
        matched = () if choice.control else MATCHED
        orders = Orders(self.magnitude, seed_of(seed, self.setting.clip))
        makers = {"random": lambda one: orders.at_random(one, 1)[0], "energy": orders.by_energy}
        curves = self.metrics["curve"]
        gains = [
            one
            for mask in masks
            for one in (mask.gains, *(makers[name](mask.gains) for name in matched))
        ]
        cases = make_cases(
            probe,
            gains,
            whole=self.setting.whole,
            attribution=values if any("shares" in one.given.values() for one in curves) else None,
            memo=self.memo,
        )
        if sizes:
            several = [mask.gains for mask in nested]
            whole = self.setting.whole
            for route, fields in size_fields(probe, several, whole, sizes, memo=self.memo).items():
                cases[route].update(fields)
        extra = self._extra(seed, probe, choice, values, cases["audio"]["sounds"])
        for route, case in cases.items():
            case.update({**self.setting.truth, **map_fields(values[None]), "map": values})
            case.update(extra["both"] | extra.get(route, {}))
        flat = "constant" if float(values.max()) <= float(values.min()) else None
        own: Line = {"mask": None, "degenerate": flat}
        lines: list[Line] = [
            {
                **own,
                "route": route,
                "figures": {name: pack(float(np.mean(row))) for name, row in figures.items()},
            }
            for route, figures in (
                ("map", _figures(cases["spectrogram"], self.metrics["map"])),
                *((route, _figures(cases[route], curves)) for route in ROUTES),
            )
            if figures
        ]
        for route, figures in (
            ("mask", _figures(cases["spectrogram"], self.metrics["mask"])),
            *((route, _figures(cases[route], self.metrics["outputs"])) for route in ROUTES),
        ):
            for k, mask in enumerate(masks):
                mine, *others = (
                    {name: pack(row[k * (1 + len(matched)) + j]) for name, row in figures.items()}
                    for j in range(1 + len(matched))
                )
                lines.append(
                    {
                        "mask": rules[k],
                        "soft": mask.soft,
                        "degenerate": mask.degenerate,
                        "area": pack(mask.area),
                        "energy": pack(mask.energy),
                        "route": route,
                        "figures": mine,
                        "matched": dict(zip(matched, others, strict=True)),
                    }
                )
        return lines

    def _extra(
        self, seed: int, probe: Probe, choice: Choice, values: FloatArray, sounds: FloatArray
    ) -> dict[str, dict[str, Any]]:
        """Return the fields that cost more, for both routes and for the resynthesised sound."""
        grid, setting, wave = self.grid, self.setting, self.setting.material.input
        own = seed_of(seed, setting.clip)
        both = repeated(grid, choice, setting.model, wave, setting.target, own, values, probe.drew)
        if "speech_sound" in fields_of(grid):
            both["speech_sound"] = wave
        other = other_outputs(grid, setting.model, setting.target, wave, list(sounds))
        return {"both": both, "audio": other}


def seed_of(seed: int, clip: str) -> int:
    """Return a seed that depends on the sound, so that draws differ from sound to sound."""
    return int.from_bytes(blake2b(os.fsencode(f"{seed} {clip}"), digest_size=4).digest(), "big")


def _score(setting: Setting) -> float:
    return float(reported_score(setting.model, setting.whole.unsqueeze(0), setting.target)[0])


def _timed(choice: Choice, probe: Probe, truth: Case) -> tuple[Map, float]:
    began = time.perf_counter()
    found = explain_by(choice, probe, truth)
    return found, time.perf_counter() - began


def _figures(case: Case, metrics: Sequence[Metric]) -> dict[str, Any]:
    return {metric.name: metric.of(case) for metric in metrics if metric.applies(case)}


def _kind(metric: Metric) -> str:
    """Return what a metric is computed from: a map, a mask, a curve or the model's outputs."""
    needs = set(metric.needs)
    if "curve" in needs:
        return "curve"
    if needs & {"outputs", "other model"}:
        return "outputs"
    return "mask" if needs & {"mask", "sound"} else "map"
