"""Mask rules that depend on the value of each cell only.

They include the fourteen masks of Pak and Teryokhina (2025): ``minmax``, ``sigmoid``, ``sign`` and
``top`` on the signed map; ``minmax+``, ``sigmoid+``, ``top+`` and ``threshold+`` on its positive
part. Their code adds 1e-8 to the range in ``minmax``; here a constant map gives an empty mask, and
the result is independent of the map's scale.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from earwitness.errors import ParameterError
from earwitness.masks.registry import Values, register

_PAPER = "Pak and Teryokhina, 2025 (audio-xai)"


@register(
    "minmax",
    summary="linear from 0 at the lowest attribution to 1 at the highest",
    example="minmax",
    paper=_PAPER,
    soft=True,
    signed=True,
)
def scaled(attribution: Values) -> Values:
    """Return ``(A - min A) / (max A - min A)``.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)

    Examples
    --------
    >>> scaled(np.array([[-1.0, 0.0, 3.0]])).tolist()
    [[0.0, 0.25, 1.0]]
    """
    low, high = attribution.min(), attribution.max()
    return (attribution - low) / (high - low) if high > low else np.zeros(attribution.shape)


@register(
    "sigmoid",
    summary="1 / (1 + exp(-attribution)); 0.5 where the attribution is 0",
    example="sigmoid",
    paper=_PAPER,
    soft=True,
    signed=True,
)
def squashed(attribution: Values) -> Values:
    """Return the logistic function of the map; the only rule that depends on the map's scale.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)

    Examples
    --------
    >>> squashed(np.array([[0.0]])).tolist()
    [[0.5]]
    """
    return expit(attribution)


@register(
    "sign",
    summary="all cells of positive attribution",
    example="sign",
    paper=_PAPER,
)
def positive(attribution: Values) -> Values:
    """Keep cells with ``A > 0``.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)

    Examples
    --------
    >>> positive(np.array([[-1.0, 2.0]])).tolist()
    [[0.0, 1.0]]
    """
    return (attribution > 0).astype(np.float64)


@register(
    "threshold",
    summary="cells whose attribution, scaled by minmax, is at least the amount",
    example="threshold:0.5+",
    paper=_PAPER,
    amount="number",
    signed=True,
)
def above(attribution: Values, amount: float) -> Values:
    """Keep cells whose ``minmax`` value is at least ``amount``.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)
    amount : float in [0, 1]

    Examples
    --------
    >>> above(np.array([[0.0, 1.0, 2.0]]), 0.5).tolist()
    [[0.0, 1.0, 1.0]]
    """
    return (scaled(attribution) >= amount).astype(np.float64)


@register(
    "top",
    summary="a share of the cells, the strongest, even if their attribution is not positive",
    example="top:5%",
    paper=_PAPER,
    amount="percent",
    signed=True,
)
def strongest(attribution: Values, amount: float) -> Values:
    """Keep cells at or above the quantile ``1 - amount``.

    With ``+``, if fewer cells than that are positive, the quantile is 0 and all cells are kept; the
    mask is then marked as degenerate.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)
    amount : float in (0, 1]
        Share of the cells.

    Examples
    --------
    >>> strongest(np.array([[1.0, 2.0, 3.0, 4.0]]), 0.25).tolist()
    [[0.0, 0.0, 0.0, 1.0]]
    """
    return (attribution >= np.quantile(attribution, 1 - amount)).astype(np.float64)


@register(
    "gains",
    summary="the map itself, for methods whose map is a mask in [0, 1]",
    example="gains",
    soft=True,
)
def as_they_are(attribution: Values) -> Values:
    """Return the map; raise if values are outside [0, 1] by more than rounding.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)
        In [0, 1].

    Examples
    --------
    >>> as_they_are(np.array([[0.5]])).tolist()
    [[0.5]]
    """
    low, high = float(attribution.min()), float(attribution.max())
    if low < -1e-6 or high > 1 + 1e-6:
        raise ParameterError(
            f"keep 'gains' needs a map in [0, 1], this one goes from {low:.3g} to {high:.3g}; use "
            "minmax, or a share such as 80%"
        )
    return attribution.clip(0, 1)
