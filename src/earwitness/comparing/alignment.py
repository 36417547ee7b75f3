"""Alignment of two recordings of the same words by dynamic time warping (Sakoe, Chiba 1978).

Frames are compared by their log-mel spectra, less the mean over time of each band, so that neither
level nor a fixed equaliser matters. Steps are (1, 1), (1, 0) and (0, 1) with the symmetric weights
2, 1 and 1 (eq. 19 there), so that paths of all lengths are comparable; steps off the diagonal cost
more, so that a noise in one recording does not bend the path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from earwitness.errors import AudioError
from earwitness.plane.mel import mel_edges, mel_triangles
from earwitness.plane.stft import Plane
from earwitness.types import Audio

HOP_SECONDS = 0.01  # s between the frames that are aligned
_WINDOW_HOPS = 4  # length of a window
_BANDS, _LOWEST, _HIGHEST = 40, 60.0, 7600.0  # mel bands, and their range in Hz
_RANGE = 60.0  # dB below the loudest band of the sound, from which on everything is equal
_LEAN = 0.8  # price of a step off the diagonal, as a share of the mean distance of all frames
_MOST_CELLS = 32_000_000  # pairs of frames that are compared: all of two sounds of 57 s
_SMOOTH = 9  # frames over which the path, a staircase, is averaged
_STEPS = np.array([(1, 1), (1, 0), (0, 1)])  # frames of the first and of the second sound
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Alignment:
    """Where each moment of one sound lies in another.

    Attributes
    ----------
    times : ndarray, shape (frame,)
        Seconds of the first sound, a hundredth apart.
    places : ndarray, shape (frame,)
        Seconds of the second sound that belong to them; never falling.
    cost : float
        Mean distance of frames along the path divided by that of all pairs of frames that were
        compared: 0 for the same sound, near 1 for sounds that have nothing in common.
    """

    times: Values
    places: Values
    cost: float

    def at(self, seconds: Values) -> Values:
        """Return the places of some moments, interpolated."""
        found: Values = np.interp(seconds, self.times, self.places)
        return found


def align(first: Audio, second: Audio) -> Alignment:
    """Find where each moment of one sound lies in another one of the same words.

    Time and memory are bounded: of long sounds only pairs of frames near the straight line from
    start to start and end to end are compared, 32 million of them (3 s to either side of the line
    for sounds of ten minutes).

    Parameters
    ----------
    first, second : Audio
        Of one rate.

    Raises
    ------
    AudioError
        If one is silent.
    """
    one, other = _features(first), _features(second)
    path, cost = warp(one, other)
    return Alignment(
        np.arange(len(one), dtype=np.float64) * HOP_SECONDS, _places(path, len(one)), cost
    )


def warp(one: Values, other: Values) -> tuple[NDArray[np.int64], float]:
    """Return the cheapest path through two sequences of features, and its cost.

    Parameters
    ----------
    one, other : ndarray, shape (frame, feature)

    Returns
    -------
    path : ndarray, shape (step, 2)
        Pairs of frames from (0, 0) to the last ones.
    cost : float
        As in ``Alignment``.
    """
    count, many = len(one), len(other)
    reach = max(1, _MOST_CELLS // (count + many))
    slope = (many - 1) / max(count - 1, 1)
    mean = float(np.mean(_distances(one[:: max(1, count // 500)], other[:: max(1, many // 500)])))
    lean = _LEAN * mean
    # totals of the last two anti-diagonals i + j = k, by i; one place of padding below i = 0
    last, before = (np.full(count + 1, math.inf) for _ in range(2))
    last[1] = 2 * _distance(one[:1], other[:1])[0]
    taken: list[tuple[int, NDArray[np.uint8]]] = [(0, np.zeros(1, np.uint8))]
    for k in range(1, count + many - 1):
        # |j - slope * i| <= reach
        low = max(0, k - many + 1, math.ceil((k - reach) / (1 + slope)))
        high = min(count - 1, k, math.floor((k + reach) / (1 + slope)))
        rows = slice(low, high + 1)
        found = other[k - high : k - low + 1][::-1]
        apart = _distance(one[rows], found)
        inside, below = slice(low + 1, high + 2), slice(low, high + 1)
        choices = np.stack(
            [before[below] + 2 * apart, last[below] + apart + lean, last[inside] + apart + lean]
        )
        step = choices.argmin(axis=0)
        before, last = last, np.full(count + 1, math.inf)
        last[inside] = np.take_along_axis(choices, step[None], axis=0)[0]
        taken.append((low, step.astype(np.uint8)))
    path = _backwards(taken, count, many)
    along = _distance(one[path[:, 0]], other[path[:, 1]])
    return path, float(along.mean() / mean) if mean > 0 else 0.0


def _backwards(
    taken: list[tuple[int, NDArray[np.uint8]]], count: int, many: int
) -> NDArray[np.int64]:
    """Return the path that the steps to every cell lead to."""
    i, j = count - 1, many - 1
    path = [(i, j)]
    while i or j:
        low, steps = taken[i + j]
        back = _STEPS[steps[i - low]]
        i, j = i - int(back[0]), j - int(back[1])
        path.append((i, j))
    return np.array(path[::-1])


def _distance(one: Values, other: Values) -> Values:
    """Return the distance of each frame (frame, feature) from its counterpart."""
    found: Values = np.sqrt(np.square(one - other).mean(axis=-1))
    return found


def _distances(one: Values, other: Values) -> Values:
    """Return the distance of each frame from each frame."""
    return _distance(one[:, None], other[None])


def _places(path: NDArray[np.int64], count: int) -> Values:
    """Return the seconds in the second sound of each frame of the first, without stairs."""
    steps = np.bincount(path[:, 0], minlength=count)
    places = np.bincount(path[:, 0], weights=path[:, 1], minlength=count) / steps
    around = min(_SMOOTH // 2, count - 1)
    before = 2 * places[0] - places[1 : around + 1][::-1]
    after = 2 * places[-1] - places[count - 1 - around : count - 1][::-1]
    window = np.ones(2 * around + 1) / (2 * around + 1)
    smooth = np.convolve(np.concatenate([before, places, after]), window, "valid")
    smooth = np.maximum.accumulate(np.clip(smooth, 0, path[-1, 1]))
    return smooth * HOP_SECONDS


def _features(audio: Audio) -> Values:
    """Return the log-mel spectra (frame, band) of a sound in dB, less the mean of each band."""
    hop = round(HOP_SECONDS * audio.rate)
    plane = Plane(audio.rate, _WINDOW_HOPS * hop, hop)
    wave = torch.from_numpy(audio.samples)
    edges = mel_edges(_BANDS, _LOWEST, min(_HIGHEST, audio.rate / 2))
    filters = mel_triangles(plane.freqs(), edges).float()
    filters = filters[filters.sum(dim=1) > 0]
    power = (filters @ plane.analyse(wave[None])[0].abs().square()).double().T.numpy()
    if not power.max() > 0:
        raise AudioError(f"{audio.name}: silent, there are no words to compare")
    level = 10 * np.log10(np.maximum(power / power.max(), 10 ** (-_RANGE / 10)))
    found: Values = level - level.mean(axis=0)
    return found
