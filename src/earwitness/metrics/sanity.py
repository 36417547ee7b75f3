"""Sanity checks: whether an explanation depends on the trained weights.

If the weights of a network are randomised, its outputs are meaningless, and its explanation should
change. A map that stays the same depends on the input and not on the decision.

Conventions
-----------
The map is compared with the maps after randomising each block of the network, by SSIM and by
Spearman's rank correlation of absolute values (see ``earwitness.evaluation.scrambling``).
"""

from __future__ import annotations

import numpy as np

from earwitness.metrics.registry import Array, register
from earwitness.metrics.similarity import spearman, ssim

_PAPER = "Adebayo et al.: Sanity Checks for Saliency Maps, 2018"


@register(
    "sanity-ssim",
    summary="SSIM of the map with that of the network with random weights",
    family="sanity",
    direction="lower",
    low=-1,
    high=1,
    paper=_PAPER,
    given={"first": "map", "scrambled": "random_maps"},
)
def sanity_ssim(first: Array, scrambled: Array) -> Array:
    """Return the SSIM of absolute values with the map after randomising each block.

    Parameters
    ----------
    first : ndarray, shape (freq, frame)
    scrambled : ndarray, shape (map, freq, frame)
        Attributions.

    Examples
    --------
    >>> sanity_ssim(np.eye(9), -np.eye(9)[None]).tolist()
    [1.0]
    """
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
    """Return the rank correlation of absolute values with the map after randomising each block.

    The value for a constant map is 0.

    Parameters
    ----------
    first : ndarray, shape (freq, frame)
    scrambled : ndarray, shape (map, freq, frame)
        Attributions.

    Examples
    --------
    >>> sanity_spearman(np.eye(2), np.ones((1, 2, 2))).tolist()
    [0.0]
    """
    return np.nan_to_num(spearman(np.abs(first), np.abs(scrambled)), nan=0.0)
