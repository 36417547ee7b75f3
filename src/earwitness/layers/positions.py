"""Where the indices along an axis lie, from the changes that two patterns cause.

A small disturbance is multiplied by ``cos a`` in one pass and by ``sin a`` in another, with an
angle ``a`` that rises from 0 to pi along time or frequency. A cell that depends on the place of
angle ``a`` changes by ``c cos a`` and ``c sin a``, with an unknown ``c`` for every channel. The sum
over channels of ``(c cos a + i c sin a)^2`` is ``exp(2 i a)`` times the sum of ``c^2``: its
argument is the place, and its size relative to the sum of ``c^2`` is 1 if all of them depend on the
same place. Both sums can be pooled over any cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MARGIN = 0.05  # of the half turn, at both ends; without it the ends of an axis are one place
_EFFECTIVE = 1e-2  # of the largest energy of change; an index with less does not respond
_FEWEST = 2  # indices that respond
_DENSE = 0.5  # share of the indices between the first and the last of them
_RUN = 4  # indices that respond beside each other, on average
_MANY = 8  # indices; so many are in order by chance in fewer than one case of 500
_SURE = 0.12  # of the spread, to be explained by fewer
_SURE_OF_SOME = 0.05  # where other indices do not respond: channels would
_MONOTONE = 0.89  # rank correlation between index and place from which they are in order
LEAST_ORDER = 0.01  # of an axis; one with less is not assigned
_SHARP = 0.97  # size of the moment relative to the energy; below, fields are wide
_END = 1 / 6  # of the scale: the lowest and the highest bands
_STRETCH = (0.3, 3.0)  # of a curve, so that its ends lie at the end bands; beyond, it is none
_GROUPS = 48  # of indices, for a line through their places
Array = NDArray[np.float64]


def angles(places: Tensor) -> Tensor:
    """Return the angle of places in [0, 1]."""
    return pi * (_MARGIN + (1 - 2 * _MARGIN) * places)


def end_bands(places: Tensor) -> Tensor:
    """Return which places in [0, 1] are in the lowest and in the highest bands, (2, place)."""
    return torch.stack([places < _END, places > 1 - _END])


@dataclass(frozen=True)
class Response:
    """How the indices along an axis respond to the two patterns.

    Attributes
    ----------
    energy : array, shape (index,)
        Sum of the squares of both changes.
    moment : array, shape (index,), complex
        Sum of the squares of the change by the cosine plus ``i`` times that by the sine.
    ends : array, shape (2, index), or None
        Sum of the squares of the change by the lowest and by the highest bands.
    """

    energy: Array
    moment: NDArray[np.complex128]
    ends: Array | None = None

    def __len__(self) -> int:
        return len(self.energy)

    def softened(self) -> Response:
        """Return the response with the roots of the energies, so that more indices count."""
        root = np.sqrt(self.energy)
        moment: NDArray[np.complex128] = self.moment / np.where(root > 0, root, 1)
        return Response(root, moment)

    def narrow(self, count: int) -> bool:
        """Return whether fewer than ``count`` indices respond, and most others do not."""
        return 0 < len(self.live) < min(count, len(self) / 2)

    def part(self, which: slice) -> Response:
        """Return some of the indices."""
        return Response(self.energy[which], self.moment[which])

    def grid(self, rows: int) -> tuple[Response, Response]:
        """Return the responses along the first and the second axis of ``rows`` rows."""
        energy, moment = (one.reshape(rows, -1) for one in (self.energy, self.moment))
        return Response(energy.sum(1), moment.sum(1)), Response(energy.sum(0), moment.sum(0))

    @property
    def live(self) -> NDArray[np.intp]:
        """The indices that respond."""
        largest = self.energy.max(initial=0.0)
        return np.flatnonzero(self.energy >= _EFFECTIVE * largest) if largest > 0 else np.arange(0)

    @property
    def places(self) -> Array:
        """The place of every index in [0, 1]."""
        turns = np.angle(self.moment) / (2 * pi) % 1.0
        return np.clip((turns - _MARGIN) / (1 - 2 * _MARGIN), 0.0, 1.0)

    @property
    def dense(self) -> bool:
        """Whether most indices between the first and the last that respond do so, or neighbours
        respond together, as rows of a network that depends on few bands do and channels do not.
        """
        live = self.live
        runs = 1 + np.count_nonzero(np.diff(live) > 1)
        most = len(live) >= _DENSE * (live[-1] - live[0] + 1) if len(live) else False
        return bool(most or (len(live) >= _MANY and runs <= len(live) / _RUN))

    def explained(self) -> float:
        """Return the share of the spread of places that the index explains.

        The spread is the circular variance of all contributions, and that within the indices is
        what remains unexplained.
        """
        total = self.energy.sum()
        if not total > 0:
            return 0.0
        whole = abs(self.moment.sum()) / total
        return float((np.abs(self.moment).sum() / total - whole) / max(1 - whole, 1e-300))

    def order(self, fewest: int = _FEWEST) -> float:
        """Return ``explained`` times the squared rank correlation of index and place.

        It is 0 if the places are not in order, or may be so by chance, or fewer than ``fewest``
        indices respond.
        """
        live = self.live
        if len(live) < fewest or not self.dense:
            return 0.0
        least = _SURE if len(live) == len(self) else _SURE_OF_SOME
        explained = self.explained()
        if len(live) < _MANY and explained < least:
            return 0.0
        ranks = self.places[live].argsort(kind="stable").argsort(kind="stable")
        correlation = float(np.corrcoef(ranks, np.arange(len(live)))[0, 1])
        return explained * correlation**2 if abs(correlation) >= _MONOTONE else 0.0

    def line(self) -> Array:
        """Return the places of evenly spaced indices, such as frames: a robust linear fit (the
        Theil-Sen estimator, with medians over all pairs of groups of indices).
        """
        indices = np.arange(len(self), dtype=np.float64)
        groups = np.array_split(self.live, min(_GROUPS, len(self.live)))
        centres = np.array([(self.energy[one] @ one) / self.energy[one].sum() for one in groups])
        pooled = Response(
            np.array([self.energy[one].sum() for one in groups]),
            np.array([self.moment[one].sum() for one in groups]),
        )
        first, second = np.triu_indices(len(groups), k=1)
        rise = pooled.places[second] - pooled.places[first]
        slope = np.median(rise / (centres[second] - centres[first]))
        found: Array = np.median(pooled.places - slope * centres) + slope * indices
        return found

    def curve(self, at: tuple[float, float] = (_END / 2, 1 - _END / 2)) -> Array:
        """Return the places of indices with unknown spacing, in order.

        It is the mean place of the index's receptive field. A wide field is cut off on one side at
        the ends of the axis, where the mean therefore lies inwards. The mean index that an end band
        changes is biased to the other side, for the same reason. So if fields are wide, the curve
        is stretched, by half of what brings these indices to the end bands.

        An index that does not respond lies between its neighbours, or beyond the last one at the
        mean distance.

        Parameters
        ----------
        at : (float, float)
            Mean places of the lowest and the highest bands.
        """
        live, places = self.live, self.places[self.live]
        sign = 1.0 if np.corrcoef(places, live)[0, 1] >= 0 else -1.0
        ordered = sign * _ascending(sign * places, self.energy[live])
        indices = np.arange(len(self), dtype=np.float64)
        mean = (ordered[-1] - ordered[0]) / (live[-1] - live[0])
        beyond = np.minimum(indices - live[0], 0) + np.maximum(indices - live[-1], 0)
        found: Array = np.interp(indices, live, ordered) + mean * beyond
        return self._stretched(found, at) if self.wide() else found

    def _stretched(self, curve: Array, at: tuple[float, float]) -> Array:
        """Return the mean of a curve and of that stretched to the end bands, where both respond."""
        ends = np.zeros((2, len(self))) if self.ends is None else self.ends
        total = ends.sum(axis=1, keepdims=True)
        if total.min() <= 0:
            return curve
        share = ends / total
        only = np.maximum(share - share[::-1], 0) ** 2  # squared to favour the peak
        indices = np.arange(len(self), dtype=np.float64)
        low, high = np.interp(only @ indices / np.maximum(only.sum(axis=1), 1e-300), indices, curve)
        stretch = (at[1] - at[0]) / (high - low) if high > low else np.inf
        if not _STRETCH[0] < stretch < _STRETCH[1]:
            return curve
        stretched: Array = (curve + at[0] + (curve - low) * stretch) / 2
        return stretched

    def wide(self) -> bool:
        """Return whether indices have fields so wide that they are cut off at the ends."""
        live = self.live
        return bool(np.median(np.abs(self.moment[live]) / self.energy[live]) < _SHARP)


def _ascending(values: Array, weights: Array) -> Array:
    """Return the closest ascending values (isotonic regression by pooling neighbours)."""
    blocks: list[list[float]] = []  # mean, weight, count
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, total, count), (value, weight, n) = blocks[-2], blocks.pop()
            both = total + weight
            blocks[-1] = [(mean * total + value * weight) / both, both, count + n]
    return np.repeat([one[0] for one in blocks], [int(one[2]) for one in blocks])
