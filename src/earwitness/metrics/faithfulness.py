"""Faithfulness: whether the model's decision depends on what the mask keeps.

The model is evaluated on the input, on the evidence alone and on the remainder alone. For a
faithful mask, the evidence keeps the target's score and the remainder loses it. Interpret both with
the mask's size (a mask that keeps everything keeps the score) and with a control of the same size
(removing any large part of a sound lowers the score).

Conventions
-----------
``p_`` is the target's probability, after one softmax or sigmoid. ``z_`` is the explained score: a
logit, a difference of logits or a value. ``odds_`` is ``ln(p / (1 - p))`` computed from logits, so
it does not saturate. ``input`` is one number, ``evidence`` and ``remainder`` are one per mask.

A gain counts only above ``tolerance``: rounding changes the probabilities of a float32 model by
about 1e-6, so a mask that changes nothing would gain half of the time. Without a tolerance, the
average gain would be a ratio of rounding errors where the model is confident.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge

from earwitness.metrics.registry import Array, register

TOLERANCE = 1e-3  # probability; far above rounding (1e-6), far below a relevant change
_LMAC = "Paissan et al.: Listenable Maps for Audio Classifiers, 2024"
_CAM = "Chattopadhay et al.: Grad-CAM++, 2018"


@register(
    "faithfulness",
    summary="drop of the target's probability when the evidence is removed (FF)",
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
    summary="drop of the explained score when the evidence is removed (FF on the logit)",
    family="faithfulness",
    direction="higher",
    unit="logit or value",
    paper=f"Parekh et al.: Listen to Interpret, 2022; {_LMAC}",
    given={"whole": "z_input", "remainder": "z_remainder"},
)
def faithfulness(whole: Array, remainder: Array) -> Array:
    """Return ``f(X) - f(X (1 - M))`` of each mask.

    Parameters
    ----------
    whole : float, or ndarray of shape ()
        Score of the input: a probability in [0, 1], or a logit or value.
    remainder : ndarray, shape (mask,)
        Score of each remainder, in the same unit.

    Examples
    --------
    >>> faithfulness(np.array(0.75), np.array([0.25])).tolist()
    [0.5]
    """
    return np.asarray(whole, np.float64) - remainder


@register(
    "average-increase",
    summary="100 if the evidence alone scores higher than the input, else 0 (AI)",
    family="faithfulness",
    direction="higher",
    low=0,
    high=100,
    unit="%",
    paper=_CAM,
)
def average_increase(
    p_input: Array, p_evidence: Array, *, tolerance: Annotated[float, Ge(0)] = TOLERANCE
) -> Array:
    """Return ``100 [p(X M) > p(X) + tolerance]`` of each mask; the mean over clips is a percentage.

    Parameters
    ----------
    p_input : ndarray, shape ()
    p_evidence : ndarray, shape (mask,)
        Probabilities in [0, 1].
    tolerance : float
        Increase of probability that must be exceeded.

    Examples
    --------
    >>> average_increase(np.array(0.5), np.array([0.6, 0.4])).tolist()
    [100.0, 0.0]
    """
    return 100.0 * (np.asarray(p_evidence, np.float64) - p_input > tolerance)


@register(
    "average-drop",
    summary="relative drop of the target's probability on the evidence alone (AD)",
    family="faithfulness",
    direction="lower",
    low=0,
    high=100,
    unit="%",
    paper=_CAM,
)
def average_drop(p_input: Array, p_evidence: Array) -> Array:
    """Return ``100 max(0, p(X) - p(X M)) / p(X)`` of each mask; 0 if the input scores 0.

    Parameters
    ----------
    p_input : ndarray, shape ()
    p_evidence : ndarray, shape (mask,)
        Probabilities in [0, 1].

    Examples
    --------
    >>> average_drop(np.array(0.5), np.array([0.25])).tolist()
    [50.0]
    """
    lost = np.maximum(np.asarray(p_input, np.float64) - p_evidence, 0)
    return 100 * _over(lost, np.asarray(p_input, np.float64))


@register(
    "average-gain",
    summary="increase of the target's probability on the evidence, relative to 1 - p (AG)",
    family="faithfulness",
    direction="higher",
    low=0,
    high=100,
    unit="%",
    paper="Zhang et al.: Opti-CAM, 2024",
)
def average_gain(
    p_input: Array, p_evidence: Array, *, tolerance: Annotated[float, Ge(0)] = TOLERANCE
) -> Array:
    """Return ``100 max(0, p(X M) - p(X)) / (1 - p(X))`` of each mask, 0 for gains up to tolerance.

    Parameters
    ----------
    p_input : ndarray, shape ()
    p_evidence : ndarray, shape (mask,)
        Probabilities in [0, 1].
    tolerance : float
        Increase of probability that must be exceeded.

    Examples
    --------
    >>> average_gain(np.array(0.5), np.array([0.75])).tolist()
    [50.0]
    """
    gained = np.asarray(p_evidence, np.float64) - p_input
    gained = np.where(gained > tolerance, gained, 0)
    return 100 * _over(gained, 1 - np.asarray(p_input, np.float64))


@register(
    "fidelity",
    summary="1 if the decision on the evidence alone equals that on the input (Fid-In)",
    family="faithfulness",
    direction="higher",
    low=0,
    high=1,
    paper=_LMAC,
)
def fidelity(all_input: Array, all_evidence: Array) -> Array:
    """Return ``[argmax f(X M) = argmax f(X)]`` of each mask.

    Parameters
    ----------
    all_input : ndarray, shape (class,)
    all_evidence : ndarray, shape (mask, class)
        Probabilities in [0, 1].

    Examples
    --------
    >>> fidelity(np.array([0.2, 0.8]), np.array([[0.4, 0.6], [0.9, 0.1]])).tolist()
    [1.0, 0.0]
    """
    return top_fidelity(all_input, all_evidence, k=1)


@register(
    "top-fidelity",
    summary="1 if the decision on the input is among the k best classes on the evidence alone",
    family="faithfulness",
    direction="higher",
    low=0,
    high=1,
    paper="Parekh et al.: Listen to Interpret, 2022",
)
def top_fidelity(all_input: Array, all_evidence: Array, *, k: Annotated[int, Ge(1)] = 3) -> Array:
    """Return 1 if fewer than ``k`` classes score at least as high as the decided one.

    A tie counts against the decided class, so a model with constant outputs is not faithful.

    Parameters
    ----------
    all_input : ndarray, shape (class,)
    all_evidence : ndarray, shape (mask, class)
        Probabilities in [0, 1].
    k : int
        Number of best classes.

    Examples
    --------
    >>> top_fidelity(np.array([0.2, 0.8]), np.array([[0.6, 0.4]]), k=2).tolist()
    [1.0]
    """
    decided = int(np.argmax(all_input))
    ours = all_evidence[:, decided]
    others = np.delete(all_evidence, decided, axis=1)
    return ((others >= ours[:, None]).sum(axis=1) < k).astype(np.float64)


@register(
    "log-odds",
    summary="drop of the target's log-odds when the evidence is removed",
    family="faithfulness",
    direction="higher",
    unit="nats",
    paper="Shrikumar et al.: Learning Important Features, 2017",
    given={"whole": "odds_input", "remainder": "odds_remainder"},
)
def log_odds(whole: Array, remainder: Array) -> Array:
    """Return ``ln(p / (1 - p))`` of the input minus that of each remainder.

    Parameters
    ----------
    whole : ndarray, shape ()
    remainder : ndarray, shape (mask,)
        Log-odds in nats.

    Examples
    --------
    >>> log_odds(np.array(2.0), np.array([-1.0])).tolist()
    [3.0]
    """
    return faithfulness(whole, remainder)


def _over(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
