"""Localisation: agreement of an explanation with the true source, if it is known.

In a mixture of known sources, the cells that the target's source dominates are known. An
explanation of a good classifier should point there. If the classifier uses other evidence, it
should not, so a low value can also be due to the classifier.

Conventions
-----------
The true source and the rest sum to the input. A cell belongs to the source if the source has more
energy there than the rest (``true_cells``). Every metric is computed on cells, on frames
(``-time``) and on bins (``-frequency``); for the latter two, positive attribution and energies are
summed over the other axis.

Only positive attribution counts: negative values are zero, and tied. Ties get their expected value
in random order, so a map that is constant, or nowhere positive, scores at chance level.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from earwitness.metrics.registry import Array, Direction, register

Truth = NDArray[np.bool_]
_CLEVR = "Arras, Osman, Samek: CLEVR-XAI, 2022"
_OVER = {"": "cells", "-time": "frames", "-frequency": "bins"}


def _register_over(
    name: str, summary: str, paper: str, direction: Direction = "higher"
) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """Return a decorator that registers a function for cells, frames and bins."""

    def add(function: Callable[..., Array]) -> Callable[..., Array]:
        for suffix, noun in _OVER.items():
            field = suffix.replace("-", "_")
            register(
                f"{name}{suffix}",
                summary=summary.replace("cells", noun).replace("cell ", f"{noun[:-1]} "),
                family="localisation",
                direction=direction,
                low=0,
                high=1,
                paper=paper,
                given={"maps": f"maps{field}", "truth": f"truth{field}"},
            )(function)
        return function

    return add


@_register_over(
    "relevance-mass",
    "share of the positive attribution in true cells",
    f"{_CLEVR}, section 3.2",
)
def relevance_mass(maps: Array, truth: Truth) -> Array:
    """Return the share of positive attribution in true cells; 0 if nothing is positive.

    Parameters
    ----------
    maps : ndarray, shape (map, ...)
        Attributions.
    truth : ndarray, shape (...), bool

    Examples
    --------
    >>> relevance_mass(np.array([[3.0, 1.0, -5.0]]), np.array([True, False, False])).tolist()
    [0.75]
    """
    positive = _positive(maps)
    whole = positive.sum(axis=1)
    inside = positive[:, truth.ravel()].sum(axis=1)
    return np.divide(inside, whole, out=np.zeros_like(whole), where=whole > 0)


@_register_over(
    "relevance-rank",
    "precision of the K strongest cells, K being the number of true cells",
    f"{_CLEVR}, section 3.2",
)
def relevance_rank(maps: Array, truth: Truth) -> Array:
    """Return the share of true cells among the ``K`` strongest, ``K`` the number of true cells.

    nan if no cell is true.

    Parameters
    ----------
    maps : ndarray, shape (map, ...)
        Attributions.
    truth : ndarray, shape (...), bool

    Examples
    --------
    >>> relevance_rank(np.array([[3.0, 2.0, 1.0]]), np.array([True, False, True])).tolist()
    [0.5]
    """
    flat, inside = _positive(maps), truth.ravel()
    count = int(inside.sum())
    if not count:
        return np.full(len(maps), np.nan)
    last = np.sort(flat, axis=1)[:, -count, None]
    above, equal = flat > last, flat == last
    places = count - above.sum(axis=1)  # left for cells of equal attribution
    hits = (above & inside).sum(axis=1)
    hits = hits + places * (equal & inside).sum(axis=1) / equal.sum(axis=1)
    return hits / count


@_register_over(
    "pointing-game",
    "1 if the strongest of all cells is a true one",
    "Zhang et al.: Top-down Neural Attention by Excitation Backprop, 2018",
)
def pointing_game(maps: Array, truth: Truth) -> Array:
    """Return 1 if the strongest cell is true; for several strongest cells, the share that is.

    Parameters
    ----------
    maps : ndarray, shape (map, ...)
        Attributions.
    truth : ndarray, shape (...), bool

    Examples
    --------
    >>> pointing_game(np.array([[3.0, 2.0]]), np.array([True, False])).tolist()
    [1.0]
    """
    flat = _positive(maps)
    strongest = flat == flat.max(axis=1, keepdims=True)
    return (strongest & truth.ravel()).sum(axis=1) / strongest.sum(axis=1)


@_register_over(
    "roc-auc",
    "probability that a true cell is stronger than another (area under the ROC curve)",
    "Fawcett: An Introduction to ROC Analysis, 2006",
)
def roc_auc(maps: Array, truth: Truth) -> Array:
    """Return the area under the ROC curve for the true cells; nan if all or none are true.

    Parameters
    ----------
    maps : ndarray, shape (map, ...)
        Attributions.
    truth : ndarray, shape (...), bool

    Examples
    --------
    >>> roc_auc(np.array([[3.0, 2.0, 1.0]]), np.array([True, False, True])).tolist()
    [0.5]
    """
    # from scipy 1.18 on, ranks have the dtype of what is ranked
    flat, inside = _positive(maps), truth.ravel()
    true, false = int(inside.sum()), int((~inside).sum())
    if not true or not false:
        return np.full(len(maps), np.nan)
    ranks = rankdata(flat, axis=1)[:, inside].sum(axis=1)
    return (ranks - true * (true + 1) / 2) / (true * false)


def _positive(maps: Array) -> Array:
    """Return the positive part of attributions (map, ...) as (map, cell), in double precision."""
    return np.maximum(maps.reshape(len(maps), -1), 0).astype(np.float64)


@register(
    "si-sdr-source",
    summary="scale-invariant SDR of the evidence, with the true source as reference",
    family="localisation",
    direction="higher",
    unit="dB",
    paper="Le Roux et al.: SDR - Half-baked or Well Done?, 2019, eq. 5",
    given={"estimates": "sounds", "truth": "source_sound"},
)
@register(
    "si-sdr-input",
    summary="scale-invariant SDR of the evidence, with the input as reference",
    family="sound",
    direction=None,
    unit="dB",
    paper="Le Roux et al.: SDR - Half-baked or Well Done?, 2019, eq. 5",
    given={"estimates": "sounds", "truth": "input_sound"},
)
def si_sdr(estimates: Array, truth: Array) -> Array:
    """Return the scale-invariant signal-to-distortion ratio of each sound in dB.

    Undefined (nan) for a silent reference; minus infinity for a silent estimate.

    Parameters
    ----------
    estimates : ndarray, shape (sound, time)
    truth : ndarray, shape (time,)
        The reference signal.

    Examples
    --------
    >>> si_sdr(np.array([[1.0, 1.0]]), np.array([1.0, 0.0])).tolist()
    [0.0]
    """
    wanted, found = truth.astype(np.float64), estimates.astype(np.float64)
    power = float(wanted @ wanted)
    if power == 0:
        return np.full(len(found), np.nan)
    part = (found @ wanted / power)[:, None] * wanted
    rest = np.maximum(((found - part) ** 2).sum(axis=1), 1e-300)
    with np.errstate(divide="ignore"):
        return 10 * np.log10((part**2).sum(axis=1) / rest)


def true_cells(source: Array, rest: Array) -> dict[str, Truth]:
    """Return the fields of a case with the positions of the true source.

    Parameters
    ----------
    source, rest : ndarray, shape (freq, frame)
        Linear magnitudes of the target's source and of the rest of the mixture.

    Returns
    -------
    dict
        ``truth`` (freq, frame), ``truth_time`` (frame,) and ``truth_frequency`` (freq,), bool:
        where the source has more energy.

    Examples
    --------
    >>> true_cells(np.array([[2.0, 1.0]]), np.array([[1.0, 3.0]]))["truth"].tolist()
    [[True, False]]
    """
    ours, theirs = (np.asarray(one, np.float64) ** 2 for one in (source, rest))
    return {
        "truth": ours > theirs,
        "truth_time": ours.sum(axis=0) > theirs.sum(axis=0),
        "truth_frequency": ours.sum(axis=1) > theirs.sum(axis=1),
    }


def map_fields(maps: Array) -> dict[str, Array]:
    """Return the fields of a case with attributions (map, freq, frame) and their sums over axes."""
    positive = np.maximum(maps, 0)
    return {
        "maps": maps,
        "maps_time": positive.sum(axis=1, dtype=np.float64),
        "maps_frequency": positive.sum(axis=2, dtype=np.float64),
    }
