"""Agreement of an interpreter with the model that it explains (Parekh et al. 2022, section 4.1).

The model's decisions are the labels. They say how far an interpreter can stand for the model, and
nothing about whether its explanation is right.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STEPS = 11  # thresholds of the interpreter's probability, from 0 to 1


def top_fidelity(scores: NDArray[np.floating], decided: NDArray[np.integer], k: int = 1) -> float:
    """Return the share of sounds whose decided class is among the interpreter's ``k`` largest.

    Parameters
    ----------
    scores : ndarray, shape (sound, class)
        Of the interpreter.
    decided : ndarray, shape (sound,)
        Class that the model decides.
    k : int >= 1

    Examples
    --------
    >>> top_fidelity(np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]), np.array([2, 0]), 2)
    1.0
    """
    own = np.take_along_axis(scores, decided[:, None], axis=1)
    return float(((scores > own).sum(axis=1) < k).mean())


def tag_fidelity(chances: NDArray[np.floating], decided: NDArray[np.bool_]) -> dict[str, float]:
    """Return macro and micro average precision and the largest F1 for several labels.

    Parameters
    ----------
    chances : ndarray, shape (sound, label)
        Probabilities of the interpreter.
    decided : ndarray, shape (sound, label), bool
        Labels that the model decides. Labels of no sound are left out of the mean over labels.

    Returns
    -------
    dict
        ``macro_auprc``, ``micro_auprc``, and ``max_f1``, the largest F1 over all decisions at
        eleven thresholds from 0 to 1; nan if the model decides no label.

    Examples
    --------
    >>> tag_fidelity(np.array([[0.9], [0.2]]), np.array([[True], [False]]))
    {'macro_auprc': 1.0, 'micro_auprc': 1.0, 'max_f1': 1.0}
    """
    from sklearn.metrics import average_precision_score

    used = decided.any(axis=0)
    if not used.any():
        return dict.fromkeys(("macro_auprc", "micro_auprc", "max_f1"), float("nan"))
    each = [average_precision_score(decided[:, k], chances[:, k]) for k in np.flatnonzero(used)]
    best = 0.0
    for threshold in np.linspace(0, 1, _STEPS):
        chosen = chances >= threshold
        right, either = (chosen & decided).sum(), chosen.sum() + decided.sum()
        best = max(best, float(2 * right / either))
    return {
        "macro_auprc": float(np.mean(each)),
        "micro_auprc": float(average_precision_score(decided.ravel(), chances.ravel())),
        "max_f1": best,
    }
