"""A spectrogram of one byte per cell, for what holds no sound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from earwitness.types import FloatArray

_RANGE_DB = 100.0  # dB below the loudest cell, the code 0


def spectrogram_codes(magnitude: FloatArray) -> NDArray[np.uint8]:
    """Return levels (freq, frame) from -100 dB (0) to the loudest cell (255).

    Examples
    --------
    >>> spectrogram_codes(np.float32([[1.0, 1e-5, 0.0]])).tolist()
    [[255, 0, 0]]
    """
    peak = float(magnitude.max())
    relative = np.maximum(magnitude / (peak or 1.0), 10 ** (-_RANGE_DB / 20))
    return np.round(255 * (1 + 20 * np.log10(relative) / _RANGE_DB)).astype(np.uint8)


def magnitude_of(codes: NDArray[np.uint8], peak: float) -> FloatArray:
    """Return the magnitude (freq, frame) of ``spectrogram_codes``, to a fifth of a decibel.

    Examples
    --------
    >>> magnitude_of(np.uint8([[255, 0]]), 0.5).tolist()
    [[0.5, 0.0]]
    """
    level = _RANGE_DB * (codes.astype(np.float32) / 255 - 1)
    return np.where(codes > 0, peak * 10 ** (level / 20), 0).astype(np.float32)
