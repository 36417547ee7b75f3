"""The trust card: the target's score for the evidence alone, for the remainder alone, and for
controls that do not depend on the model.

Conventions
-----------
``spectrogram`` scores the masked spectrogram by the shortest route to the model. ``audio`` scores
the resynthesised sound with the whole model, on the float32 samples of the saved file. For binary
masks the two differ, because a masked STFT is usually not the STFT of any sound; verdicts use the
audio scores.

Two controls are permutations of the mask's gains (``earwitness.evaluation.orders``): by energy, and
at random. The others are no sound of the input at all: silence, and the background that stands in
for what is removed. Random orders, silence and background are scored as audio only.

The effect of a mask is the Shapley value of its evidence in the game of evidence and remainder,
``((v(evidence) - v(nothing)) + (v(input) - v(remainder))) / 2``, where ``v`` is the score of a
sound in which the background replaces the part that is absent (Shapley 1953).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earwitness.errors import ModelError
from earwitness.evaluation.cases import heard
from earwitness.evaluation.orders import Orders
from earwitness.evaluation.passes import BOTH, Passes, Routes, evaluate
from earwitness.masks.measure import kept_energy
from earwitness.metrics.conciseness import effective_area
from earwitness.models.fingerprint import PerModel
from earwitness.models.model import Model
from earwitness.models.target import reported_score
from earwitness.probe import Probe
from earwitness.scores import Control, Effect, Outcome, Pair, TrustCard
from earwitness.steps import chunks
from earwitness.types import FloatArray, Mask, Trust

RANDOM_DRAWS = {"full": 8, "light": 1, "none": 0}  # random orders; two forward passes each
_SMALL = 0.05  # share of the score
_SILENT: PerModel[Tensor | None] = PerModel()  # outputs for silence, by its samples
_ROUTES: dict[Trust, Routes] = {"full": BOTH, "light": ("audio",), "none": ()}


def card_passes(level: Trust) -> int:
    """Return the number of forward passes of a card: 25 if full, 7 if light.

    A background other than silence needs as many passes again for sounds that it fills: 21 if
    full, 7 if light.
    """
    both = 2 * len(_ROUTES[level])  # evidence and remainder
    return 2 * both + 2 * RANDOM_DRAWS[level] + 1 if both else 0


def trust_card(
    probe: Probe,
    mask: Mask,
    whole: Tensor,
    orders: Orders,
    level: Trust = "full",
    backgrounds: Sequence[Probe] = (),
) -> tuple[TrustCard | None, dict[str, Tensor]]:
    """Score a mask, its complement and its controls.

    Parameters
    ----------
    whole : Tensor, shape (output,)
        The model's outputs for the input.
    orders : Orders
        Of the input's magnitude.
    level : {"full", "light", "none"}
        Full: evidence, remainder and the energy control by both routes, and eight random orders as
        audio. Light: audio only, with one random order.
    backgrounds : sequence of Probe
        The probe with each background; the effect is averaged over them. Silence if empty.

    Returns
    -------
    TrustCard or None
    dict of str to Tensor
        ``evidence`` and ``remainder``: the model's outputs (output,) for the sound of each.
    """
    if level == "none":
        return None, {}
    by_energy = orders.by_energy(mask.gains)
    own = evaluate(probe, (mask.gains, by_energy), routes=_ROUTES[level], sounds=True)
    assert own.sounds is not None
    effective = effective_area(heard(probe, own.sounds)).tolist()
    randoms = orders.at_random(mask.gains, RANDOM_DRAWS[level])
    others = evaluate(probe, randoms, routes=("audio",))
    outcomes = [*_outcomes(probe, own), *_outcomes(probe, others)]
    score = float(reported_score(probe.model, whole[None], probe.target)[0])
    silence = _silence(probe)
    masks = (mask.gains, by_energy, *randoms)
    games = [
        _Game(silence, [one.evidence.audio for one in outcomes],
              [one.remainder.audio for one in outcomes])
        if background.background is None else _filled(background, masks)
        for background in backgrounds or (probe,)
    ]  # fmt: skip
    values = np.mean([game.effects(score, probe.target.sign) for game in games], axis=0)
    # the mean over draws of energies is the energy of the mean square
    kept = kept_energy(np.sqrt(np.mean(np.square(randoms), axis=0)), orders.power)
    controls = {
        "random": _summary(outcomes[2:], kept, mask.area, float(values[2:].max())),
        "energy": _summary(
            outcomes[1:2],
            kept_energy(by_energy, orders.power),
            mask.area,
            float(values[1]),
            effective[1],
        ),
    }
    if silence is not None:
        controls["silence"] = _summary([_without(silence, score)], 0.0, 0.0, None)
    known = [game.nothing for game in games if game.nothing is not None]
    if any(background.background is not None for background in backgrounds) and known:
        controls["background"] = _summary([_without(float(np.mean(known)), score)], 0.0, 0.0, 0.0)
    card = TrustCard(
        probe.target.kind, score, outcomes[0], controls, probe.target.sign,
        _effect(float(values[0]), _range(probe, score, known)), effective[0],
    )  # fmt: skip
    return card, {"evidence": own.audio.evidence[0], "remainder": own.audio.remainder[0]}


@dataclass(frozen=True)
class _Game:
    """Scores of evidence and remainder of some masks, with one background where a part is absent.

    ``nothing`` is the score of the background; None if the model has no finite output for it.
    """

    nothing: float | None
    evidence: Sequence[float]
    remainder: Sequence[float]

    def effects(self, whole: float, sign: int) -> list[float]:
        """Return the effect of every mask (see the module)."""
        lost = [sign * (whole - one) for one in self.remainder]
        if self.nothing is None:
            return lost
        gained = [sign * (one - self.nothing) for one in self.evidence]
        return [(a + b) / 2 for a, b in zip(gained, lost, strict=True)]


def _filled(probe: Probe, masks: Sequence[FloatArray]) -> _Game:
    """Score evidence and remainder as sound, with the probe's background where they are absent."""
    gains = [np.zeros_like(masks[0]), *masks, *(1 - one for one in masks)]
    scores: list[float] = []
    with torch.no_grad():
        for some in chunks((torch.from_numpy(one).to(probe.device) for one in gains), probe.chunk):
            outputs = probe.model(probe.sound(torch.stack(some)))
            probe.tick(len(outputs))
            scores += reported_score(probe.model, outputs, probe.target).tolist()
    nothing, *both = scores
    return _Game(nothing, both[: len(masks)], both[len(masks) :])


