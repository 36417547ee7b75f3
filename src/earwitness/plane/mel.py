"""The mel scale and mel filter banks on the plane.

The scale and the normalisation are Slaney's (Auditory Toolbox, 1998): linear below 1 kHz,
logarithmic above, each triangle of unit area.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from earwitness.errors import ParameterError
from earwitness.plane.stft import Plane

_BREAK_HZ = 1000.0  # Hz, border of the linear and the logarithmic part
_HZ_PER_MEL = 200.0 / 3.0  # Hz, slope of the linear part
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL  # mel, the border: 15
_LOG_STEP = (  # log of the frequency ratio per mel above the border
    math.log(6.4) / 27.0
)  # natural logarithm of the frequency ratio per mel above the border


def hz_to_mel(hz: Tensor) -> Tensor:
    """Convert frequencies in Hz to Slaney's mel scale, elementwise.

    Examples
    --------
    >>> hz_to_mel(torch.tensor([0.0, 1000.0])).tolist()
    [0.0, 15.0]
    """
    above = _BREAK_MEL + torch.log(hz.clamp(min=_BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return torch.where(hz < _BREAK_HZ, hz / _HZ_PER_MEL, above)


def mel_to_hz(mel: Tensor) -> Tensor:
    """Convert Slaney's mel scale to frequencies in Hz, elementwise.

    Examples
    --------
    >>> mel_to_hz(torch.tensor([0.0, 15.0])).tolist()
    [0.0, 1000.0]
    """
    above = _BREAK_HZ * torch.exp(_LOG_STEP * (mel.clamp(min=_BREAK_MEL) - _BREAK_MEL))
    return torch.where(mel < _BREAK_MEL, mel * _HZ_PER_MEL, above)


def mel_edges(mels: int, low: float, high: float) -> Tensor:
    """Return the ``mels + 2`` corner frequencies in Hz; band ``m`` peaks at entry ``m + 1``.

    Examples
    --------
    >>> [round(hz, 3) for hz in mel_edges(1, 0.0, 1000.0).tolist()]
    [0.0, 500.0, 1000.0]
    """
    ends = hz_to_mel(torch.tensor([low, high], dtype=torch.float64))
    steps = torch.linspace(0, 1, mels + 2, dtype=torch.float64)
    return mel_to_hz(ends[0] + (ends[1] - ends[0]) * steps)


def mel_filterbank(plane: Plane, mels: int, low: float = 0.0, high: float | None = None) -> Tensor:
    """Return triangular filters of unit area at the plane's frequencies.

    Parameters
    ----------
    plane : Plane
    mels : int > 0
        Number of bands.
    low, high : float
        Range in Hz; ``high`` defaults to half the sampling rate.

    Returns
    -------
    Tensor, shape (mels, freq), float64
        Weights in 1/Hz.

    Raises
    ------
    ParameterError
        If a band is so narrow that it contains no bin.
    """
    high = plane.rate / 2 if high is None else high
    filters = mel_triangles(plane.freqs(), mel_edges(mels, low, high))
    if bool((filters.sum(dim=1) == 0).any()):
        raise ParameterError(
            f"{mels} mel bands from {low:g} to {high:g} Hz leave bands without a bin at n_fft "
            f"{plane.n_fft}; use fewer bands or a longer window"
        )
    return filters


def mel_triangles(freqs: Tensor, edges: Tensor) -> Tensor:
    """Return triangles of unit area between corner frequencies (``mel_edges``), (mels, freq).

    A band between two frequencies is zero.
    """
    width = edges[1:] - edges[:-1]
    ramps = edges[:, None] - freqs.double()[None, :]
    rising = -ramps[:-2] / width[:-1, None]
    falling = ramps[2:] / width[1:, None]
    filters = torch.minimum(rising, falling).clamp(min=0)
    return filters * (2.0 / (edges[2:] - edges[:-2]))[:, None]
