"""Conciseness: how small and how concentrated an explanation is.

These metrics do not evaluate the model: an empty mask is perfectly concise. Interpret them together
with faithfulness, preferably for masks of the same size.

Conventions
-----------
Sparseness and complexity are computed on masks, as published for audio, and on maps, as defined
originally (with the suffix ``-map``). Both ignore sign and scale. For a binary mask that keeps a
share ``q`` of ``n`` cells they are equivalent: ``1 - q`` and ``ln(q n)``.

Values agree with Quantus (Hedström et al. 2023) to 1e-6, including its small constants: 1e-7 of the
largest cell is added to every cell in sparseness, and 1e-12 inside the logarithm in complexity. So
an empty mask has sparseness 0; its complexity is undefined (nan).

Energy measures the size of a mask, not its quality: the true evidence may be the loudest part.
"""

from __future__ import annotations

import numpy as np

from earwitness.metrics.registry import Array, register

_GINI = "Chalasani et al.: Concise Explanations of Neural Networks, 2020"
_ENTROPY = "Bhatt et al.: Evaluating and Aggregating Feature-based Explanations, 2020"


@register(
    "sparseness",
    summary="Gini index of the mask: 0 if all gains are equal, 1 if a single cell is kept",
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
    """Return ``sum_k (2 k - n - 1) a_k / (n sum a)`` over the sorted absolute values.

    Parameters
    ----------
    values : ndarray, shape (batch, freq, frame)
        Gains in [0, 1], or attributions.

    Examples
    --------
    >>> sparseness(np.array([[[1.0, 0.0, 0.0, 0.0]]])).round(3).tolist()
    [0.75]
    """
    flat = np.sort(np.abs(values.reshape(len(values), -1)), axis=1)
    cells = flat.shape[1]
    weights = 2 * np.arange(1, cells + 1) - cells - 1.0
    largest = flat[:, -1].astype(np.float64)
    small = 1e-7 * np.where(largest > 0, largest, 1)
    moment = flat.astype(np.float64, copy=False) @ weights  # a constant has no moment
    return moment / (cells * (flat.sum(axis=1, dtype=np.float64) + cells * small))


@register(
    "complexity",
    summary="entropy of the mask: ln(number of cells) if gains are equal, 0 if one cell is kept",
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
    """Return ``-sum s ln s`` with ``s = |a| / sum |a|``, in nats.

    Parameters
    ----------
    values : ndarray, shape (batch, freq, frame)
        Gains in [0, 1], or attributions.

    Examples
    --------
    >>> complexity(np.ones((1, 2, 2))).round(3).tolist()
    [1.386]
    """
    shares = np.abs(values.reshape(len(values), -1)).astype(np.float64)
    whole = shares.sum(axis=1, keepdims=True)
    shares /= np.where(whole > 0, whole, np.nan)
    logs = shares + 1e-12
    np.log(logs, out=logs)
    return -np.einsum("ij,ij->i", shares, logs)


@register(
    "complexity-relative",
    summary="entropy of the mask relative to a uniform one; comparable between planes",
    family="conciseness",
    direction="lower",
    low=0,
    high=1,
    paper=_ENTROPY,
    given={"values": "gains"},
)
@register(
    "complexity-map-relative",
    summary="entropy of the map relative to a uniform one; comparable between planes",
    family="conciseness",
    direction="lower",
    low=0,
    high=1,
    paper=_ENTROPY,
    given={"values": "maps"},
)
def relative_complexity(values: Array) -> Array:
    """Return complexity over ``ln(number of cells)``.

    Parameters
    ----------
    values : ndarray, shape (batch, freq, frame)
        Gains in [0, 1], or attributions.

    Examples
    --------
    >>> relative_complexity(np.ones((1, 2, 2))).round(3).tolist()
    [1.0]
    """
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
    """Return the mean gain of each mask.

    Parameters
    ----------
    gains : ndarray, shape (mask, freq, frame)
        In [0, 1].

    Examples
    --------
    >>> area(np.array([[[1.0, 0.0, 0.0, 0.0]]])).tolist()
    [0.25]
    """
    return gains.mean(axis=(1, 2), dtype=np.float64)


@register(
    "effective-area",
    summary="(sum g)^2 / (n sum g^2): the area of an equivalent binary mask; 1 for a constant",
    family="conciseness",
    direction="lower",
    low=0,
    high=1,
)
@register(
    "effective-area-audio",
    summary="the same of the gains as heard: |STFT(evidence)| / |X|, at most 1",
    family="conciseness",
    direction="lower",
    low=0,
    high=1,
    given={"gains": "heard"},
)
def effective_area(gains: Array) -> Array:
    """Return ``(sum g)^2 / (n sum g^2)`` of each mask, 0 if nothing is kept.

    It does not depend on a common factor of the gains, so a constant gain has the size 1. Scattered
    cells spread in the inverse transform; their effective area as heard is larger than that of the
    mask. Cells 100 dB or more below the loudest one of the input are not heard.

    Parameters
    ----------
    gains : ndarray, shape (mask, freq, frame)
        In [0, 1].

    Examples
    --------
    >>> effective_area(np.array([[[1.0, 0.0, 0.0, 0.0]], [[0.2, 0.2, 0.2, 0.2]]])).tolist()
    [0.25, 1.0]
    """
    flat = gains.reshape(len(gains), -1)
    total = flat.sum(axis=1, dtype=np.float64)
    squares = np.square(flat, dtype=np.float64).sum(axis=1)
    return np.divide(total**2, flat.shape[1] * squares, out=np.zeros(len(gains)), where=squares > 0)


@register(
    "energy",
    summary="share of the input's energy that the mask keeps",
    family="conciseness",
    direction=None,
    low=0,
    high=1,
)
def energy(gains: Array, magnitude: Array) -> Array:
    """Return ``sum (g |X|)^2 / sum |X|^2`` of each mask, 0 for silence.

    Parameters
    ----------
    gains : ndarray, shape (mask, freq, frame)
        In [0, 1].
    magnitude : ndarray, shape (freq, frame)
        Linear magnitude of the input.

    Examples
    --------
    >>> energy(np.array([[[1.0, 0.0]]]), np.array([[3.0, 1.0]])).tolist()
    [0.9]
    """
    power = np.asarray(magnitude, np.float64) ** 2
    kept = np.square(gains.reshape(len(gains), -1), dtype=np.float64) @ power.ravel()
    return kept / power.sum() if power.sum() > 0 else np.zeros(len(gains))
