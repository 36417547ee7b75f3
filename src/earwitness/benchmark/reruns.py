"""Fields of a case that cost more than the masks: explanations repeated, and another model.

They are computed only for metrics that are named: a repetition costs as much as the explanation.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from earwitness.audio import as_audio
from earwitness.benchmark.grid import IDEAL, Choice, Grid
from earwitness.benchmark.sanity.disturbed import encoded_copy, noisy_copies
from earwitness.errors import NotApplicableError, ParameterError
from earwitness.evaluation.scrambling import each_scrambled, find_blocks
from earwitness.masks.keep import share_of
from earwitness.matching import AS_HEARD, mask_by
from earwitness.methods.registry import METHODS
from earwitness.metrics.registry import METRICS
from earwitness.metrics.sizes import SIZES
from earwitness.models.model import Model
from earwitness.models.target import output_index, probabilities
from earwitness.probe import Probe
from earwitness.render.encoding import VORBIS_RATES
from earwitness.types import Audio, FloatArray, Mask, Target

COPIES = 4  # seeds, and copies with noise


def fields_of(grid: Grid) -> set[str]:
    """Return the fields that the named metrics of a grid need and that masks do not give."""
    needed = {field for name in grid.metrics for field in METRICS.get(name).given.values()}
    return needed & {
        *("seed_maps", "noise_maps", "encoded_maps", "random_maps"),
        *("other_evidence", "speech_sound", "sizes"),
    }


def check_metrics(grid: Grid, model: Model) -> None:
    """Raise if a named metric cannot be computed for a model, before anything is run.

    Raises
    ------
    NotApplicableError
        If the model's rate cannot be encoded, its weights cannot be scrambled, or a package is
        missing.
    ParameterError
        If the metric compares with another model and none is given, or it shares no label.
    """
    fields = fields_of(grid)
    low, high = VORBIS_RATES
    if "encoded_maps" in fields and not low <= model.rate <= high:
        raise NotApplicableError(
            f"stability-encoding: sounds at {model.rate} Hz cannot be encoded as Vorbis, which "
            f"takes {low} to {high} Hz"
        )
    weights = () if model.module is None else model.module.parameters()
    if "random_maps" in fields and next(iter(weights), None) is None:
        raise NotApplicableError(f"sanity: {model.name} has no weights to scramble")
    if "speech_sound" in fields and importlib.util.find_spec("pystoi") is None:
        raise NotApplicableError("stoi needs the package pystoi: pip install 'earwitness[speech]'")
    if "other_evidence" in fields:
        if grid.other is None:
            raise ParameterError("transfer compares with another classifier: name it by --other")
        if grid.other.task == "regression" or not set(model.labels) & set(grid.other.labels):
            raise ParameterError(
                f"transfer: {grid.other.name} has no label of {model.name}, so their outputs "
                "cannot be compared"
            )


def repetitions(grid: Grid, model: Model, wave: FloatArray) -> dict[str, int]:
    """Return how many more explanations of a sound by a method each named metric costs.

    Parameters
    ----------
    wave : ndarray, shape (time,)
        A sound, for the forward pass that finds the blocks of the network.
    """
    fields = fields_of(grid)
    found = {}
    if "random_maps" in fields:
        found["sanity"] = len(find_blocks(model, torch.from_numpy(wave).to(model.device)))
    for name, count in (("seed", COPIES), ("noise", COPIES), ("encoded", 1)):
        if f"{name}_maps" in fields:
            found[f"stability-{'encoding' if name == 'encoded' else name}"] = count
    return found


def sized_masks(
    probe: Probe, choice: Choice, values: FloatArray, rules: Sequence[str]
) -> list[Mask]:
    """Return the masks of a map by some rules.

    A method that takes the share of cells to keep as an option is asked again for the share of each
    rule that names one, as ``explain --keep`` does, unless the choice sets the option.

    Parameters
    ----------
    values : ndarray, shape (freq, frame)
        The map.
    rules : sequence of str
        Such as ``area:10%``.
    """
    own = choice.name != IDEAL and METHODS.get(choice.name).sized and not choice.options["size"]

    @cache
    def of(share: float) -> FloatArray:
        if not share:
            return values
        found = METHODS.get(choice.name).map(probe, {**choice.options, "size": share}).values
        array: FloatArray = found.float().cpu().numpy()
        return array

    shares = [share_of(rule.removesuffix(AS_HEARD)) if own else 0.0 for rule in rules]
    return [mask_by(probe, of(share), rule) for share, rule in zip(shares, rules, strict=True)]


def repeated(
    grid: Grid, choice: Choice, model: Model, wave: FloatArray, target: Target,
    seed: int, values: FloatArray, drew: bool,
) -> dict[str, Any]:  # fmt: skip
    """Return the maps of repeated explanations that the grid's metrics need.

    Parameters
    ----------
    wave : ndarray, shape (time,)
    seed : int
        Seed of the first explanation.
    values : ndarray, shape (freq, frame)
        Its map.
    drew : bool
        Whether it made random draws; without them, maps of other seeds are the same.
    """
    fields = fields_of(grid)
    if choice.name == IDEAL:
        return {}

    def explain(sound: FloatArray, own: int) -> FloatArray:
        probe = Probe(model, torch.from_numpy(sound), target, seed=own)
        found = METHODS.get(choice.name).map(probe, choice.options).values
        array: FloatArray = found.float().cpu().numpy()
        return array

    found: dict[str, Any] = {}
    if "seed_maps" in fields:
        others = [explain(wave, seed + k) for k in range(1, COPIES + 1)] if drew else [values]
        found["seed_maps"] = np.stack(others)
    if "noise_maps" in fields:
        copies = noisy_copies(wave, COPIES, seed)
        found["noise_maps"] = np.stack([explain(copy, seed) for copy in copies])
    if "encoded_maps" in fields:
        found["encoded_maps"] = explain(encoded_copy(wave, model.rate), seed)[None]
    if "random_maps" in fields:
        sound = torch.from_numpy(wave).to(model.device)
        maps = each_scrambled(model, sound, lambda: explain(wave, seed), seed=seed)
        found["random_maps"] = np.stack(maps)
    return found


def other_outputs(
    grid: Grid, model: Model, target: Target, whole: FloatArray, sounds: Sequence[FloatArray]
) -> dict[str, Any]:
    """Return another model's probabilities of the target for evidence and remainder.

    Parameters
    ----------
    whole : ndarray, shape (time,)
        The input.
    sounds : sequence of ndarray, shape (time,)
        The evidence of each mask.
    """
    other = grid.other
    if other is None or "other_evidence" not in fields_of(grid):
        return {}
    label = model.labels[target.index]
    if label not in other.labels:
        return {}
    index = output_index(other, label)

    def chance(sound: FloatArray) -> float:
        wave = as_audio(Audio(np.asarray(sound, np.float32), model.rate), rate=other.rate).samples
        with torch.no_grad():
            outputs = other(torch.from_numpy(wave).to(other.device).unsqueeze(0))
        return float(probabilities(other, outputs)[:, index].mean())  # over frames, if it has any

    with other.undisturbed():
        return {
            "other_evidence": np.array([chance(one) for one in sounds]),
            "other_remainder": np.array([chance(whole - one) for one in sounds]),
        }


def cost(grid: Grid, model: Model, wave: FloatArray) -> list[str]:
    """Return a line for each named metric that costs more than the masks, and what it costs."""
    choices = [choice for choice in grid.methods if choice.name != IDEAL]
    passes = sum(METHODS.get(choice.name).passes(choice.options) for choice in choices)
    found = repetitions(grid, model, wave)
    masks = f"masks of {len(SIZES)} sizes: about {4 * len(SIZES)} more forward passes for each map"
    return [masks] * ("sizes" in fields_of(grid)) + [
        f"{name}: {count} more explanations of each sound by each of {len(choices)} methods, about "
        f"{count * passes * len(grid.seeds)} more forward passes a sound"
        for name, count in found.items()
    ]
