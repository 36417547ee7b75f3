"""What a mask amounts to: how much it keeps, and whether it says anything about where."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from earwitness.types import FloatArray, Mask

_EQUAL = 1e-6  # gains closer than this are the same to any ear


def measure_mask(gains: FloatArray, magnitude: FloatArray, rule: str) -> Mask:
    """Return gains with their area, their energy, whether they are soft, and degenerate.

    Parameters
    ----------
    gains : ndarray, shape (freq, frame), float32, in [0, 1]
    magnitude : ndarray, shape (freq, frame)
    rule : str
        How they were made.
    """
    return Mask(
        gains,
        rule,
        float(gains.mean(dtype=np.float64)),
        kept_energy(gains, np.square(magnitude, dtype=np.float64)),
        degenerate(gains),
        bool(((gains > 0) & (gains < 1)).any()),
    )


def kept_energy(gains: NDArray[np.floating], power: NDArray[np.floating]) -> float:
    """Return ``sum g^2 |X|^2 / sum |X|^2`` of gains and power (freq, frame), and 0 for silence."""
    whole = float(power.sum())
    return float(np.vdot(np.square(gains), power)) / whole if whole > 0 else 0.0


def degenerate(gains: NDArray[np.floating]) -> str | None:
    """Return ``empty``, ``full`` or ``constant`` for gains that are the same everywhere."""
    low, high = float(gains.min()), float(gains.max())
    if high - low > _EQUAL:
        return None
    if high <= _EQUAL:
        return "empty"
    return "full" if low >= 1 - _EQUAL else "constant"
