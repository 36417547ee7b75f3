"""Rectangles of time and band on a grid of short segments and ERB bands.

A region is a run of neighbouring segments by a run of neighbouring bands. Its gains are the product
of two partitions of unity, so that edges are cross-faded, and regions that tile the plane sum to
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from earwitness.perturbation.pieces.bands import erb_edges, erb_rate, faded_bands
from earwitness.perturbation.pieces.time import event_scale, faded_segments, span_name
from earwitness.probe import Probe

STEP = 0.05  # s, default length of a segment
MOST = 80  # segments at most by default, so that the number of evaluations is bounded
PARTS = (5, 10)  # of the sound, lengths of the rectangles that are evaluated first
THIRD = 3  # of the scale, width of the band of these beside the whole of it


class Region(NamedTuple):
    """A rectangle on the grid: segments ``first`` to ``last``, bands ``low`` to ``high``; ends
    excluded.
    """

    first: int
    last: int
    low: int
    high: int


class Grid:
    """Segments and bands of one sound.

    Parameters
    ----------
    probe : Probe
    segments : int
        Number of segments; 0 for one of 50 ms each, 80 at most.
    bands : int
        Number of bands of equal width on the ERB-rate scale. Bands and segments that hold no bin or
        frame are merged.
    """

    def __init__(self, probe: Probe, segments: int, bands: int) -> None:
        seconds = probe.samples / probe.model.rate
        count = segments or max(1, min(MOST, round(seconds / (STEP * event_scale(probe)))))
        times = torch.linspace(0, seconds, count + 1, dtype=torch.float64)
        columns, self.times = faded_segments(probe, times)
        rows, self.freqs = faded_bands(probe, erb_edges(bands, probe.model.rate / 2))
        self._clock = probe.clock
        self._rows, self._columns = rows.to(probe.device), columns.to(probe.device)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of segments and of bands."""
        return len(self._columns), len(self._rows)

    def gains(self, region: Region) -> Tensor:
        """Return the gains (freq, frame) of what lies in a region."""
        row = self._rows[region.low : region.high].sum(dim=0)
        column = self._columns[region.first : region.last].sum(dim=0)
        return (row[:, None] * column).clamp(0, 1)

    def size(self, region: Region) -> float:
        """Return the size of a region in seconds times ERB-rate."""
        low, high = erb_rate(self.freqs[[region.low, region.high]]).tolist()
        first, last = self.times[[region.first, region.last]].tolist()
        return float((last - first) * (high - low))

    def name(self, region: Region) -> str:
        """Return the place of a region in seconds and Hz."""
        low, high = self.freqs[[region.low, region.high]].tolist()
        first, last = map(self._clock, self.times[[region.first, region.last]].tolist())
        span = span_name(first, last, float(self.times.diff().min()))
        return f"{span}, {low:.0f}-{high:.0f} Hz"


def coarse_regions(segments: int, bands: int) -> list[Region]:
    """Return rectangles of a fifth and a tenth of the length, over all bands and a third of them.

    Neighbours overlap by half in both directions.

    Examples
    --------
    >>> len(coarse_regions(80, 24)), [tuple(one) for one in coarse_regions(3, 1)]
    (168, [(0, 1, 0, 1), (1, 2, 0, 1), (2, 3, 0, 1)])
    """
    spans = [one for part in PARTS for one in _windows(segments, max(1, segments // part))]
    ranges = [one for width in (bands, -(-bands // THIRD)) for one in _windows(bands, width)]
    return [
        Region(*span, *band) for span, band in product(dict.fromkeys(spans), dict.fromkeys(ranges))
    ]


def _windows(size: int, length: int) -> list[tuple[int, int]]:
    """Return spans of a length that overlap by half and cover a range."""
    length = min(size, length)
    last, hop = size - length, max(1, length // 2)
    return [(start, start + length) for start in sorted({*range(0, last, hop), last})]


def places_of_size(region: Region, shape: tuple[int, int]) -> list[Region]:
    """Return all places on the grid that a region reaches in moves of half its length or width.

    Examples
    --------
    >>> [one[:2] for one in places_of_size(Region(1, 3, 0, 1), (5, 1))]
    [(0, 2), (1, 3), (2, 4), (3, 5)]
    """
    (segments, bands), (first, last, low, high) = shape, region
    spans, ranges = (
        [
            (start, start + length)
            for start in range(at % max(1, length // 2), size - length + 1, max(1, length // 2))
        ]
        for at, length, size in ((first, last - first, segments), (low, high - low, bands))
    )
    return [Region(*span, *band) for span, band in product(spans, ranges)]


def neighbours(region: Region, steps: tuple[int, int], shape: tuple[int, int]) -> list[Region]:
    """Return the regions with one edge moved out or in by a step, or moved as a whole.

    Parameters
    ----------
    region : Region
    steps : (int, int)
        In segments and in bands.
    shape : (int, int)
        Number of segments and of bands.

    Examples
    --------
    >>> [tuple(one) for one in neighbours(Region(0, 2, 0, 1), (1, 1), (3, 1))]
    [(1, 2, 0, 1), (0, 1, 0, 1), (0, 3, 0, 1), (1, 3, 0, 1)]
    """
    (time, band), (segments, bands) = steps, shape
    moves = [
        *((by, 0, 0, 0) for by in (-time, time)),
        *((0, by, 0, 0) for by in (-time, time)),
        *((0, 0, by, 0) for by in (-band, band)),
        *((0, 0, 0, by) for by in (-band, band)),
        *((by, by, 0, 0) for by in (-time, time)),
        *((0, 0, by, by) for by in (-band, band)),
    ]
    found = (Region(*(a + b for a, b in zip(region, move, strict=True))) for move in moves)
    return [
        one
        for one in found
        if 0 <= one.first < one.last <= segments and 0 <= one.low < one.high <= bands
    ]


def overlap(one: Region, others: Sequence[Region]) -> float:
    """Return the largest share of a region that one of the others covers, in grid cells.

    Examples
    --------
    >>> overlap(Region(0, 4, 0, 2), [Region(2, 8, 0, 1), Region(5, 6, 0, 2)])
    0.25
    """

    def shared(other: Region) -> int:
        time = min(one.last, other.last) - max(one.first, other.first)
        band = min(one.high, other.high) - max(one.low, other.low)
        return max(0, time) * max(0, band)

    cells = (one.last - one.first) * (one.high - one.low)
    return max((shared(other) / cells for other in others), default=0.0)
