"""A spectrogram of a whole recording that fits in a strip: one column for each window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from earwitness.plane.mel import mel_edges
from earwitness.types import FloatArray

BANDS = 48
FLOOR = -110.0  # dB of full scale, of code 0
_FRAME = 0.03  # s


class Overview:
    """Levels in mel bands of stretches of sound at a rate.

    Parameters
    ----------
    rate : int
        Hz.
    """

    def __init__(self, rate: int) -> None:
        self._size = 1 << max(5, round(np.log2(_FRAME * rate)))
        self._window = np.hanning(self._size).astype(np.float32)
        self._scale = 2.0 / float(np.square(self._window, dtype=np.float64).sum() * self._size)
        edges = mel_edges(BANDS - 1, 0.0, rate / 2).numpy() * self._size / rate
        low = np.minimum(np.round(edges[:-1]).astype(int), self._size // 2)
        self._bins = [
            (int(a), int(max(a + 1, b))) for a, b in zip(low, round_up(edges), strict=True)
        ]

    def column(self, samples: FloatArray) -> NDArray[np.uint8]:
        """Return one byte for each band: 0 at -110 dB, 255 at full scale."""
        count = max(1, -(-len(samples) // self._size))
        padded = np.zeros(count * self._size, np.float32)
        padded[: len(samples)] = samples
        frames = padded.reshape(count, self._size) * self._window
        power = np.square(np.abs(np.fft.rfft(frames)), dtype=np.float64).mean(axis=0)
        bands = np.array([power[a:b].sum() for a, b in self._bins]) * self._scale
        levels = 10 * np.log10(np.maximum(bands, 1e-30))
        codes: NDArray[np.uint8] = np.clip(255 * (1 - levels / FLOOR), 0, 255).astype(np.uint8)
        return codes


def round_up(edges: NDArray[np.float64]) -> NDArray[np.int_]:
    """Return the bin after the last one of each band."""
    rounded: NDArray[np.int_] = np.round(edges[1:]).astype(int)
    return rounded
