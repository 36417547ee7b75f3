"""The trust card: what the target scores on evidence alone and on the remainder alone, beside
masks of the same gains that know nothing.

Conventions
-----------
``plane`` scores the masked transform through the shortest route to the model. ``heard`` scores the
sound itself with the whole model, on the very float32 samples that a saved file holds. For binary
masks the two differ, because a masked transform is rarely the transform of any sound.

Controls hold the mask's own gains in another order, so their area is equal to the last digit: by
energy (the largest gains on the loudest cells), and at random with the mask's own smoothness
(phase-randomised surrogates; Theiler et al. 1992, section 2.4, in two dimensions).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earwitness.mask import kept_energy
from earwitness.probe import Probe
from earwitness.render import render
from earwitness.types import Control, FloatArray, Mask, Outcome, Pair, TrustCard

RANDOM_DRAWS = 8
_MARGIN = 1e-3  # a difference that a float32 model can make by itself
PASSES = 4 * (2 + RANDOM_DRAWS)


def trust_card(probe: Probe, mask: Mask, *, seed: int) -> tuple[TrustCard, dict[str, Tensor]]:
    """Score a mask, its complement and its controls.

    Returns
    -------
    TrustCard
    dict of str to Tensor
        ``evidence`` and ``remainder``: the model's outputs (output,) on the sound of each.
    """
    magnitude = probe.magnitude.cpu().numpy()
    by_energy = order_by(mask.gains, magnitude)
    rng = np.random.default_rng(seed)
    draws = [order_by(mask.gains, surrogate(mask.gains, rng)) for _ in range(RANDOM_DRAWS)]
    gains = torch.from_numpy(np.stack([mask.gains, by_energy, *draws])).to(probe.device)
    plane, heard, outputs = _score(probe, gains)
    outcomes = [
        Outcome(Pair(plane[0][k], heard[0][k]), Pair(plane[1][k], heard[1][k]))
        for k in range(len(gains))
    ]
    with torch.no_grad():
        whole = probe.model.reported(probe.model(probe.wave.unsqueeze(0)), probe.target)
    controls = {
        "random": _summary(outcomes[2:], mask, draws, magnitude),
        "energy": _summary(outcomes[1:2], mask, [by_energy], magnitude),
    }
    return TrustCard(probe.target.kind, float(whole), outcomes[0], controls), outputs


def _score(
    probe: Probe, gains: Tensor
) -> tuple[list[list[float]], list[list[float]], dict[str, Tensor]]:
    """Return scores of evidence and remainder for every gain map, on the plane and as heard."""
    model, target = probe.model, probe.target
    plane: list[list[float]] = [[], []]
    heard: list[list[float]] = [[], []]
    first: dict[str, Tensor] = {}
    size = max(1, probe.chunk // 2)
    with torch.no_grad():
        for some in gains.split(size):
            both = probe.outputs(torch.cat([some, 1 - some]))
            sounds = torch.cat(render(model.plane, probe.spectrum, some, probe.samples))
            whole = model(sounds.float())
            probe.tick(len(sounds))
            for scores, outputs in ((plane, both), (heard, whole)):
                for side, part in enumerate(outputs.split(len(some))):
                    scores[side] += model.reported(part, target).tolist()
            if not first:
                first = {"evidence": whole[0], "remainder": whole[len(some)]}
    return plane, heard, first


def order_by(gains: FloatArray, key: NDArray[np.floating]) -> FloatArray:
    """Return the same gains, largest where ``key`` is largest."""
    ordered = np.empty(gains.size, np.float32)
    ordered[np.argsort(key, axis=None, kind="stable")] = np.sort(gains, axis=None)
    return ordered.reshape(gains.shape)


def surrogate(gains: FloatArray, rng: np.random.Generator) -> NDArray[np.floating]:
    """Return noise with the gains' own power spectrum, hence their smoothness along both axes."""
    centred = gains - gains.mean(dtype=np.float64)
    power = np.abs(np.fft.rfft2(centred))
    phases = np.fft.rfft2(rng.standard_normal(gains.shape))
    return np.fft.irfft2(power * np.exp(1j * np.angle(phases)), s=gains.shape)


def _summary(
    outcomes: list[Outcome], mask: Mask, gains: list[FloatArray], magnitude: NDArray[np.floating]
) -> Control:
    figures = np.array(
        [
            [o.evidence.plane, o.evidence.heard, o.remainder.plane, o.remainder.heard]
            for o in outcomes
        ]
    )
    mean, low, high = (
        Outcome(Pair(*row[:2].tolist()), Pair(*row[2:].tolist()))
        for row in (figures.mean(axis=0), figures.min(axis=0), figures.max(axis=0))
    )
    energy = float(np.mean([kept_energy(one, magnitude) for one in gains]))
    return Control(mean, low, high, len(outcomes), mask.area, energy)


def ahead_of(card: TrustCard, mask: Mask) -> list[str]:
    """Return the controls that the explanation is ahead of, judged by what is heard.

    It is ahead if evidence minus remainder is positive and larger than any order of the control's
    gains reaches. A degenerate mask is ahead of nothing.
    """
    if mask.degenerate:
        return []
    ours = card.outcome.evidence.heard - card.outcome.remainder.heard
    ahead = []
    for name, control in card.controls.items():
        theirs = control.high.evidence.heard - control.low.remainder.heard
        if ours > max(theirs, 0.0) + _MARGIN:
            ahead.append(name)
    return ahead


def verdict(card: TrustCard, mask: Mask) -> str:
    """Say in a sentence what the figures allow one to say."""
    if mask.degenerate:
        return f"The mask is {mask.degenerate}: it says nothing about where the evidence is."
    names = ahead_of(card, mask)
    others = [name for name in card.controls if name not in names]
    if not others:
        return "Ahead of every control of the same size: evidence and remainder are told apart."
    if names:
        return (
            f"Ahead of the {names[0]} control of the same size, but not of the {others[0]} control."
        )
    return "Not ahead of controls of the same size: do not rely on this explanation."
