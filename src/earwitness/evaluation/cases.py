"""Cases: the fields that metrics take, computed for the masks of one sound.

``make_cases`` evaluates the model once on all masks, and on the nested masks of the insertion and
deletion curves, and returns a case for each route. Other fields are added by the caller: the true
source, reruns, another classifier's outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earwitness.evaluation.passes import Memo, Sides, evaluate
from earwitness.evaluation.published import PUBLISHED
from earwitness.masks.measure import gains_as_heard
from earwitness.metrics.curves import nested_gains
from earwitness.metrics.localisation import map_fields
from earwitness.metrics.registry import METRICS, Array, Case
from earwitness.models.model import Model
from earwitness.models.target import explained_score, over, probabilities
from earwitness.plane.stft import modulus
from earwitness.probe import Probe
from earwitness.registry import unknown
from earwitness.types import FloatArray, Target

ROUTES = ("spectrogram", "audio")


def make_cases(
    probe: Probe,
    gains: Sequence[FloatArray] | FloatArray,
    *,
    whole: Tensor | None = None,
    attribution: FloatArray | None = None,
    steps: int = 11,
    domain: str = "linear",
    sounds: bool = True,
    memo: Memo | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the cases ``spectrogram`` and ``audio`` of some masks of one sound.

    Parameters
    ----------
    gains : sequence of ndarray, shape (freq, frame)
        The masks.
    whole : Tensor, shape (output[, frame]), optional
        The model's outputs for the input, if known.
    attribution : ndarray, shape (freq, frame), optional
        The map of the masks; its fields and the two curves are added.
    steps : int >= 2
        Points of the curves; each costs the forward passes of one mask.
    domain : {"linear", "log1p", "dB"}
        Domain in which gains multiply the magnitude.
    sounds : bool
        Whether to keep the sounds for metrics of sound.
    memo : dict, optional
        Outputs shared between calls for one sound (``evaluate``).
    """
    gains = np.asarray(gains, np.float32)
    if whole is None:
        with torch.no_grad():
            whole = probe.model(probe.wave.unsqueeze(0))[0]
    nested: Array = np.empty((0, *probe.shape), np.float32)
    shares: Array = np.empty(0)
    shared: dict[str, Any] = {"gains": gains, "magnitude": probe.magnitude.cpu().numpy()}
    if attribution is not None:
        nested, shares = nested_gains(attribution, steps)
        shared |= {**map_fields(attribution[None]), "map": attribution}
    count = len(gains)
    passes = evaluate(probe, [*gains, *nested], domain=domain, sounds=sounds, memo=memo)
    if passes.sounds is not None:
        shared |= {"sounds": passes.sounds[:count].numpy(), "rate": probe.model.rate}
        shared |= {"input_sound": probe.wave.cpu().numpy()}
        shared["heard"] = heard(probe, passes.sounds[:count])
    cases = {}
    for route in ROUTES:
        sides: Sides = getattr(passes, route)
        fields = output_fields(probe.model, probe.target, whole.cpu(), sides.of(slice(count)))
        curve = output_fields(probe.model, probe.target, whole.cpu(), sides.of(slice(count, None)))
        if attribution is not None:
            kind, ending = ("p", "") if "p_evidence" in curve else ("z", "_score")
            fields[f"insertion{ending}"] = curve[f"{kind}_evidence"][None]
            fields[f"deletion{ending}"] = curve[f"{kind}_remainder"][None]
            fields["shares"] = shares[None]
        cases[route] = {**shared, **fields}
    return cases


def size_fields(
    probe: Probe,
    gains: Sequence[FloatArray],
    whole: Tensor,
    sizes: Sequence[float],
    *,
    memo: Memo | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the fields of a case for masks of several sizes of one map, by each route.

    Parameters
    ----------
    gains : sequence of ndarray, shape (freq, frame)
        A mask for each size.
    whole : Tensor, shape (output[, frame])
        The model's outputs for the input.
    sizes : sequence of float
        Shares of the cells.
    memo : dict, optional
        Outputs shared between calls for one sound (``evaluate``).
    """
    passes = evaluate(probe, gains, sounds=True, memo=memo)
    found = {}
    for route in ROUTES:
        fields = output_fields(probe.model, probe.target, whole.cpu(), getattr(passes, route))
        found[route] = {"sizes": np.array([sizes])} | {
            f"sized_{side}": fields[f"p_{side}"][None]
            for side in ("evidence", "remainder")
            if f"p_{side}" in fields
        }
    return found


def heard(probe: Probe, sounds: Tensor) -> FloatArray:
    """Return the gains (mask, freq, frame) of evidence as heard, from its sounds (mask, time)."""
    magnitude = probe.magnitude.cpu().numpy()
    found = np.empty((len(sounds), *magnitude.shape), np.float32)
    for k, sound in enumerate(sounds):
        kept = modulus(probe.model.plane.analyse(sound[None])[0]).cpu().numpy()
        found[k] = gains_as_heard(kept, magnitude)
    return found


def output_fields(model: Model, target: Target, whole: Tensor, sides: Sides) -> dict[str, Any]:
    """Return the fields of a case that hold the model's outputs, in float64.

    Parameters
    ----------
    whole : Tensor, shape (output[, frame])
        Outputs per frame are averaged over the target's frames, as the target's score is.
    sides : Sides
    """
    three = {
        "input": whole.double().unsqueeze(0),
        "evidence": sides.evidence.double(),
        "remainder": sides.remainder.double(),
    }
    fields: dict[str, Any] = {}
    for side, outputs in three.items():
        fields[f"z_{side}"] = explained_score(model, outputs, target).numpy()
        if target.kind == "probability":
            chances = probabilities(model, outputs)[:, target.index]
            fields[f"p_{side}"] = over(chances, target.frames).numpy()
            odds = _odds(model, outputs, target.index)
            fields[f"odds_{side}"] = over(odds, target.frames).numpy()
        if model.task == "single-label":
            fields[f"all_{side}"] = over(probabilities(model, outputs), target.frames).numpy()
    return {name: value[0] if name.endswith("_input") else value for name, value in fields.items()}


def measure(
    case: Case, names: Sequence[str] | None = None, *, compat: str | None = None
) -> dict[str, Array]:
    """Return the values of metrics for a case: of those named, or of all that apply.

    Parameters
    ----------
    case : mapping
        Arrays by names in ``FIELDS``.
    names : sequence of str, optional
    compat : {"lmac", "pak"}, optional
        Reproduce the definitions of a publication's code, errors included, for comparison with its
        tables only. Use its domain for the masks, ``log1p`` or ``dB``.

    Returns
    -------
    dict of str to ndarray, shape (batch,)
        One value for each mask or map.
    """
    if compat is not None:
        if compat not in PUBLISHED:
            raise unknown("publication", compat, PUBLISHED)
        figures = PUBLISHED[compat](case)
        return figures if names is None else {name: figures[name] for name in names}
    if names is not None:
        return {name: METRICS.get(name).of(case) for name in names}
    return {metric.name: metric.of(case) for metric in METRICS.all() if metric.applies(case)}


def _odds(model: Model, outputs: Tensor, index: int) -> Tensor:
    """Return ``ln(p / (1 - p))`` from the logits, because p may round to 1."""
    if model.output == "logits" and model.task == "single-label":
        others = torch.cat([outputs[:, :index], outputs[:, index + 1 :]], dim=1)
        return outputs[:, index] - others.logsumexp(dim=1)
    if model.output == "logits":
        return outputs[:, index]
    return outputs[:, index].logit(eps=1e-12)
