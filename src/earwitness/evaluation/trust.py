"""The trust card: the target's score for the evidence alone, for the remainder alone, and for
controls of the same size that do not depend on the model.

Conventions
-----------
``spectrogram`` scores the masked spectrogram by the shortest route to the model. ``audio`` scores
the resynthesised sound with the whole model, on the float32 samples of the saved file. For binary
masks the two differ, because a masked STFT is usually not the STFT of any sound; verdicts use the
audio scores.

Controls are permutations of the mask's gains (``earwitness.evaluation.orders``): by energy, and at
random. Random orders are scored as audio only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from earwitness.evaluation.orders import Orders
from earwitness.evaluation.passes import BOTH, Passes, Routes, evaluate
from earwitness.masks.measure import kept_energy
from earwitness.models.target import reported_score
from earwitness.probe import Probe
from earwitness.types import Control, Mask, Outcome, Pair, Trust, TrustCard

RANDOM_DRAWS = {"full": 8, "light": 1, "none": 0}  # random orders; two forward passes each
_ROUTES: dict[Trust, Routes] = {"full": BOTH, "light": ("audio",), "none": ()}
_MARGIN = 1e-3  # probability or score; above float32 rounding and batching effects of a model


def card_passes(level: Trust) -> int:
    """Return the number of forward passes of a card: 24 if full, 6 if light."""
    both = 2 * len(_ROUTES[level])  # evidence and remainder
    return 2 * both + 2 * RANDOM_DRAWS[level] if both else 0


def trust_card(
    probe: Probe, mask: Mask, whole: Tensor, orders: Orders, level: Trust = "full"
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

    Returns
    -------
    TrustCard or None
    dict of str to Tensor
        ``evidence`` and ``remainder``: the model's outputs (output,) for the sound of each.
    """
    if level == "none":
        return None, {}
    by_energy = orders.by_energy(mask.gains)
    own = evaluate(probe, (mask.gains, by_energy), routes=_ROUTES[level])
    randoms = orders.at_random(mask.gains, RANDOM_DRAWS[level])
    others = evaluate(probe, randoms, routes=("audio",))
    evidence, energy = _outcomes(probe, own)
    random = _outcomes(probe, others)
    # the mean over draws of energies is the energy of the mean square
    kept = kept_energy(np.sqrt(np.mean(np.square(randoms), axis=0)), orders.power)
    controls = {
        "random": _summary(random, kept, mask.area),
        "energy": _summary([energy], kept_energy(by_energy, orders.power), mask.area),
    }
    score = float(reported_score(probe.model, whole[None], probe.target)[0])
    card = TrustCard(probe.target.kind, score, evidence, controls, probe.target.sign)
    return card, {"evidence": own.audio.evidence[0], "remainder": own.audio.remainder[0]}


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


def _summary(outcomes: list[Outcome], energy: float, area: float) -> Control:
    """Return mean, minimum and maximum of the scores of several orders."""

    def over(function: Callable[[list[float]], Any]) -> Outcome:
        def pair(pairs: list[Pair]) -> Pair:
            shortest = [one.spectrogram for one in pairs if one.spectrogram is not None]
            spectrogram = float(function(shortest)) if shortest else None
            return Pair(spectrogram, float(function([one.audio for one in pairs])))

        return Outcome(pair([o.evidence for o in outcomes]), pair([o.remainder for o in outcomes]))

    mean, low, high = over(np.mean), over(min), over(max)
    return Control(mean, low, high, len(outcomes), area, energy)


def ahead_of(card: TrustCard, mask: Mask) -> list[str]:
    """Return the controls that the explanation is ahead of, by its audio scores.

    It is ahead if evidence minus remainder is positive and larger than for every order of the
    control's gains; the sign is reversed for a target with direction ``down``. A degenerate mask is
    ahead of no control.
    """
    if mask.degenerate:
        return []
    ours = card.sign * (card.outcome.evidence.audio - card.outcome.remainder.audio)
    ahead = []
    for name, control in card.controls.items():
        best, worst = (control.high, control.low)[:: card.sign]
        theirs = card.sign * (best.evidence.audio - worst.remainder.audio)
        if ours > max(theirs, 0.0) + _MARGIN:
            ahead.append(name)
    return ahead


def verdict(card: TrustCard | None, mask: Mask) -> str:
    """Return the conclusion from the scores as a sentence."""
    if mask.degenerate:
        return f"The mask is {mask.degenerate}: it does not localise the evidence."
    if card is None:
        return "Not scored (no trust card)."
    names = ahead_of(card, mask)
    others = [name for name in card.controls if name not in names]
    if not others:
        return "Ahead of every control of the same size."
    if names:
        return (
            f"Ahead of the {names[0]} control of the same size, but not of the {others[0]} control."
        )
    return "Not ahead of controls of the same size: do not rely on this explanation."
