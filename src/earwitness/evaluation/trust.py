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

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from earwitness.evaluation.passes import evaluate
from earwitness.masks.measure import kept_energy
from earwitness.models.target import reported_score
from earwitness.probe import Probe
from earwitness.types import Control, FloatArray, Mask, Outcome, Pair, TrustCard

RANDOM_DRAWS = 8
_MARGIN = 1e-3  # a difference that a float32 model can make by itself
PASSES = 4 * (2 + RANDOM_DRAWS)


def trust_card(
    probe: Probe, mask: Mask, whole: Tensor, *, seed: int
) -> tuple[TrustCard, dict[str, Tensor]]:
    """Score a mask, its complement and its controls.

    Parameters
    ----------
    whole : Tensor, shape (output,)
        The model's outputs on the input.

    Returns
    -------
    TrustCard
    dict of str to Tensor
        ``evidence`` and ``remainder``: the model's outputs (output,) on the sound of each.
    """
    magnitude = probe.magnitude.cpu().numpy()
    orders = list(_orders(mask, magnitude, seed))
    passes = evaluate(probe, orders)

    def reported(outputs: Tensor) -> list[float]:
        scores: list[float] = reported_score(probe.model, outputs, probe.target).tolist()
        return scores

    sides = [passes.spectrogram.evidence, passes.audio.evidence]
    sides += [passes.spectrogram.remainder, passes.audio.remainder]
    outcomes = [
        Outcome(Pair(*figures[:2]), Pair(*figures[2:]))
        for figures in zip(*map(reported, sides), strict=True)
    ]
    energies = [kept_energy(order, magnitude) for order in orders]
    controls = {
        "random": _summary(outcomes[2:], energies[2:], mask.area),
        "energy": _summary(outcomes[1:2], energies[1:2], mask.area),
    }
    score = reported(whole[None])[0]
    card = TrustCard(probe.target.kind, score, outcomes[0], controls, probe.target.sign)
    return card, {"evidence": passes.audio.evidence[0], "remainder": passes.audio.remainder[0]}


def _orders(mask: Mask, magnitude: NDArray[np.floating], seed: int) -> Iterator[FloatArray]:
    """Yield the mask's gains, then the same by energy, then in random orders."""
    yield mask.gains
    yield order_by(mask.gains, magnitude)
    rng = np.random.default_rng(seed)
    for _ in range(RANDOM_DRAWS):
        yield order_by(mask.gains, surrogate(mask.gains, rng))


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


def _summary(outcomes: list[Outcome], energies: list[float], area: float) -> Control:
    figures = np.array(
        [
            [o.evidence.spectrogram, o.evidence.audio, o.remainder.spectrogram, o.remainder.audio]
            for o in outcomes
        ]
    )
    mean, low, high = (
        Outcome(Pair(*row[:2].tolist()), Pair(*row[2:].tolist()))
        for row in (figures.mean(axis=0), figures.min(axis=0), figures.max(axis=0))
    )
    return Control(mean, low, high, len(outcomes), area, float(np.mean(energies)))


def ahead_of(card: TrustCard, mask: Mask) -> list[str]:
    """Return the controls that the explanation is ahead of, judged by what is heard.

    It is ahead if evidence minus remainder is positive and larger than any order of the control's
    gains reaches; the other way round for a target that asks what lowers a value. A degenerate mask
    is ahead of nothing.
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
