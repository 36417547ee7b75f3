"""Stability: robustness of an explanation to irrelevant changes, and transfer to another model.

An explanation that changes with the seed, with inaudible noise or with lossy encoding is not
reliable, whatever its faithfulness. The converse does not hold: a constant map is perfectly stable.

Conventions
-----------
The explanation is repeated for the same target under changed conditions, and each map is compared
with the first by Spearman's rank correlation. A repetition costs as much as the explanation.
"""

from __future__ import annotations

import numpy as np

from earwitness.metrics.registry import Array, register
from earwitness.metrics.similarity import spearman


@register(
    "stability-seed",
    summary="rank correlation of the map with maps from other seeds",
    family="stability",
    direction="higher",
    low=-1,
    high=1,
    given={"first": "map", "again": "seed_maps"},
)
@register(
    "stability-noise",
    summary="rank correlation of the map with maps of the sound plus faint noise",
    family="stability",
    direction="higher",
    low=-1,
    high=1,
    paper="Alvarez-Melis, Jaakkola: On the Robustness of Interpretability Methods, 2018",
    given={"first": "map", "again": "noise_maps"},
)
@register(
    "stability-encoding",
    summary="rank correlation of the map with the map of the sound after lossy encoding",
    family="stability",
    direction="higher",
    low=-1,
    high=1,
    given={"first": "map", "again": "encoded_maps"},
)
def stability(first: Array, again: Array) -> Array:
    """Return Spearman's correlation of a map with each repetition.

    Parameters
    ----------
    first : ndarray, shape (freq, frame)
    again : ndarray, shape (map, freq, frame)
        Attributions.

    Examples
    --------
    >>> stability(np.array([[1.0, 2.0]]), np.array([[[3.0, 4.0]]])).tolist()
    [1.0]
    """
    return spearman(first, again)


@register(
    "transfer",
    summary="another classifier's probability of the target: evidence minus remainder",
    family="stability",
    direction="higher",
    low=-1,
    high=1,
    unit="probability",
)
def transfer(other_evidence: Array, other_remainder: Array) -> Array:
    """Return ``q(evidence) - q(remainder)`` of each mask, with ``q`` another classifier's
    probability of the target.

    Parameters
    ----------
    other_evidence, other_remainder : ndarray, shape (mask,)
        Probabilities in [0, 1].

    Examples
    --------
    >>> transfer(np.array([0.75]), np.array([0.25])).tolist()
    [0.5]
    """
    return np.asarray(other_evidence, np.float64) - other_remainder
