"""Measures of a mask: area, kept energy, and whether it is soft or degenerate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from earwitness.types import FloatArray, Mask

_EQUAL = 1e-6  # difference of gains (-120 dB) that is inaudible
_SILENT = 1e-5  # magnitude relative to the loudest cell (-100 dB) up to which a cell is silent


def measure_mask(gains: FloatArray, magnitude: FloatArray, rule: str) -> Mask:
    """Return the mask of gains, with its area and energy, and whether it is soft or degenerate.

    Parameters
    ----------
    gains : ndarray, shape (freq, frame), float32, in [0, 1]
    magnitude : ndarray, shape (freq, frame)
    rule : str
        Specification of the mask, as ``--keep`` writes it.
    """
    return Mask(
        gains,
        rule,
        float(gains.mean(dtype=np.float64)),
        kept_energy(gains, np.square(magnitude)),
        degenerate(gains),
        bool(((gains > 0) & (gains < 1)).any()),
    )


def kept_energy(gains: NDArray[np.floating], power: NDArray[np.floating]) -> float:
    """Return ``sum g^2 |X|^2 / sum |X|^2`` of gains and power (freq, frame), and 0 for silence."""
    whole = float(power.sum(dtype=np.float64))
    return float((np.square(gains) * power).sum(dtype=np.float64)) / whole if whole > 0 else 0.0


def gains_as_heard(
    kept: NDArray[np.floating], magnitude: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return ``|STFT(evidence)| / |X|``, at most 1; 0 where the input is silent.

    The STFT of masked and resynthesised sound is not the masked STFT: what is kept spreads over
    about a window in time and a few bins in frequency. A cell of the input is silent if it is
    100 dB or more below the loudest one. There the rest of a filter or a rounding error would count
    as much as what is heard.

    Parameters
    ----------
    kept : ndarray, shape (..., freq, frame)
        Magnitude of the evidence's sound.
    magnitude : ndarray, shape (freq, frame)
        Magnitude of the input.
    """
    audible = magnitude > _SILENT * magnitude.max()
    ratio = np.divide(kept, magnitude, out=np.zeros_like(kept), where=audible)
    return np.minimum(ratio, 1, out=ratio)


def degenerate(gains: NDArray[np.floating]) -> str | None:
    """Return ``empty``, ``full`` or ``constant`` for constant gains (freq, frame), else None.

    Examples
    --------
    >>> degenerate(np.zeros((2, 2)))
    'empty'
    """
    low, high = float(gains.min()), float(gains.max())
    if high - low > _EQUAL:
        return None
    if high <= _EQUAL:
        return "empty"
    return "full" if low >= 1 - _EQUAL else "constant"
