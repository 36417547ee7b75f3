"""Bugs in the search of regions."""

from __future__ import annotations

BUGS = {
    "regions: what is kept is replaced": (
        "methods/region_search.py",
        "self.left * (1 - self.grid.gains(one)) for one in regions",
        "self.left * self.grid.gains(one) for one in regions",
    ),
    "regions: effects have the other sign": (
        "methods/region_search.py",
        "self._whole - score for score in self._scores(fresh)",
        "score - self._whole for score in self._scores(fresh)",
    ),
    "regions: later regions are searched as if the first were there": (
        "methods/region_search.py",
        "self.left = self.left - gains",
        "self.left = self.left + 0 * gains",
    ),
    "regions: the later effect is that of both": (
        "methods/region_search.py",
        "self._whole -= self._known[region]",
        "self._whole -= 0 * self._known[region]",
    ),
    "regions: edges are not refined": (
        "methods/region_search.py",
        "for step in (4, 2, 1):",
        "for step in ():",
    ),
    "regions: a region of no effect counts": (
        "methods/region_search.py",
        "settled = effect <= (_SETTLED",
        "settled = effect < (_SETTLED",
    ),
    "regions: regions are evaluated twice": (
        "methods/region_search.py",
        "if one not in self._known]",
        "if True]",
    ),
    "regions: size in Hz": (
        "perturbation/regions.py",
        "erb_rate(self.freqs[[region.low, region.high]])",
        "self.freqs[[region.low, region.high]]",
    ),
    "regions: ERB-rate of another scale": (
        "perturbation/pieces/bands.py",
        "21.4 * torch.log10(1",
        "21.4 * torch.log(1",
    ),
    "regions: no rectangle at the end of the sound": (
        "perturbation/regions.py",
        "sorted({*range(0, last, hop), last})",
        "sorted({*range(0, last, hop), 0})",
    ),
    "regions: edges move inwards only": (
        "perturbation/regions.py",
        "*((0, by, 0, 0) for by in (-time, time)),",
        "*((0, by, 0, 0) for by in (-time,)),",
    ),
    "regions: overlapping pieces do not sum to the sound": (
        "methods/region_search.py",
        "gains = self.left * self.grid.gains(region)",
        "gains = self.grid.gains(region)",
    ),
}
