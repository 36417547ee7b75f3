"""Sound quality of the evidence: level, clicks and intelligibility.

The evidence should be audible, and artefacts of the mask should not be mistaken for sounds of the
input. None of these metrics measures whether the evidence is correct.
"""

from __future__ import annotations

import importlib
import warnings

import numpy as np
from scipy.ndimage import binary_dilation, uniform_filter1d

from earwitness.errors import NotApplicableError
from earwitness.metrics.registry import Array, register

_AROUND_SECONDS = 0.05  # s, window of the local RMS
_NEAR_SECONDS = 0.005  # s, clicks closer than this are one event to the ear
_CLICK = 8.0  # times the local RMS; Gaussian noise practically never exceeds it
_QUIET = 1e-4  # of the input's peak (-80 dB), inaudible beside it


@register(
    "level",
    summary="level of the evidence relative to the input",
    family="sound",
    direction=None,
    unit="dB",
)
def level(sounds: Array, input_sound: Array) -> Array:
    """Return the power ratio in dB; minus infinity for silence, nan for a silent input.

    Parameters
    ----------
    sounds : ndarray, shape (sound, time)
    input_sound : ndarray, shape (time,)

    Examples
    --------
    >>> level(np.array([[0.1, 0.1]]), np.array([1.0, 1.0])).round(3).tolist()
    [-20.0]
    """
    power = float((np.asarray(input_sound, np.float64) ** 2).sum())
    if power == 0:
        return np.full(len(sounds), np.nan)
    with np.errstate(divide="ignore"):
        return 10 * np.log10((np.asarray(sounds, np.float64) ** 2).sum(axis=1) / power)


@register(
    "clicks",
    summary="clicks in the evidence that are not in the input",
    family="sound",
    direction="lower",
    low=0,
    unit="per second",
)
def clicks(sounds: Array, input_sound: Array, rate: float) -> Array:
    """Return clicks per second: second differences above 8 times their RMS within 50 ms.

    Clicks within 5 ms of a click of the input are ignored, as are those more than 80 dB below its
    peak; clicks closer than 5 ms count once.

    Parameters
    ----------
    sounds : ndarray, shape (sound, time)
    input_sound : ndarray, shape (time,)
    rate : float
        Sampling rate in Hz.

    Examples
    --------
    >>> clicks(np.eye(1, 8000, 4000), np.zeros(8000) + 1e-9, 8000.0).tolist()
    [1.0]
    """
    near = 2 * round(_NEAR_SECONDS * rate) + 1
    peak = float(np.abs(_curvature(input_sound[None])).max())
    own = binary_dilation(_clicks_at(input_sound[None], rate, peak)[0], np.ones(near))
    found = _clicks_at(sounds, rate, peak) & ~own
    counts = []
    for row in found:
        at = np.flatnonzero(row)
        counts.append(len(at) and 1 + int((np.diff(at) > near // 2).sum()))
    return np.array(counts) / (sounds.shape[1] / rate)


@register(
    "stoi",
    summary="short-time objective intelligibility of speech in the evidence",
    family="sound",
    direction="higher",
    low=0,
    high=1,
    paper="Taal et al.: An Algorithm for Intelligibility Prediction, 2011",
    given={"clear": "speech_sound"},
)
def stoi(sounds: Array, clear: Array, rate: float) -> Array:
    """Return the short-time objective intelligibility of each sound, for speech only.

    nan if less than about 0.4 s of the speech are within 40 dB of its loudest part.

    Parameters
    ----------
    sounds : ndarray, shape (sound, time)
    clear : ndarray, shape (time,)
        The clean speech.
    rate : float
        Sampling rate in Hz.

    Raises
    ------
    NotApplicableError
        If the package pystoi is not installed.
    """
    try:
        module = importlib.import_module("pystoi")
    except ImportError as error:
        raise NotApplicableError(
            "stoi needs the package pystoi: pip install 'earwitness[speech]'"
        ) from error
    wanted = np.asarray(clear, np.float64)
    values = []
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Not enough STFT frames")
        for one in sounds:
            try:
                values.append(float(module.stoi(wanted, one.astype(np.float64), rate)))
            except RuntimeWarning:  # for which it returns 1e-5
                values.append(np.nan)
    return np.array(values)


def _curvature(sounds: Array) -> Array:
    return np.diff(np.asarray(sounds, np.float64), n=2, axis=1, prepend=0, append=0)


def _clicks_at(sounds: Array, rate: float, peak: float) -> Array:
    curvature = _curvature(sounds)
    power = uniform_filter1d(curvature**2, max(3, round(_AROUND_SECONDS * rate)), axis=1)
    loud = np.abs(curvature) > _QUIET * peak
    return loud & (curvature**2 > _CLICK**2 * np.maximum(power, 0))
