"""Masks that look at each cell's level of attribution alone.

The fourteen masks of Pak and Teryokhina (2025) are these: ``minmax``, ``sigmoid``, ``sign`` and
``top`` on the signed map; ``minmax+``, ``sigmoid+``, ``top+`` and ``threshold+`` on its positive
part. The published code adds 1e-8 to the range that ``minmax`` divides by; here a map without a
range gives an empty mask instead, and the scale of a map does not matter.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from earwitness.errors import ParameterError
from earwitness.masks.registry import Values, register

_PAPER = "Pak and Teryokhina, 2025 (audio-xai)"


@register(
    "minmax",
    summary="from 0 at the least attribution to 1 at the largest",
    example="minmax",
    paper=_PAPER,
    soft=True,
    signed=True,
)
def scaled(attribution: Values) -> Values:
    """Return ``(A - min A) / (max A - min A)``."""
    low, high = attribution.min(), attribution.max()
    return (attribution - low) / (high - low) if high > low else np.zeros(attribution.shape)


@register(
    "sigmoid",
    summary="1 / (1 + exp(-attribution)), 0.5 where nothing was found",
    example="sigmoid",
    paper=_PAPER,
    soft=True,
    signed=True,
)
def squashed(attribution: Values) -> Values:
    """Return the logistic function of the map as it is: the only rule that depends on its scale."""
    return expit(attribution)


@register(
    "sign",
    summary="every cell of positive attribution",
    example="sign",
    paper=_PAPER,
)
def positive(attribution: Values) -> Values:
    """Keep ``A > 0``."""
    return (attribution > 0).astype(np.float64)


@register(
    "threshold",
    summary="cells at or above a share of the way from the least attribution to the largest",
    example="threshold:0.5+",
    paper=_PAPER,
    amount="number",
    signed=True,
)
def above(attribution: Values, amount: float) -> Values:
    """Keep cells whose ``minmax`` is at least ``amount``."""
    return (scaled(attribution) >= amount).astype(np.float64)


@register(
    "top",
    summary="a share of the cells, the strongest, even if they are not positive",
    example="top:5%",
    paper=_PAPER,
    amount="percent",
    signed=True,
)
def strongest(attribution: Values, amount: float) -> Values:
    """Keep cells at or above the quantile ``1 - amount``.

    Where that many cells are not positive and only the positive part is asked for, the quantile is
    0 and everything is kept; the mask is then marked degenerate.
    """
    return (attribution >= np.quantile(attribution, 1 - amount)).astype(np.float64)


@register(
    "gains",
    summary="the map itself, for explainers whose map is a mask in [0, 1] already",
    example="gains",
    soft=True,
)
def as_they_are(attribution: Values) -> Values:
    """Return the map; values outside [0, 1] by more than rounding are an error."""
    low, high = float(attribution.min()), float(attribution.max())
    if low < -1e-6 or high > 1 + 1e-6:
        raise ParameterError(
            f"keep 'gains' wants a map in [0, 1], this one goes from {low:.3g} to {high:.3g}; use "
            "minmax, or a share such as 80%"
        )
    return attribution.clip(0, 1)
