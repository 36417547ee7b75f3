"""Region search: the rectangles of time and band whose replacement changes the score most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor

from earwitness.methods.registry import register
from earwitness.perturbation.background.registry import (
    check_background,
    named_background,
    with_backgrounds,
)
from earwitness.perturbation.regions import (
    MOST,
    Grid,
    Region,
    coarse_regions,
    neighbours,
    overlap,
)
from earwitness.probe import Probe
from earwitness.types import Map, Piece, Played

_STARTS = 3  # rectangles that are refined, for each region
_AGAIN = 48  # rectangles that are evaluated again when a region is gone
_APART = 0.5  # share of a rectangle that another start may cover
_MOVES = 4  # at most for each start and step
_NOTHING = Region(0, 0, 0, 0)
_SETTLED = 0.1  # share of the first region's effect below which no further one counts
_REFINING = 100  # evaluations that refine the starts of one region, about


def count(options: Mapping[str, Any]) -> int:
    """Return the approximate number of forward passes for these options."""
    first = len(coarse_regions(options["segments"] or MOST, options["bands"])) + 1
    later = min(first, _AGAIN) * (options["regions"] - 1)
    backgrounds = len(options["background"].split(","))
    return backgrounds * (first + later + _REFINING * int(options["regions"]))


@register(
    "region-search",
    summary="the rectangles of time and band whose replacement lowers the score most",
    limits="what is no rectangle, and regions that matter only together with another",
    paper="occlusion (Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, 2014) "
    "of rectangles of all sizes",
    cost=count,
    check=check_background,
)
def region_search(
    probe: Probe,
    *,
    background: str = "auto",
    regions: Annotated[int, Ge(1)] = 2,
    segments: Annotated[int, Ge(0)] = 0,
    bands: Annotated[int, Ge(1)] = 24,
    compact: Annotated[float, Ge(0), Le(1)] = 0.5,
) -> Map:
    """Search for the region with the largest ``effect / size ** compact``, from coarse to fine.

    The effect of a region is ``score(input) - score(input with the region replaced)``. Overlapping
    rectangles of a fifth and a tenth of the length are evaluated, over all bands and over a third
    of them. The best three are refined: edges move by four, two and one segments or bands, as long
    as that is better. The next region is searched with the first one replaced, until its effect is
    below a tenth of the first one's.

    The map is the effect of each region per second and unit of the ERB-rate scale, and zero
    elsewhere. With ``--direction down``, regions are what lowers the score.

    Parameters
    ----------
    background : str
        What replaces a region: ``silence``, ``noise-floor``, ``mean``, ``median``, or the path of a
        sound; ``auto`` is the mean for a regression, and silence otherwise. Scores are averaged
        over several, separated by commas.
    regions : int
        Largest number of regions.
    segments : int
        Number of segments of time that regions consist of; 0 for 20 per second (fewer on a plane
        with windows shorter than 12.5 ms), 80 at most.
    bands : int
        Number of bands on the ERB-rate scale that regions consist of.
    compact : float
        0 for the largest effect, 1 for the largest effect per size.
    """
    search = _Search(probe, background, Grid(probe, segments, bands), compact)
    found: list[tuple[Region, float, Tensor]] = []
    candidates: Sequence[Region] = coarse_regions(*search.grid.shape)
    settled = False
    for _ in range(regions):
        region, candidates = search.best(candidates, [one for one, _, _ in found])
        effect = search.effect(region)
        settled = effect <= (_SETTLED * found[0][1] if found else 0.0)
        if settled:
            break
        found.append((region, effect, search.replace(region)))
    values = torch.zeros_like(probe.magnitude)
    for region, effect, gains in found:
        values += effect / search.grid.size(region) * gains
    details = {
        "background": named_background(background, probe.model.task),
        "evaluations": search.evaluations,
        "regions": [search.grid.name(region) for region, _, _ in found],
        "effects": [effect for _, effect, _ in found],
        "settled": settled,
    }
    return Map(values, details, _played(probe, search, found))


class _Search:
    """Effects of regions, beside the regions that are replaced already."""

    def __init__(self, probe: Probe, background: str, grid: Grid, compact: float) -> None:
        self._probes = with_backgrounds(probe, background)
        self._compact = compact
        self.grid = grid
        self.left = torch.ones_like(probe.magnitude)  # gains of what is not replaced
        self._known: dict[Region, float] = {}
        self.evaluations = 0
        (self._whole,) = self._scores([_NOTHING])

    def _scores(self, regions: Sequence[Region]) -> list[float]:
        """Return the score without each region, averaged over the backgrounds."""
        found = [
            probe.scores(self.left * (1 - self.grid.gains(one)) for one in regions).double()
            for probe in self._probes
        ]
        self.evaluations += len(found) * len(regions)
        return torch.stack(found).mean(dim=0).tolist()

    def effect(self, region: Region) -> float:
        """Return the effect of a region that was evaluated."""
        return self._known[region]

    def evaluate(self, regions: Sequence[Region]) -> None:
        """Evaluate the regions that are not known yet."""
        fresh = [one for one in dict.fromkeys(regions) if one not in self._known]
        if not fresh:
            return
        effects = (self._whole - score for score in self._scores(fresh))
        self._known.update(zip(fresh, effects, strict=True))

    def value(self, region: Region) -> float:
        """Return what the best region has most of."""
        return self._known[region] / self.grid.size(region) ** self._compact

    def best(
        self, candidates: Sequence[Region], taken: Sequence[Region]
    ) -> tuple[Region, list[Region]]:
        """Return the best region near the best candidates, and the candidates for the next one.

        Parameters
        ----------
        candidates : sequence of Region
        taken : sequence of Region
            Regions that are replaced already, which candidates may overlap by half.
        """
        free = [one for one in candidates if overlap(one, taken) <= _APART] or list(candidates)
        self.evaluate(free)
        ranked = sorted(free, key=self.value, reverse=True)
        starts: list[Region] = []
        for one in ranked:
            if overlap(one, starts) <= _APART:
                starts.append(one)
            if len(starts) == _STARTS:
                break
        for step in (4, 2, 1):
            for _ in range(_MOVES):
                around = [neighbours(one, (step, step), self.grid.shape) for one in starts]
                self.evaluate([one for some in around for one in some])
                moved = [
                    max([start, *some], key=self.value)
                    for start, some in zip(starts, around, strict=True)
                ]
                if moved == starts:
                    break
                starts = moved
        return max(starts, key=self.value), ranked[:_AGAIN]

    def replace(self, region: Region) -> Tensor:
        """Replace a region for good, and return its gains (freq, frame) in what was left."""
        gains = self.left * self.grid.gains(region)
        self.left = self.left - gains
        self._whole -= self._known[region]
        self._known = {}
        return gains


def _played(probe: Probe, search: _Search, found: Sequence[tuple[Region, float, Tensor]]) -> Played:
    """Return the regions, and all else, as pieces that sum to the input."""
    gains = torch.stack([*(own for _, _, own in found), search.left])
    energies = (gains * probe.magnitude).square().sum(dim=(1, 2))
    shares = (energies / (probe.magnitude.square().sum() or 1.0)).tolist()
    names = [*(search.grid.name(region) for region, _, _ in found), "all else"]
    weights = [*(effect for _, effect, _ in found), 0.0]
    table = tuple(
        Piece(name, weight, weight, weight, share)
        for name, weight, share in zip(names, weights, shares, strict=True)
    )
    return Played(lambda switches: torch.einsum("bp,pft->bft", switches, gains), table)
