"""Masks that keep the cells of largest positive attribution until they hold a share of something.

Cells of equal attribution are kept or removed together, so a map that orders nothing keeps
everything, and is marked degenerate. Cells that are not positive are never kept.
"""

from __future__ import annotations

import numpy as np

from earwitness.masks.registry import Values, register


@register(
    "attribution",
    summary="the strongest cells that together hold a share of the positive attribution",
    example="80%",
    amount="percent",
)
def share_of_attribution(attribution: Values, amount: float) -> Values:
    """Keep the fewest cells that hold ``amount`` of all positive attribution."""
    return _until(attribution, attribution, amount * np.maximum(attribution, 0).sum())


@register(
    "area",
    summary="the strongest positive cells until they cover a share of the area",
    example="area:10%",
    amount="percent",
)
def share_of_area(attribution: Values, amount: float) -> Values:
    """Keep the fewest positive cells that are ``amount`` of all cells, or all positive ones."""
    return _until(attribution, np.ones_like(attribution), amount * attribution.size)


@register(
    "energy",
    summary="the strongest positive cells until they hold a share of the sound's energy",
    example="energy:50%",
    amount="percent",
)
def share_of_energy(attribution: Values, magnitude: Values, amount: float) -> Values:
    """Keep the fewest positive cells with ``amount`` of all energy, or all positive ones."""
    energy = magnitude**2
    return _until(attribution, energy, amount * energy.sum())


def _until(attribution: Values, held: Values, wanted: float) -> Values:
    """Keep levels of attribution from the top until what they hold reaches ``wanted``."""
    levels, group = np.unique(attribution, return_inverse=True)
    positive = int((levels > 0).sum())
    if not positive or not wanted > 0:
        return np.zeros(attribution.shape)
    per_level = np.bincount(group.ravel(), weights=held.ravel(), minlength=len(levels))
    down = np.cumsum(per_level[::-1])[:positive]
    last = min(int(np.searchsorted(down, wanted * (1 - 1e-9))), positive - 1)
    return (attribution >= levels[::-1][last]).astype(np.float64)
