"""The verdict on an explanation: a grade with its reasons, from the figures of its trust card.

An explanation that is ahead of all controls is strong, moderate or weak by the size of its effect;
a lead of less than 20 % of the output's range is not strong, and of less than 5 % not moderate. It
is at most weak if one of the controls does as well, or if the evidence alone does nothing. It is
none if its effect is small, or if the loudest cells and random places both do as well.
"""

from __future__ import annotations

import math

from earwitness.scores import Effect, TrustCard, Verdict
from earwitness.types import Grade, Mask

STRONG, MODERATE, WEAK = 0.5, 0.2, 0.05  # least share of the output's range
_MARGIN = 0.01  # share of the range; smaller differences between effects are a tie
_SILENT = 0.03  # share of the input's energy (-15 dB); less is nearly silent beside the input
_MOSTLY = 0.6  # share of the energy that a mask of this size can hold
_NOTHING = 0.001  # share of the range; smaller effects are written as about 0
_UNITS = {"probability": "probability", "logit-difference": "difference of logits"}
_PLACES = {"random": "random places", "energy": "the loudest cells of the same size"}
_SOUNDS = {"silence": "silence", "background": "the background"}
_CAUTION = "draw no conclusion from this map"


def verdict(card: TrustCard | None, mask: Mask) -> Verdict | None:
    """Return the grade of an explanation with its reasons.

    None without a trust card, and for a card of an earlier version, which has no effect.
    """
    if mask.degenerate:
        whole = f"it is {mask.degenerate}", "it does not localise the evidence"
        return Verdict("degenerate", "Degenerate mask", whole)
    if card is None or card.effect is None:
        return None
    ahead = ahead_of(card, mask)
    ties = [name for name in card.controls if name not in ahead]
    effect = _effect(card, card.effect)
    if ties == ["silence"] and "background" in ahead and mask.energy < _SILENT:
        grade = _grade(card.effect.share, limited=False)
        grade = "moderate" if grade == "strong" else grade
        why = "the evidence is nearly silent itself: the cause is sound that is missing there"
        return Verdict(grade, _title(card, grade, []), (effect, why))
    alone = _adds_nothing(card)
    useless = {*_PLACES} <= {*ties}
    grade = "none" if useless else _grade(card.effect.share, limited=bool(ties) or alone)
    lead = min(_lead(card, card.effect, name) for name in card.controls)
    grade = _capped(grade, lead / card.effect.of)
    reasons = [effect]
    if card.effect.share <= -WEAK:
        reasons.append("the opposite of what was asked")
    elif alone and grade != "none":
        reasons.append("by itself it is not sufficient, only its removal changes the score")
    reasons += _comparisons(card, card.effect, ties)
    if ties == ["energy"] and mask.energy >= _MOSTLY * card.controls["energy"].energy:
        reasons.append("it is mostly the loudest sound")
    if "silence" not in card.controls:
        reasons.append("the model has no finite output for silence, so silence is no control")
    if grade == "none" and card.sign < 0 and "background" not in card.controls:
        reasons.append("tip: if sound is missing there, the background mean can show it")
    return Verdict(grade, _title(card, grade, ties), tuple(reasons))


def sentence(found: Verdict | None) -> str:
    """Return a verdict as one line."""
    if found is None:
        return "Not graded (no trust card)."
    return f"{found.title}: {'; '.join(found.reasons)}."


def ahead_of(card: TrustCard, mask: Mask) -> list[str]:
    """Return the controls whose effect is exceeded by more than 1 % of the output's range.

    A degenerate mask is ahead of no control.
    """
    if mask.degenerate or card.effect is None:
        return []
    least = _MARGIN * card.effect.of
    return [name for name in card.controls if _lead(card, card.effect, name) > least]


def _lead(card: TrustCard, effect: Effect, name: str) -> float:
    """Return how far the effect exceeds a control's.

    Silence is compared by the audio scores, because no background fills the sound that is played.
    """
    control = card.controls[name]
    if name != "silence":
        return effect.value - (control.effect or 0.0)
    nothing, own = control.mean, card.outcome
    gained = own.evidence.audio - nothing.evidence.audio
    lost = nothing.remainder.audio - own.remainder.audio
    return card.sign * (gained + lost) / 2


