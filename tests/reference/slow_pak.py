"""Slow float64 front ends and masks of Pak and Teryokhina; nothing of the library."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# rate, transform, hop; bands, lowest and highest frequency
SETTINGS = {"stft-db": (16000, 512, 256, None), "mel-db": (32000, 1024, 320, (64, 50.0, 14000.0))}


def transform(wave: Array, name: str) -> NDArray[np.complex128]:
    """Frame by frame: reflected ends, periodic Hann window, Fourier transform, (bin, frame)."""
    _, size, hop, _ = SETTINGS[name]
    half = size // 2
    padded = np.concatenate([wave[half:0:-1], wave, wave[-2 : -half - 2 : -1]])
    window = np.array([0.5 - 0.5 * math.cos(2 * math.pi * k / size) for k in range(size)])
    frames = [padded[k : k + size] * window for k in range(0, len(padded) - size + 1, hop)]
    return np.stack([np.fft.rfft(frame) for frame in frames], axis=1)


def triangles(name: str) -> Array:
    """Filters of height 1 between corners on HTK's mel scale, (band, bin)."""
    rate, size, _, bands = SETTINGS[name]
    assert bands is not None
    count, low, high = bands
    mel = [2595 * math.log10(1 + hz / 700) for hz in (low, high)]
    corners = [
        700 * (10 ** ((mel[0] + (mel[1] - mel[0]) * k / (count + 1)) / 2595) - 1)
        for k in range(count + 2)
    ]
    found = np.zeros((count, size // 2 + 1))
    for m in range(count):
        left, top, right = corners[m : m + 3]
        for k in range(size // 2 + 1):
            hz = k * rate / size
            found[m, k] = max(0.0, min((hz - left) / (top - left), (right - hz) / (right - top)))
    return found


def levels(wave: Array, name: str) -> Array:
    """Levels in dB, (row, frame)."""
    power = np.abs(transform(wave, name)) ** 2
    rows = power if SETTINGS[name][3] is None else triangles(name) @ power
    return 10 * np.log10(np.maximum(rows, 1e-10))


def quantile(values: list[float], at: float) -> float:
    """Linear interpolation between the order statistics."""
    ordered = sorted(values)
    place = at * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def rising(values: list[float]) -> list[float]:
    return [max(one, 0.0) for one in values]


def minmax(values: list[float]) -> list[float]:
    low, high = min(values), max(values)
    return [(one - low) / (high - low + 1e-8) for one in values]


def minmax_pos(values: list[float]) -> list[float]:
    return [one / (max(rising(values)) + 1e-8) for one in rising(values)]


def sigmoid(values: list[float]) -> list[float]:
    return [1 / (1 + math.exp(-one)) for one in values]


def over(share: float) -> Callable[[list[float]], list[float]]:
    return lambda values: [float(one >= share) for one in minmax_pos(values)]


def top(share: float, positive: bool) -> Callable[[list[float]], list[float]]:
    def mask(values: list[float]) -> list[float]:
        kept = rising(values) if positive else values
        return [float(one >= quantile(kept, 1 - share)) for one in kept]

    return mask


# the fourteen masks of the published code, of a map as a list of numbers
SLOW_MASKS: dict[str, Callable[[list[float]], list[float]]] = {
    "bin": lambda values: [float(one > 0) for one in values],
    "minmax": minmax,
    "minmax_pos": minmax_pos,
    "sigmoid": sigmoid,
    "sigmoid_pos": lambda values: sigmoid(rising(values)),
    "pos_thresh_25": over(0.25),
    "pos_thresh_50": over(0.5),
    "pos_thresh_75": over(0.75),
    "topK_5": top(0.05, False),
    "topK_30": top(0.3, False),
    "topK_50": top(0.5, False),
    "topK_5_pos": top(0.05, True),
    "topK_30_pos": top(0.3, True),
    "topK_50_pos": top(0.5, True),
}