def forget_silence(model: Model) -> None:
    """Evaluate silence again: a function may have changed between calls, and has no weights."""
    _SILENT.forget(model)


def _silence(probe: Probe) -> float | None:
    """Return the score of silence; None if the model has no finite output for it.

    The outputs are those of the sound before if that was as long.
    """
    known = _SILENT.of(probe.model)
    if probe.samples not in known:
        known.clear()
        try:
            with torch.no_grad():
                known[probe.samples] = probe.model(torch.zeros_like(probe.wave)[None])
        except ModelError:
            known[probe.samples] = None
        probe.tick(1)
    outputs = known[probe.samples]
    if outputs is None:
        return None
    return float(reported_score(probe.model, outputs, probe.target)[0])


def _range(probe: Probe, score: float, nothing: Sequence[float]) -> float:
    """Return the range of the score, or its distance from the score of the background.

    If that distance is less than 5 % of the score itself, the sound hardly changes the score, and
    the range is the score's absolute value.
    """
    if probe.target.kind == "probability":
        return 1.0
    limits = probe.model.range if probe.target.kind == "value" else None
    if limits is not None and probe.target.versus_index is None:
        return limits[1] - limits[0]
    distance = abs(score - float(np.mean(nothing))) if nothing else 0.0
    return distance if distance >= _SMALL * abs(score) else abs(score)


def _effect(value: float, of: float) -> Effect:
    return Effect(value, value / of if of > 0 else 0.0, of)


def _without(nothing: float, whole: float) -> Outcome:
    """Return the outcome of a mask that keeps nothing: the whole input is the remainder."""
    return Outcome(Pair(None, nothing), Pair(None, whole))


def _outcomes(probe: Probe, passes: Passes) -> list[Outcome]:
    """Return the outcome of every mask."""

    def scores(outputs: Tensor) -> list[float]:
        found: list[float] = reported_score(probe.model, outputs, probe.target).tolist()
        return found

    evidence, remainder = scores(passes.audio.evidence), scores(passes.audio.remainder)
    first: list[float | None] = [None] * len(evidence)
    second = first
    if passes.spectrogram.evidence.shape[1]:
        first = [*scores(passes.spectrogram.evidence)]
        second = [*scores(passes.spectrogram.remainder)]
    rows = zip(first, evidence, second, remainder, strict=True)
    return [Outcome(Pair(*row[:2]), Pair(*row[2:])) for row in rows]


def _summary(
    outcomes: list[Outcome],
    energy: float,
    area: float,
    effect: float | None,
    effective: float | None = None,
) -> Control:
    """Return mean, minimum and maximum of the scores of several orders."""

    def over(function: Callable[[list[float]], Any]) -> Outcome:
        def pair(pairs: list[Pair]) -> Pair:
            shortest = [one.spectrogram for one in pairs if one.spectrogram is not None]
            spectrogram = float(function(shortest)) if shortest else None
            return Pair(spectrogram, float(function([one.audio for one in pairs])))

        return Outcome(pair([o.evidence for o in outcomes]), pair([o.remainder for o in outcomes]))

    mean, low, high = over(np.mean), over(min), over(max)
    return Control(mean, low, high, len(outcomes), area, energy, effect, effective)
