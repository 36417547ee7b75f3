"""Scores of a model on what a mask keeps and removes: the trust card, its verdict, the curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from earwitness.types import Grade, Kind


@dataclass(frozen=True)
class Pair:
    """The model on the masked spectrogram (shortest route), and on the resynthesised sound.

    ``spectrogram`` is None where only the sound was scored.
    """

    spectrogram: float | None
    audio: float


@dataclass(frozen=True)
class Outcome:
    """The target's score when only the kept part, and only the removed part, is left."""

    evidence: Pair
    remainder: Pair


@dataclass(frozen=True)
class Control:
    """What a mask of the same gains in another order scores, or no mask at all.

    ``mean`` is over ``draws`` orders; ``low`` and ``high`` are their extremes (equal to the mean
    if there is one). ``effect`` is the largest of the orders' (``Effect.value``); None in files of
    earlier versions. ``effective_area`` is as on the trust card, for the energy control only.
    """

    mean: Outcome
    low: Outcome
    high: Outcome
    draws: int
    area: float
    energy: float
    effect: float | None = None
    effective_area: float | None = None


@dataclass(frozen=True)
class Effect:
    """How much of the score the evidence accounts for.

    The Shapley value of the evidence in the game of evidence and remainder: the mean of what it
    adds to the background and of what the input loses without it, in the direction of the target.

    Attributes
    ----------
    value : float
        In the unit of the score.
    share : float
        ``value / of``; 0 if ``of`` is 0.
    of : float
        The output's range: 1 for a probability, the declared range of a value. Without a declared
        range, and for a difference of logits, the distance of the input's score from the score of
        the background, or the score's own size if the distance is less than 5 % of it.
    """

    value: float
    share: float
    of: float


@dataclass(frozen=True)
class Verdict:
    """The conclusion from a trust card: a grade, a title and reasons in words."""

    grade: Grade
    title: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class TrustCard:
    """Figures that say how far an explanation can be trusted.

    Attributes
    ----------
    kind : str
        Unit of every score here.
    input : float
        The target's score for the whole input.
    outcome : Outcome
        The same for evidence and remainder.
    controls : mapping of str to Control
        ``random`` and ``energy``, at the mask's own area; ``silence`` as the evidence, and
        ``background`` as the evidence if it is not silence. Silence is left out if the model has
        no finite output for it.
    sign : int
        The target's: -1 if the evidence is for a low score.
    effect : Effect or None
        None in files of earlier versions.
    effective_area : float or None
        Of the evidence as sound: ``(sum g)^2 / (n sum g^2)`` with ``g = |STFT(evidence)| / |X|``,
        at most 1. None in files of earlier versions.
    """

    kind: Kind
    input: float
    outcome: Outcome
    controls: Mapping[str, Control]
    sign: int = 1
    effect: Effect | None = None
    effective_area: float | None = None


@dataclass(frozen=True)
class SizeScores:
    """The target's audio scores for masks of several sizes, smallest first.

    Attributes
    ----------
    area : tuple of float in [0, 1]
        Mean gain of each mask.
    evidence, remainder : tuple of float or None
        The whole model on the sound that the mask keeps, and on the sound that it removes, in the
        unit of the target; None where the model has no finite output, for silence perhaps.
    """

    area: tuple[float, ...]
    evidence: tuple[float | None, ...]
    remainder: tuple[float | None, ...]


@dataclass(frozen=True)
class Curve(SizeScores):
    """The scores of an explanation at a dozen sizes, and those of its controls.

    Attributes
    ----------
    keep : tuple of float
        Percent of the positive attribution that each mask keeps.
    energy, random : SizeScores
        Masks of a dozen areas that do not depend on the method: the cells of most energy, and the
        same gains in one random order as smooth as that.
    """

    keep: tuple[float, ...]
    energy: SizeScores
    random: SizeScores
