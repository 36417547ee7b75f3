"""The true place beside every other place of its size: what a model permits a method to find.

A score may rise more when something else is replaced than the degradation, which then cannot be
found by what lowers the score. Here the size is given, and the places are few: rectangles of the
length and the width of the true place that overlap by half. The share of sounds in which the best
of them is the true one is what a search finds that knows the size. It is no strict bound: a part of
the place may raise the score by more than the whole of it, which takes speech along.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from earwitness.data.degraded import Degraded
from earwitness.perturbation.background.registry import background_of
from earwitness.perturbation.pieces.bands import erb_rate
from earwitness.perturbation.regions import Grid, Region, places_of_size
from earwitness.probe import Probe

BANDS = 24


def true_place(
    probe: Probe, made: Degraded, background: str, *, whole_band: bool
) -> tuple[Tensor, dict[str, Any]]:
    """Return the map of the best place of the size of the true one, and what the true one gives.

    Parameters
    ----------
    probe : Probe
    made : Degraded
    background : str
        What replaces a place.
    whole_band : bool
        Whether places have all frequencies, and differ in time only.

    Returns
    -------
    values : Tensor, shape (freq, frame)
        The gains of the best place; zero if replacing it does not raise the explained score.
    figures : dict
        ``raises``, whether replacing the true place raises the reported score's explained
        direction; ``remainder_own``, the explained score then; ``places``, how many there are.
    """
    grid = Grid(probe, 0, 1 if whole_band else BANDS)
    true = _region(grid, made)
    places = [true, *(one for one in places_of_size(true, grid.shape) if one != true)]
    replaced = probe.with_background(background_of(probe, background))
    ones = torch.ones_like(probe.magnitude)
    gains = (1 - grid.gains(one) for one in places)
    whole, *scores = replaced.scores(one for some in ([ones], gains) for one in some).tolist()
    falls = [whole - score for score in scores]
    best = max(range(len(places)), key=falls.__getitem__)
    values = grid.gains(places[best]) if falls[best] > 0 else torch.zeros_like(ones)
    score = probe.target.sign * scores[0]
    return values, {"raises": falls[0] > 0, "remainder_own": score, "places": len(places)}


def _region(grid: Grid, made: Degraded) -> Region:
    """Return the region of the grid that is nearest to a place, one segment and band at least."""
    first, last = _nearest(grid.times, torch.tensor([made.start, made.end]))
    low, high = _nearest(
        erb_rate(grid.freqs), erb_rate(torch.tensor([made.low, made.high], dtype=torch.float64))
    )
    return Region(first, last, low, high)


def _nearest(bounds: Tensor, ends: Tensor) -> tuple[int, int]:
    first, last = ((bounds[:, None] - ends.double()).abs().argmin(dim=0)).tolist()
    first = min(first, len(bounds) - 2)
    return first, max(last, first + 1)
