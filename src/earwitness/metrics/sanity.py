"""Whether an explanation depends on what the model has learnt.

If the weights of a network are scrambled, its outputs mean nothing any more, and its explanation
should not look as before. A map that survives shows the sound and not the decision.

Conventions
-----------
The map is compared with the maps after each block of the network was scrambled, by SSIM and by
Spearman's correlation, of absolute values (``earwitness.evaluation.scrambling`` makes them).
"""

from __future__ import annotations

import numpy as np

from earwitness.metrics.registry import Array, register
from earwitness.metrics.similarity import spearman, ssim

_PAPER = "Adebayo et al.: Sanity Checks for Saliency Maps, 2018"


@register(
    "sanity-ssim",
    summary="how much the map looks like that of the network with random weights (SSIM)",
    family="sanity",
    direction="lower",
    low=-1,
    high=1,
    paper=_PAPER,
    given={"first": "map", "scrambled": "random_maps"},
)
def sanity_ssim(first: Array, scrambled: Array) -> Array:
    """Return the SSIM of absolute values with the map after each block was scrambled."""
    return ssim(np.abs(first), np.abs(scrambled))


@register(
    "sanity-spearman",
    summary="rank correlation of the map with that of the network with random weights",
    family="sanity",
    direction="lower",
    low=-1,
    high=1,
    paper=_PAPER,
    given={"first": "map", "scrambled": "random_maps"},
)
def sanity_spearman(first: Array, scrambled: Array) -> Array:
    """Return the rank correlation of absolute values with the map after each block was scrambled.

    A map that went constant has kept nothing of the order: 0.
    """
    return np.nan_to_num(spearman(np.abs(first), np.abs(scrambled)), nan=0.0)