def _adds_nothing(card: TrustCard) -> bool:
    """Return whether the evidence alone scores no more than silence, where that is the background.

    With another background the sound of the evidence is not what the effect is computed from.
    """
    if "background" in card.controls or "silence" not in card.controls or card.effect is None:
        return False
    gained = card.outcome.evidence.audio - card.controls["silence"].mean.evidence.audio
    return card.sign * gained <= _MARGIN * card.effect.of


def _grade(share: float, *, limited: bool) -> Grade:
    """Return the grade of an effect; at most weak if it is limited by a control."""
    if share < WEAK:
        return "none"
    if share < MODERATE or limited:
        return "weak"
    return "moderate" if share < STRONG else "strong"


def _capped(grade: Grade, lead: float) -> Grade:
    """Return a grade that a lead over the best control supports, as a share of the range."""
    if grade == "strong" and lead < MODERATE:
        grade = "moderate"
    return "weak" if grade == "moderate" and lead < WEAK else grade


def _title(card: TrustCard, grade: Grade, ties: list[str]) -> str:
    """Return a verdict in a few words."""
    share = card.effect.share if card.effect else 0.0
    if grade == "none" and share <= -WEAK:
        return f"No support, {_CAUTION}"
    if grade == "none" and share < WEAK:
        return f"Effect too small, {_CAUTION}"
    if grade == "none":
        return f"No better than chance, {_CAUTION}"
    if grade == "weak" and "energy" in ties:
        return "No better than loudness"
    return f"{grade.capitalize()} support"


def _effect(card: TrustCard, effect: Effect) -> str:
    """Return the effect in words."""
    unit = _UNITS.get(card.kind, "value")
    text = f"the evidence {_change(card.sign * effect.value, f'the {unit}', effect)}"
    share = f"{100 * abs(effect.share):.0f} %" if abs(effect.share) >= WEAK else "less than 5 %"
    if card.kind == "probability":
        return f"{text}, {share} of its range" if abs(effect.share) < WEAK else text
    absent = card.controls.get("background", card.controls.get("silence"))
    nothing = absent.mean.evidence.audio if absent else math.nan
    if math.isclose(abs(card.input - nothing), effect.of, rel_tol=1e-6):
        return (
            f"{text}, {share} of the distance between background ({nothing:.3g}) and input "
            f"({card.input:.3g})"
        )
    if math.isclose(abs(card.input), effect.of, rel_tol=1e-6):
        return (
            f"{text}, and the whole sound hardly changes it: background {nothing:.3g}, input "
            f"{card.input:.3g} (tip: try another background, or declare the range in wrap)"
        )
    return f"{text}, {share} of its range"


def _comparisons(card: TrustCard, effect: Effect, ties: list[str]) -> list[str]:
    """Return what the controls do to the score; of a small effect, only what does as well."""
    found = []
    for name, control in card.controls.items():
        if name in _PLACES and effect.share >= WEAK:
            reached = control.effect or 0.0
            how = _change(card.sign * reached, "it", effect, plural=True, best=control.draws > 1)
            found.append(f"{_PLACES[name]} {how}" + (" too" if name in ties else ""))
        elif name in ties and name not in _PLACES:
            found.append(f"{_SOUNDS[name]} does at least as well")
    return found


def _change(
    change: float, what: str, effect: Effect, *, plural: bool = False, best: bool = False
) -> str:
    """Return a change of the score, or the largest of some, in words; its sign is in the verb."""
    verb = ("raise" if change >= 0 else "lower") + ("" if plural else "s")
    size = f"{abs(change):.2g}" if abs(change) >= _NOTHING * effect.of else "about 0"
    limit = ("at most " if change >= 0 else "at least ") if best else ""
    return f"{verb} {what} by {limit}{size}"
