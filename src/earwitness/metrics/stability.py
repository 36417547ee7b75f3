"""Whether an explanation stays the same where nothing that matters has changed, and whether what it
found means anything to another model.

An explanation that another seed, inaudible noise or a lossy encoding turns over cannot be trusted,
however faithful it scores. The converse does not hold: a constant map is perfectly stable.

Conventions
-----------
The explanation is repeated for the same target under changed conditions; each repetition's map is
compared with the first by Spearman's rank correlation. Repetitions cost whole explanations.
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
    """Return Spearman's correlation of a map with each repetition."""
    return spearman(first, again)


@register(
    "transfer",
    summary="how much better another classifier hears the target in the evidence than beside it",
    family="stability",
    direction="higher",
    low=-1,
    high=1,
    unit="probability",
)
def transfer(other_evidence: Array, other_remainder: Array) -> Array:
    """Return ``q(evidence) - q(remainder)``, ``q`` another classifier's probability of the target's
    label, on sounds that were chosen by the first.
    """
    return np.asarray(other_evidence, np.float64) - other_remainder
