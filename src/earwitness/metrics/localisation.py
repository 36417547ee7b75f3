"""How well an explanation finds the true source, where the truth is known.

In a mixture made of known sources one can say which cells the target's source is in. An explanation
of a good classifier should point there; one of a classifier that decides by something else should
not, so a low figure is not always the explanation's fault.

Conventions
-----------
The true source and the rest add up to the input. A cell belongs to the source if the source has
more energy there than the rest (``true_cells``). Three questions are asked: of cells, of frames
(``-time``) and of bins (``-frequency``); for the latter two, positive attribution is summed over
the other axis, and energies are too.

Only positive attribution counts as pointing somewhere. Ties get the value they would have on
average in random order, so a map that orders nothing does as well as chance and no better.
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
    """Register a function of maps and truth for cells, frames and bins."""

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
    "share of the positive attribution that lies in true cells",
    f"{_CLEVR}, section 3.2",
)
def relevance_mass(maps: Array, truth: Truth) -> Array:
    """Return the share of positive attribution in true cells; 0 where nothing is positive.

    Parameters
    ----------
    maps : ndarray, shape (map, ...)
    truth : ndarray, shape (...), bool
    """
    positive = np.maximum(maps.reshape(len(maps), -1), 0).astype(np.float64)
    whole = positive.sum(axis=1)
    inside = positive[:, truth.ravel()].sum(axis=1)
    return np.divide(inside, whole, out=np.zeros_like(whole), where=whole > 0)


@_register_over(
    "relevance-rank",
    "share of true cells among as many of the strongest cells",
    f"{_CLEVR}, section 3.2",
)
def relevance_rank(maps: Array, truth: Truth) -> Array:
    """Return how many of the ``K`` strongest cells are true, over ``K``, the number of true cells.

    nan where no cell is true.
    """
    flat, inside = maps.reshape(len(maps), -1), truth.ravel()
    count = int(inside.sum())
    if not count:
        return np.full(len(maps), np.nan)
    last = np.sort(flat, axis=1)[:, -count, None]
    above, equal = flat > last, flat == last
    places = count - above.sum(axis=1)  # left for those that are equal
    hits = (above & inside).sum(axis=1)
    hits = hits + places * (equal & inside).sum(axis=1) / equal.sum(axis=1)
    return hits / count


@_register_over(
    "pointing-game",
    "1 where the strongest of all cells is a true one",
    "Zhang et al.: Top-down Neural Attention by Excitation Backprop, 2018",
)
def pointing_game(maps: Array, truth: Truth) -> Array:
    """Return whether the strongest cell is true; of several, the share that is."""
    flat = maps.reshape(len(maps), -1)
    strongest = flat == flat.max(axis=1, keepdims=True)
    return (strongest & truth.ravel()).sum(axis=1) / strongest.sum(axis=1)


@_register_over(
    "roc-auc",
    "probability that a true cell is stronger than another cell is",
    "Fawcett: An Introduction to ROC Analysis, 2006",
)
def roc_auc(maps: Array, truth: Truth) -> Array:
    """Return the area under the ROC curve of finding true cells; nan if all or none are true."""
    # from scipy 1.18 on, ranks have the type of what is ranked
    flat, inside = maps.reshape(len(maps), -1).astype(np.float64), truth.ravel()
    true, false = int(inside.sum()), int((~inside).sum())
    if not true or not false:
        return np.full(len(maps), np.nan)
    ranks = rankdata(flat, axis=1)[:, inside].sum(axis=1)
    return (ranks - true * (true + 1) / 2) / (true * false)


@register(
    "si-sdr-source",
    summary="how close the evidence sounds to the true source",
    family="localisation",
    direction="higher",
    unit="dB",
    paper="Le Roux et al.: SDR - Half-baked or Well Done?, 2019, eq. 5",
    given={"estimates": "sounds", "truth": "source_sound"},
)
@register(
    "si-sdr-input",
    summary="how much of the input is still in the evidence",
    family="sound",
    direction=None,
    unit="dB",
    paper="Le Roux et al.: SDR - Half-baked or Well Done?, 2019, eq. 5",
    given={"estimates": "sounds", "truth": "input_sound"},
)
def si_sdr(estimates: Array, truth: Array) -> Array:
    """Return the scale-invariant signal-to-distortion ratio of each sound.

    Not defined (nan) for a silent truth; minus infinity for a silent estimate.

    Parameters
    ----------
    estimates : ndarray, shape (sound, time)
    truth : ndarray, shape (time,)
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
    """Return the fields of a case that say where the true source is.

    Parameters
    ----------
    source, rest : ndarray, shape (freq, frame)
        Magnitudes of the target's source and of everything else in the mixture.

    Returns
    -------
    dict
        ``truth``, ``truth_time`` and ``truth_frequency``: where the source has more energy.
    """
    ours, theirs = (np.asarray(one, np.float64) ** 2 for one in (source, rest))
    return {
        "truth": ours > theirs,
        "truth_time": ours.sum(axis=0) > theirs.sum(axis=0),
        "truth_frequency": ours.sum(axis=1) > theirs.sum(axis=1),
    }


def map_fields(maps: Array) -> dict[str, Array]:
    """Return the fields of a case that hold attributions (map, freq, frame), and their sums."""
    positive = np.maximum(maps, 0)
    return {
        "maps": maps,
        "maps_time": positive.sum(axis=1, dtype=np.float64),
        "maps_frequency": positive.sum(axis=2, dtype=np.float64),
    }
