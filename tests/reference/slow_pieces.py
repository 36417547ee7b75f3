"""Slow float64 versions of what perturbation methods compute, from their papers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def shapley(score: Callable[[tuple[int, ...]], float], players: int) -> Array:
    """Shapley 1953: the mean marginal contribution over all orders, order by order."""
    values = np.zeros(players)
    orders = list(itertools.permutations(range(players)))
    for order in orders:
        on = [0] * players
        before = score(tuple(on))
        for player in order:
            on[player] = 1
            after = score(tuple(on))
            values[player] += (after - before) / len(orders)
            before = after
    return values


def lime_weights(draws: Array, scores: Array, width: float, ridge: float) -> Array:
    """Minimise eq. 2 of Ribeiro 2016 with its cosine kernel, by the normal equations."""
    rows, players = draws.shape
    gram, right = np.zeros((players + 1, players + 1)), np.zeros(players + 1)
    for z, y in zip(draws, scores, strict=True):
        norm = math.sqrt(sum(z))
        distance = 1 - sum(z) / (norm * math.sqrt(players)) if norm else 1.0
        weight = math.exp(-(distance**2) / width**2)
        row = np.append(z, 1.0)
        gram += weight * np.outer(row, row)
        right += weight * y * row
    gram[:players, :players] += ridge * np.eye(players)
    assert rows == len(scores)
    return np.linalg.solve(gram, right)[:players]


def rise(draws: Array, scores: Array) -> Array:
    """Eq. 6 of Petsiuk 2018, with the share of masks that keep a piece counted, not assumed."""
    result = np.zeros(draws.shape[1])
    for k in range(draws.shape[1]):
        kept = [y for z, y in zip(draws, scores, strict=True) if z[k]]
        result[k] = sum(kept) / len(kept)
    return result


def median_filtered(magnitude: Array, length: int, axis: int) -> Array:
    """Median over ``length`` cells along an axis, the plane mirrored at its ends."""
    result = np.zeros_like(magnitude)
    size, half = magnitude.shape[axis], length // 2
    for at in np.ndindex(magnitude.shape):
        values = []
        for step in range(-half, half + 1):
            k = at[axis] + step
            while not 0 <= k < size:
                k = -1 - k if k < 0 else 2 * size - 1 - k
            there = list(at)
            there[axis] = k
            values.append(magnitude[tuple(there)])
        result[at] = sorted(values)[half]
    return result


def hpss(magnitude: Array, long: int, wide: int, margin: float) -> Array:
    """Fitzgerald 2010 with soft masks, and the margin of Driedger 2014."""
    tones = median_filtered(magnitude, long, 1)
    bursts = median_filtered(magnitude, wide, 0)
    harmonic = tones**2 / (tones**2 + (margin * bursts) ** 2)
    percussive = bursts**2 / (bursts**2 + (margin * tones) ** 2)
    return np.stack([harmonic, percussive, 1 - harmonic - percussive])


def divergence(v: Array, w: Array, h: Array) -> float:
    """Eq. 3 of Lee and Seung 2001, cell by cell."""
    total = 0.0
    for i in range(v.shape[0]):
        for j in range(v.shape[1]):
            model = sum(w[i, k] * h[k, j] for k in range(w.shape[1]))
            total += v[i, j] * math.log(v[i, j] / model) - v[i, j] + model
    return total


def nmf_step(v: Array, w: Array, h: Array) -> tuple[Array, Array]:
    """Eq. 5 of Lee and Seung 2001, W first."""
    new_w = w.copy()
    for i, a in np.ndindex(w.shape):
        model = [sum(w[i, k] * h[k, j] for k in range(w.shape[1])) for j in range(v.shape[1])]
        up = sum(h[a, j] * v[i, j] / model[j] for j in range(v.shape[1]))
        new_w[i, a] = w[i, a] * up / h[a].sum()
    new_h = h.copy()
    for a, j in np.ndindex(h.shape):
        model = [sum(new_w[i, k] * h[k, j] for k in range(w.shape[1])) for i in range(v.shape[0])]
        up = sum(new_w[i, a] * v[i, j] / model[i] for i in range(v.shape[0]))
        new_h[a, j] = h[a, j] * up / new_w[:, a].sum()
    return new_w, new_h


def best_rectangle(
    rows: Array, columns: Array, times: Array, rates: Array, cells: Array, compact: float
) -> tuple[tuple[int, int, int, int], float, float]:
    """The rectangle of all there are with the largest effect per size to a power, if all adds up.

    ``rows`` (band, freq) and ``columns`` (segment, frame) are gains, ``times`` and ``rates`` their
    bounds in s and ERB-rate, ``cells`` (freq, frame) what each cell adds to the score. Returns
    first and last segment, low and high band, ends excluded, with the effect and the size.
    """
    found = []
    for first, last in itertools.combinations(range(len(columns) + 1), 2):
        for low, high in itertools.combinations(range(len(rows) + 1), 2):
            effect = 0.0
            for band in range(low, high):
                for segment in range(first, last):
                    effect += float(rows[band] @ cells @ columns[segment])
            size = (times[last] - times[first]) * (rates[high] - rates[low])
            found.append((effect / size**compact, (first, last, low, high), effect, size))
    _, place, effect, size = max(found)
    return place, effect, size


def raised_cosines(places: Array, edges: Array, fade: float) -> Array:
    """Gains (interval, place) of the intervals between edges, which cross-fade over ``fade``."""
    gains = np.zeros((len(edges) - 1, len(places)))
    passed = []
    for number, edge in enumerate(edges):
        if number in (0, len(edges) - 1):
            passed.append([float(number == 0)] * len(places))
            continue
        width = min(fade, edge - edges[number - 1], edges[number + 1] - edge)
        at = [min(1.0, max(0.0, (place - edge) / width + 0.5)) for place in places]
        passed.append([0.5 - 0.5 * math.cos(math.pi * one) for one in at])
    for number in range(len(gains)):
        gains[number] = np.array(passed[number]) - np.array(passed[number + 1])
    return gains
