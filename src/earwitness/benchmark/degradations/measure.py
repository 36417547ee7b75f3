"""One degraded sound: what each method's explanation of "what lowers the score" points to.

The mask of the evidence is scored as heard: the remainder is resynthesised and goes through the
whole model. Two controls have the mask's own gains, at random and by energy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from earwitness.benchmark.cells import ideal_ratio_mask, seed_of
from earwitness.benchmark.degradations.ceiling import true_place
from earwitness.benchmark.degradations.plan import (
    ADDITIVE,
    KEEP,
    LEAST_COST,
    PLACE,
    PLACE_BACKGROUND,
    REPLACED,
    Plan,
)
from earwitness.benchmark.grid import IDEAL, Choice
from earwitness.benchmark.ledger import Line, pack
from earwitness.data.clips import Clip
from earwitness.data.speech import DegradedMaterial
from earwitness.errors import EarwitnessError, NotApplicableError
from earwitness.evaluation.orders import Orders
from earwitness.evaluation.passes import evaluate
from earwitness.masks.keep import make_mask, parse_keep
from earwitness.methods.registry import METHODS
from earwitness.metrics.place import (
    place_cells,
    strongest_cell,
    strongest_third,
    strongest_time,
    third_of,
    time_error,
)
from earwitness.models.declared import outputs_for
from earwitness.models.model import Model
from earwitness.models.target import make_target, reported_score
from earwitness.plane.mel import mel_edges
from earwitness.probe import Probe
from earwitness.types import FloatArray, Target

SIDES = ("own", "random", "energy")  # of a mask: itself, and two permutations of its gains


def measure_degraded(
    model: Model,
    name: str,
    clip: Clip,
    plan: Plan,
    tick: Callable[[int], None] | None = None,
) -> list[Line]:
    """Return the lines of one sound, one for each target and method.

    Parameters
    ----------
    name : str
        Name of the model in the results.
    tick : callable, optional
        Called with the number of forward passes, as they are made.
    """
    head: Line = {"model": name, "clip": clip.name, "kind": clip.group, "sound": None}
    try:
        with torch.inference_mode(False), model.undisturbed():
            material = clip.make(model.rate)
            assert isinstance(material, DegradedMaterial)
            head["sound"] = material.digest
            return [{**head, **line} for line in _lines(model, clip.name, material, plan, tick)]
    except EarwitnessError as error:
        return [{**head, "method": None, "failed": str(error)}]


def _lines(
    model: Model,
    clip: str,
    material: DegradedMaterial,
    plan: Plan,
    tick: Callable[[int], None] | None,
) -> list[Line]:
    made = material.degraded
    assert made is not None
    both = [
        outputs_for(model, torch.from_numpy(one).to(model.device))
        for one in (made.clean, made.sound)
    ]
    place = {"start": made.start, "end": made.end, "low": made.low, "high": made.high}
    place |= {"highest": material.highest}
    lines: list[Line] = []
    for label in plan.targets or (model.labels[0],):
        target = make_target(model, both[1], label, direction="down")
        clean, degraded = (_score(model, one, target) for one in both)
        facts = {**place, "detail": made.detail, "target": label, "clean": pack(clean)}
        facts["degraded"] = pack(degraded)
        wave = torch.from_numpy(made.sound)
        facts["skipped"] = clean - degraded < LEAST_COST
        for choice in plan.choices(made.kind):
            probe = Probe(model, wave, target, seed=seed_of(plan.seed, clip), on_passes=tick)
            own = {**facts, "method": choice.name, "options": dict(choice.options)}
            try:
                if not facts["skipped"]:
                    own |= _of_method(probe, choice, material)
            except EarwitnessError as error:
                own["failed"] = str(error)
            lines.append(own)
        probe = Probe(model, wave, target, seed=seed_of(plan.seed, clip), on_passes=tick)
        for name, options, of in _ceilings(made.kind):
            own = {**facts, "method": name, "options": options}
            try:
                if not facts["skipped"]:
                    own |= of(probe, material)
            except EarwitnessError as error:
                own["failed"] = str(error)
            lines.append(own)
    return lines


Measure = Callable[[Probe, DegradedMaterial], dict[str, Any]]


def _ceilings(kind: str) -> list[tuple[str, dict[str, Any], Measure]]:
    """Return what knows the truth, with its options, for a kind of degradation."""
    place = (PLACE, {"background": PLACE_BACKGROUND}, _of_place)
    return [place, (IDEAL, {}, _of_ideal)] if kind in ADDITIVE else [place]


def _of_place(probe: Probe, material: DegradedMaterial) -> dict[str, Any]:
    """Return where the best place of the true size is, and what the true one regains."""
    made = material.degraded
    assert made is not None
    began = time.perf_counter()
    whole_band = made.kind in REPLACED
    values, figures = true_place(probe.fixed(), made, PLACE_BACKGROUND, whole_band=whole_band)
    seconds = time.perf_counter() - began
    found = place_of(probe, values.cpu().numpy(), material)
    return found | figures | {"seconds": round(seconds, 3)}


def _of_ideal(probe: Probe, material: DegradedMaterial) -> dict[str, Any]:
    """Return what is regained, as heard, without the ideal ratio mask of what was added."""
    made = material.degraded
    assert made is not None
    parts = torch.from_numpy(np.stack([made.source, made.clean]))
    gains = ideal_ratio_mask(*probe.model.plane.analyse(parts).abs().numpy())
    (remainder,) = evaluate(probe, [gains], routes=("audio",)).audio.remainder
    figures = place_of(probe, gains, material)
    score = _score(probe.model, remainder, probe.target)
    return figures | {"area": pack(gains.mean()), "remainder_own": pack(score), "seconds": 0.0}


def _of_method(probe: Probe, choice: Choice, material: DegradedMaterial) -> dict[str, Any]:
    """Return what is measured of one map, and the scores of the remainders of its mask."""
    made = material.degraded
    assert made is not None
    began = time.perf_counter()
    found = METHODS.get(choice.name).map(probe.fixed(), choice.options)
    seconds = time.perf_counter() - began
    values: FloatArray = found.values.float().cpu().numpy()
    if not np.isfinite(values).all():
        raise NotApplicableError(f"{choice.name}: the map is not finite")
    figures = place_of(probe, values, material) | {"seconds": round(seconds, 3)}
    # gains cannot restore what is gone; the orders of a mask are its controls
    if made.kind in REPLACED or choice.control:
        return figures
    magnitude = probe.magnitude.cpu().numpy()
    mask = make_mask(values, magnitude, parse_keep(KEEP))
    orders = Orders(magnitude, probe.seed)
    gains = [mask.gains, orders.at_random(mask.gains, 1)[0], orders.by_energy(mask.gains)]
    remainders = evaluate(probe, gains, routes=("audio",)).audio.remainder
    found_scores = [_score(probe.model, one, probe.target) for one in remainders]
    figures |= {"area": pack(mask.area), "degenerate": mask.degenerate}
    return figures | {
        f"remainder_{side}": pack(one) for side, one in zip(SIDES, found_scores, strict=True)
    }


def place_of(probe: Probe, values: FloatArray, material: DegradedMaterial) -> dict[str, Any]:
    """Return where a map (freq, frame) points to, and whether that is the degradation.

    Returns
    -------
    dict
        ``at`` (s) and ``time_error`` (s outside of the degradation), ``third`` and ``right_third``,
        and the pointing game on the cells of the place and of those on the cells where the
        difference to the clean sound has more energy than that sound.
    """
    made = material.degraded
    assert made is not None
    plane = probe.model.plane
    freqs, times = probe.freqs.numpy(), probe.times.numpy()
    at = strongest_time(values, freqs, times)
    third = strongest_third(values, freqs, times, at, material.highest)
    middle = third_of(np.array([_middle(made.low, made.high)]), material.highest)[0]
    margin = plane.n_fft / plane.rate / 2
    place = place_cells(freqs, times, made.start, made.end, made.low, made.high, margin)
    parts = torch.from_numpy(np.stack([made.source, made.clean]))
    levels = plane.analyse(parts).abs().numpy()
    louder = place & (levels[0] > levels[1])
    point = strongest_cell(values)
    return {
        "at": pack(at),
        "time_error": pack(time_error(at, made.start, made.end)),
        "third": third,
        "right_third": bool(third == middle),
        "pointing": bool(place[point] and values[point] > 0),
        "pointing_louder": bool(louder[point] and values[point] > 0),
    }


def _middle(low: float, high: float) -> float:
    """Return the middle of a band on the mel scale, in Hz."""
    return float(mel_edges(1, low, high)[1])


def _score(model: Model, outputs: torch.Tensor, target: Target) -> float:
    """Return the value of the target's output, whatever the direction."""
    return float(reported_score(model, outputs.unsqueeze(0), target)[0])
