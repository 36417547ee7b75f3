"""How little the explanation points at.

These never look at the model: an empty mask is perfectly concise. They are read beside
faithfulness, at best on masks of the same size.

Conventions
-----------
Sparseness and complexity are taken of masks, as published for audio, and of maps, as defined
originally; ``-map`` says the latter. Both ignore the sign and the scale. For a binary mask that
keeps a share ``q`` of ``n`` cells they are one figure in two forms: ``1 - q`` and ``ln(q n)``.

Values agree with Quantus (Hedström et al. 2023) to 1e-6, including its small constants: every cell
counts 1e-7 of the largest more in sparseness, and 1e-12 inside the logarithm. So an empty mask has
sparseness 0; its complexity is not defined (nan).

Energy says how large a mask is and not how good: the right evidence may be the loudest part.
"""

from __future__ import annotations

import numpy as np

from earwitness.metrics.registry import Array, register

_GINI = "Chalasani et al.: Concise Explanations of Neural Networks, 2020"
_ENTROPY = "Bhatt et al.: Evaluating and Aggregating Feature-based Explanations, 2020"


@register(
    "sparseness",
    summary="Gini index of the mask: 0 if all cells are kept alike, 1 if one is",
    family="conciseness",
    direction="higher",
    low=0,
    high=1,
    paper=_GINI,
    given={"values": "gains"},
)
@register(
    "sparseness-map",
    summary="Gini index of the map's absolute values",
    family="conciseness",
    direction="higher",
    low=0,
    high=1,
    paper=_GINI,
    given={"values": "maps"},
)
def sparseness(values: Array) -> Array:
    """Return ``sum_k (2 k - n - 1) a_k / (n sum a)`` over the sorted absolute values."""
    flat = np.sort(np.abs(values.reshape(len(values), -1)), axis=1)
    cells = flat.shape[1]
    weights = 2 * np.arange(1, cells + 1) - cells - 1.0
    largest = flat[:, -1].astype(np.float64)
    small = 1e-7 * np.where(largest > 0, largest, 1)
    moment = flat.astype(np.float64, copy=False) @ weights  # a constant has no moment
    return moment / (cells * (flat.sum(axis=1, dtype=np.float64) + cells * small))


@register(
    "complexity",
    summary="entropy of the mask: ln(number of cells) if all are kept alike, 0 if one is",
    family="conciseness",
    direction="lower",
    low=0,
    unit="nats",
    paper=_ENTROPY,
    given={"values": "gains"},
)
@register(
    "complexity-map",
    summary="entropy of the map's absolute values",
    family="conciseness",
    direction="lower",
    low=0,
    unit="nats",
    paper=_ENTROPY,
    given={"values": "maps"},
)
def complexity(values: Array) -> Array:
    """Return ``-sum s ln s`` with ``s = |a| / sum |a|``."""
    shares = np.abs(values.reshape(len(values), -1)).astype(np.float64)
    whole = shares.sum(axis=1, keepdims=True)
    shares /= np.where(whole > 0, whole, np.nan)
    logs = shares + 1e-12
    np.log(logs, out=logs)
    return -np.einsum("ij,ij->i", shares, logs)


@register(
    "complexity-relative",
    summary="entropy of the mask over that of a uniform one, so that planes compare",
    family="conciseness",
    direction="lower",
    low=0,
    high=1,
    paper=_ENTROPY,
    given={"values": "gains"},
)
@register(
    "complexity-map-relative",
    summary="entropy of the map over that of a uniform one, so that planes compare",
    family="conciseness",
    direction="lower",
    low=0,
    high=1,
    paper=_ENTROPY,
    given={"values": "maps"},
)
def relative_complexity(values: Array) -> Array:
    """Return complexity over ``ln(number of cells)``."""
    return complexity(values) / np.log(values[0].size)


@register(
    "area",
    summary="mean gain",
    family="conciseness",
    direction="lower",
    low=0,
    high=1,
)
def area(gains: Array) -> Array:
    """Return the mean of each mask's gains."""
    return gains.mean(axis=(1, 2), dtype=np.float64)


@register(
    "energy",
    summary="share of the input's energy that the mask keeps",
    family="conciseness",
    direction=None,
    low=0,
    high=1,
)
def energy(gains: Array, magnitude: Array) -> Array:
    """Return ``sum (g |X|)^2 / sum |X|^2`` of each mask, 0 for silence."""
    power = np.asarray(magnitude, np.float64) ** 2
    kept = np.square(gains.reshape(len(gains), -1), dtype=np.float64) @ power.ravel()
    return kept / power.sum() if power.sum() > 0 else np.zeros(len(gains))
