"""One sound: how much the map of every method changes as the weights are scrambled.

Only frames in which the sound is not digital silence are compared. Where it is, most maps are zero
whatever the weights, and two maps of zeros are the same; recordings that are padded with silence
would seem to have stable explanations. ``ssim-whole`` counts every frame, as the paper does, whose
pictures have no such padding.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from earwitness.benchmark.cells import Setting, explain_by, prepare, seed_of
from earwitness.benchmark.grid import Choice
from earwitness.benchmark.ledger import Line, pack
from earwitness.benchmark.sanity.plan import Plan
from earwitness.data.clips import Clip
from earwitness.errors import EarwitnessError, NotApplicableError
from earwitness.evaluation.scrambling import each_scrambled, find_blocks
from earwitness.metrics.similarity import spearman, ssim
from earwitness.models.model import Model
from earwitness.render.picture import thumbnail
from earwitness.types import FloatArray

MEASURES = ("ssim", "ssim-signed", "spearman", "spearman-signed", "ssim-whole")
SILENCE = 1e-7  # -140 dB relative to the loudest cell: less than a bit of 16
_SAME = 1e-6  # relative to the largest value of a map; rounding, not a change


def measure_randomised(
    model: Model, name: str, clip: Clip, plan: Plan, tick: Callable[[int], None] | None = None
) -> list[Line]:
    """Return the lines of one sound, one for each method, order and seed.

    Parameters
    ----------
    name : str
        Name of the model in the results.
    tick : callable, optional
        Called with the number of forward passes, as they are made.
    """
    head: Line = {"model": name, "clip": clip.name, "sound": None}
    try:
        with torch.inference_mode(False), model.undisturbed():
            setting = prepare(model, clip)
            head |= {"sound": setting.material.digest, "target": str(setting.target)}
            wave = setting.material.input
            magnitude = model.plane.analyse(torch.from_numpy(wave)).abs().numpy()
            frames = sounding(magnitude)
            if not frames.any():
                raise NotApplicableError(f"{clip.name}: digital silence")
            blocks = find_blocks(model, torch.from_numpy(wave).to(model.device))
            head |= {
                "blocks": [" + ".join(one or model.name for one in block) for block in blocks],
                "silent": round(1 - float(frames.mean()), 4),
            }
            return [
                {**head, **_of_method(setting, choice, order, seed, plan, magnitude, tick)}
                for choice in plan.methods
                for order in plan.orders
                for seed in plan.seeds
            ]
    except EarwitnessError as error:
        return [{**head, "method": None, "failed": str(error)}]


def sounding(magnitude: FloatArray) -> NDArray[np.bool_]:
    """Return the frames (frame,) of a spectrogram (freq, frame) that are not digital silence."""
    loudest: NDArray[np.floating] = magnitude.max(axis=0)
    return np.asarray(loudest > SILENCE * loudest.max())


def _of_method(
    setting: Setting, choice: Choice, order: Any, seed: int, plan: Plan,
    magnitude: FloatArray, tick: Callable[[int], None] | None,
) -> dict[str, Any]:  # fmt: skip
    facts = {"method": choice.name, "options": dict(choice.options), "order": order, "seed": seed}
    wave = torch.from_numpy(setting.material.input).to(setting.model.device)

    def explain() -> FloatArray:
        values = explain_by(choice, setting.probe(seed, tick), {}).values
        array: FloatArray = values.float().cpu().numpy()
        return array

    try:
        first = explain()
        own = seed_of(seed, setting.clip)  # other draws for every sound
        maps = each_scrambled(setting.model, wave, explain, order=order, seed=own)
    except EarwitnessError as error:
        return {**facts, "failed": str(error)}
    facts |= compared(first, np.stack(maps), sounding(magnitude))
    if plan.drawn(setting.clip) and (order, seed) == (plan.orders[0], plan.seeds[0]):
        drawn = [thumbnail(magnitude, one) for one in (first, *maps)]
        facts["pictures"] = [base64.b64encode(one).decode("ascii") for one in drawn]
    return facts


def compared(
    first: FloatArray, others: FloatArray, frames: NDArray[np.bool_]
) -> dict[str, list[Any] | bool]:
    """Return every measure for each of several maps.

    Parameters
    ----------
    first : ndarray, shape (freq, frame)
    others : ndarray, shape (map, freq, frame)
    frames : ndarray of bool, shape (frame,)
        Frames that are compared.

    Returns
    -------
    dict
        ``MEASURES``, a list over maps each: of absolute values, or with the sign. Spearman's
        correlation with a constant map is 0. ``constant`` says which maps are, and ``unchanged``
        whether all are equal to the first one.
    """
    signed = bool((first < 0).any() or (others < 0).any())
    sizes, first_size = np.abs(others), np.abs(first)
    found = {
        "ssim": ssim(first_size, sizes, frames),
        "spearman": spearman(first_size[:, frames], sizes[..., frames]),
    }
    found["ssim-whole"] = found["ssim"] if frames.all() else ssim(first_size, sizes)
    # without negative values both are the same
    found["ssim-signed"] = ssim(first, others, frames) if signed else found["ssim"]
    found["spearman-signed"] = (
        spearman(first[:, frames], others[..., frames]) if signed else found["spearman"]
    )
    for name in ("spearman", "spearman-signed"):
        found[name] = np.nan_to_num(found[name], nan=0.0)
    largest = float(first_size.max())
    return {
        **{name: [pack(round(float(one), 5)) for one in found[name]] for name in MEASURES},
        "constant": [bool(np.ptp(one) == 0) for one in others],
        "unchanged": bool((np.abs(others - first) <= _SAME * largest).all()),
    }
