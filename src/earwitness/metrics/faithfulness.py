"""Whether the model decides by what the mask keeps.

A classifier scores three things: the input, the evidence alone and the remainder alone. A faithful
mask keeps the target's score with the evidence and loses it with the remainder. Neither says much
without the mask's size (a mask that keeps everything keeps the score), nor without a control of the
same size (any large hole in a sound lowers the score).

Conventions
-----------
``p_`` is the target's true probability, after one softmax or sigmoid; ``z_`` is the explained
score, a logit, a difference of logits or a value; ``odds_`` is ``ln(p / (1 - p))`` computed from
logits, so that it does not saturate. ``input`` is one number, ``evidence`` and ``remainder`` are
one per mask.

A gain counts only above ``tolerance``: between two routes of the same float32 model, probabilities
differ by some 1e-6, and a mask that changes nothing would gain half of the time. Without a
tolerance the average gain divides rounding by rounding wherever the model is sure.
"""

from __future__ import annotations

import numpy as np

from earwitness.metrics.registry import Array, register

TOLERANCE = 1e-3
_LMAC = "Paissan et al.: Listenable Maps for Audio Classifiers, 2024"
_CAM = "Chattopadhay et al.: Grad-CAM++, 2018"


@register(
    "faithfulness",
    summary="by how much the target's probability falls when the evidence is removed (FF)",
    family="faithfulness",
    direction="higher",
    low=-1,
    high=1,
    unit="probability",
    paper=f"Parekh et al.: Listen to Interpret, 2022; {_LMAC}",
    given={"whole": "p_input", "remainder": "p_remainder"},
)
@register(
    "faithfulness-logit",
    summary="by how much the explained score falls when the evidence is removed (FF on the logit)",
    family="faithfulness",
    direction="higher",
    unit="logit or value",
    paper=f"Parekh et al.: Listen to Interpret, 2022; {_LMAC}",
    given={"whole": "z_input", "remainder": "z_remainder"},
)
def faithfulness(whole: Array, remainder: Array) -> Array:
    """Return ``f(X) - f(X (1 - M))`` of each mask."""
    return np.asarray(whole, np.float64) - remainder


@register(
    "average-increase",
    summary="100 where the evidence alone scores higher than the input, 0 elsewhere (AI)",
    family="faithfulness",
    direction="higher",
    low=0,
    high=100,
    unit="%",
    paper=_CAM,
)
def average_increase(p_input: Array, p_evidence: Array, *, tolerance: float = TOLERANCE) -> Array:
    """Return ``100 [p(X M) > p(X) + tolerance]`` of each mask; the mean over clips is a percentage.

    Parameters
    ----------
    tolerance : float
        Probability that a rise must exceed to count.
    """
    return 100.0 * (np.asarray(p_evidence, np.float64) - p_input > tolerance)


@register(
    "average-drop",
    summary="the share of the target's probability that the evidence alone loses (AD)",
    family="faithfulness",
    direction="lower",
    low=0,
    high=100,
    unit="%",
    paper=_CAM,
)
def average_drop(p_input: Array, p_evidence: Array) -> Array:
    """Return ``100 max(0, p(X) - p(X M)) / p(X)`` of each mask; 0 where the input scores 0."""
    lost = np.maximum(np.asarray(p_input, np.float64) - p_evidence, 0)
    return 100 * _over(lost, np.asarray(p_input, np.float64))


@register(
    "average-gain",
    summary="the share of the room above the target's probability that the evidence gains (AG)",
    family="faithfulness",
    direction="higher",
    low=0,
    high=100,
    unit="%",
    paper="Zhang et al.: Opti-CAM, 2024",
)
def average_gain(p_input: Array, p_evidence: Array, *, tolerance: float = TOLERANCE) -> Array:
    """Return ``100 max(0, p(X M) - p(X)) / (1 - p(X))`` of each mask, 0 for gains up to tolerance.

    Parameters
    ----------
    tolerance : float
        Probability that a gain must exceed to count.
    """
    gained = np.asarray(p_evidence, np.float64) - p_input
    gained = np.where(gained > tolerance, gained, 0)
    return 100 * _over(gained, 1 - np.asarray(p_input, np.float64))


@register(
    "fidelity",
    summary="1 where the decision on the evidence alone is that on the input (Fid-In)",
    family="faithfulness",
    direction="higher",
    low=0,
    high=1,
    paper=_LMAC,
)
def fidelity(all_input: Array, all_evidence: Array) -> Array:
    """Return ``[argmax f(X M) = argmax f(X)]`` of each mask."""
    return top_fidelity(all_input, all_evidence, k=1)


@register(
    "top-fidelity",
    summary="1 where the decision on the input is among the k best on the evidence alone",
    family="faithfulness",
    direction="higher",
    low=0,
    high=1,
    paper="Parekh et al.: Listen to Interpret, 2022",
)
def top_fidelity(all_input: Array, all_evidence: Array, *, k: int = 3) -> Array:
    """Return 1 where fewer than ``k`` classes beat the decided one; a tie beats it, so that a
    model that answers the same for everything is not faithful by chance.

    Parameters
    ----------
    k : int
        How many classes count as the best.
    """
    decided = int(np.argmax(all_input))
    ours = all_evidence[:, decided]
    rivals = np.delete(all_evidence, decided, axis=1)
    return ((rivals >= ours[:, None]).sum(axis=1) < k).astype(np.float64)


@register(
    "log-odds",
    summary="by how much the target's log-odds fall when the evidence is removed",
    family="faithfulness",
    direction="higher",
    unit="nats",
    paper="Shrikumar et al.: Learning Important Features, 2017",
    given={"whole": "odds_input", "remainder": "odds_remainder"},
)
def log_odds(whole: Array, remainder: Array) -> Array:
    """Return ``ln(p / (1 - p))`` of the input minus that of each remainder."""
    return faithfulness(whole, remainder)


def _over(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
