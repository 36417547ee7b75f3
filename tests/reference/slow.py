"""Slow float64 versions of the mathematics, from the papers; nothing of the library is used."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def stft(wave: Array, n_fft: int, hop: int, frames: int) -> Array:
    """Sum of windowed samples times a complex exponential, term by term."""
    window = [0.5 - 0.5 * math.cos(2 * math.pi * n / n_fft) for n in range(n_fft)]
    result = np.zeros((n_fft // 2 + 1, frames), complex)
    for frame in range(frames):
        for n in range(n_fft):
            at = frame * hop + n - n_fft // 2
            if 0 <= at < len(wave):
                for k in range(n_fft // 2 + 1):
                    turn = cmath.exp(-2j * math.pi * k * n / n_fft)
                    result[k, frame] += window[n] * wave[at] * turn
    return result / sum(window)


def slope(score: Callable[[Array], float], point: Array, step: float = 1e-5) -> Array:
    """Central differences in every coordinate."""
    result = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        up, down = point.copy(), point.copy()
        up[index] += step
        down[index] -= step
        result[index] = (score(up) - score(down)) / (2 * step)
    return result


def integrated(score: Callable[[Array], float], steps: int, shape: tuple[int, int]) -> Array:
    """Riemann sum of the slope along the straight path from zeros to ones (Sundararajan 2017)."""
    total = np.zeros(shape)
    for k in range(steps):
        total += slope(score, np.full(shape, (k + 0.5) / steps)) / steps
    return total


def grad_cam(activation: Array, gradient: Array) -> Array:
    """Eq. 1 and 2 of Selvaraju 2017 on (channel, row, column)."""
    channels, rows, columns = activation.shape
    result = np.zeros((rows, columns))
    for k in range(channels):
        alpha = sum(gradient[k, i, j] for i in range(rows) for j in range(columns))
        alpha /= rows * columns
        for i in range(rows):
            for j in range(columns):
                result[i, j] += alpha * activation[k, i, j]
    return np.where(result > 0, result, 0)


def calibration_error(confidence: Array, right: Array, bins: int) -> float:
    """Eq. 3 of Guo 2017, bin by bin."""
    total = 0.0
    for b in range(bins):
        inside = [i for i, c in enumerate(confidence) if b / bins < c <= (b + 1) / bins]
        if inside:
            accuracy = sum(right[i] for i in inside) / len(inside)
            mean = sum(confidence[i] for i in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - mean)
    return total


def relevance(
    values: Array,
    weights: Array,
    bias: Array,
    handed: Array,
    gamma: float = 0.0,
    share: bool = False,
) -> Array:
    """Hand relevance (output,) back through ``z = weights @ values + bias``, neuron by neuron.

    The gamma rule for values of both signs: contributions that agree with the sign of the neuron
    count 1 + gamma times; the bias is one contribution more, kept or shared out by size.
    """
    result = np.zeros(len(values))
    for k, row in enumerate(weights):
        parts = [v * w for v, w in zip(values, row, strict=True)]
        z = sum(parts) + bias[k]
        agree = [(z >= 0 and c > 0) or (z < 0 and c < 0) for c in (*parts, bias[k])]
        counted = [c * (1 + gamma * a) for c, a in zip((*parts, bias[k]), agree, strict=True)]
        whole = sum(counted)
        if whole == 0:
            continue
        for j, c in enumerate(counted[:-1]):
            result[j] += c / whole * handed[k]
        if share:
            sizes = sum(abs(c) for c in parts)
            for j, c in enumerate(parts):
                result[j] += abs(c) / sizes * counted[-1] / whole * handed[k]
    return result
