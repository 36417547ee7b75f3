"""Slow float64 versions of the front ends of Pak and Teryokhina; numpy alone."""

from __future__ import annotations

import math

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
