"""The verdict on an explanation: a grade with its reasons, from the figures of its trust card.

An explanation that is ahead of all controls is strong, moderate or weak by the size of its effect.
It is at most weak if one of the controls does as well, or if the evidence alone does nothing. It is
none if its effect is small, or if the loudest cells and random places both do as well.
"""

from __future__ import annotations

import math

from earwitness.types import Grade, Mask, TrustCard, Verdict

STRONG, MODERATE, WEAK = 0.5, 0.2, 0.05  # least share of the output's range
_MARGIN = 0.01  # share of the range; smaller differences between effects are a tie
_SILENT = 0.03  # share of the input's energy (-15 dB); less is nearly silent beside the input
_MOSTLY = 0.6  # share of the energy that a mask of this size can hold
_TITLES: dict[Grade, str] = {
    "strong": "Strong evidence",
    "moderate": "Moderate evidence",
    "weak": "Weak evidence",
    "none": "Nothing explained",
    "degenerate": "Degenerate mask",
}
_UNITS = {"probability": "probability", "logit-difference": "difference of logits"}
_TIES = {
    "random": "the same gains in random places do as well",
    "energy": "the loudest cells of the same size do as well",
    "silence": "silence does as well as the evidence",
    "background": "the background does as well as the evidence",
}


def verdict(card: TrustCard | None, mask: Mask) -> Verdict | None:
    """Return the grade of an explanation and its reasons.

    None without a trust card, and for a card of an earlier version, which has no effect.
    """
    if mask.degenerate:
        whole = f"it is {mask.degenerate}", "it does not localise the evidence"
        return Verdict("degenerate", whole)
    if card is None or card.effect is None:
        return None
    ahead = ahead_of(card, mask)
    ties = [name for name in card.controls if name not in ahead]
    if ties == ["silence"] and "background" in ahead and mask.energy < _SILENT:
        grade = _grade(card.effect.share, limited=False)
        why = ["the evidence is nearly silent itself: the cause is sound that is missing there"]
        return Verdict("moderate" if grade == "strong" else grade, (_effect(card), *why))
    alone = _adds_nothing(card)
    useless = {"random", "energy"} <= {*ties}
    grade = "none" if useless else _grade(card.effect.share, limited=bool(ties) or alone)
    reasons = [_effect(card)]
    if card.effect.share <= -_MARGIN:
        reasons.append("the opposite of what was asked")
    elif alone:
        reasons.append("by itself it is not sufficient: only its removal changes the score")
    reasons += [_TIES[name] for name in ties]
    if ties == ["energy"] and mask.energy >= _MOSTLY * card.controls["energy"].energy:
        reasons.append("it is mostly the loudest sound")
    if not ties:
        reasons.append("random places and the loudest cells of the same size do less")
    if "silence" not in card.controls:
        reasons.append("the model has no finite output for silence, so silence is no control")
    if grade == "none":
        reasons.append("draw no conclusion from this map")
        if card.sign < 0 and "silence" in ties and "background" not in card.controls:
            reasons.append("if sound is missing there, the background mean can show it")
    return Verdict(grade, tuple(reasons))


def sentence(found: Verdict | None) -> str:
    """Return a verdict as one line."""
    if found is None:
        return "Not graded (no trust card)."
    title = _TITLES[found.grade]
    if found.grade == "weak" and _TIES["energy"] in found.reasons:
        title = "No better than loudness"
    return f"{title}: {'; '.join(found.reasons)}."


def ahead_of(card: TrustCard, mask: Mask) -> list[str]:
    """Return the controls whose effect is exceeded by more than 1 % of the output's range.

    A degenerate mask is ahead of no control.
    """
    if mask.degenerate or card.effect is None:
        return []
    least = _MARGIN * card.effect.of
    return [name for name in card.controls if _lead(card, name) > least]


def _lead(card: TrustCard, name: str) -> float:
    """Return how far the effect exceeds a control's.

    Silence is compared by the audio scores, because no background fills the sound that is played.
    """
    control, effect = card.controls[name], card.effect
    if name != "silence":
        return (effect.value if effect else 0.0) - (control.effect or 0.0)
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


def _effect(card: TrustCard) -> str:
    """Return the effect in words."""
    effect = card.effect
    if effect is None:
        return ""
    change = card.sign * effect.value
    verb, unit = "raises" if change >= 0 else "lowers", _UNITS.get(card.kind, "value")
    text = f"the evidence {verb} the {unit} by {abs(change):.2g}"
    if card.kind == "probability":
        return text
    absent = card.controls.get("background", card.controls.get("silence"))
    distance = abs(card.input - absent.mean.evidence.audio) if absent else math.nan
    if math.isclose(distance, effect.of, rel_tol=1e-6):
        return f"{text} ({abs(effect.share):.0%} of its distance from the background's)"
    if math.isclose(abs(card.input), effect.of, rel_tol=1e-6):
        return f"{text}; the whole sound hardly changes it (a range can be declared in wrap)"
    return f"{text} ({abs(effect.share):.0%} of its range)"
