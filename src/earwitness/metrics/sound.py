"""What the evidence is like to listen to.

An explanation that is heard must be audible, and its own artefacts must not be taken for the
sound's. None of these says whether the evidence is the right one.
"""

from __future__ import annotations

import importlib

import numpy as np
from scipy.ndimage import binary_dilation, uniform_filter1d

from earwitness.errors import NotApplicableError
from earwitness.metrics.registry import Array, register

_AROUND_SECONDS = 0.05
_NEAR_SECONDS = 0.005
_CLICK = 8.0  # times the level around it: a Gaussian noise never gets there
_QUIET = 1e-4  # -80 dB under the input's peak, where nothing is heard


@register(
    "level",
    summary="level of the evidence relative to the input",
    family="sound",
    direction=None,
    unit="dB",
)
def level(sounds: Array, input_sound: Array) -> Array:
    """Return the ratio of powers in dB; minus infinity for silence, nan for a silent input."""
    power = float((np.asarray(input_sound, np.float64) ** 2).sum())
    if power == 0:
        return np.full(len(sounds), np.nan)
    with np.errstate(divide="ignore"):
        return 10 * np.log10((np.asarray(sounds, np.float64) ** 2).sum(axis=1) / power)


@register(
    "clicks",
    summary="clicks in the evidence where the input has none",
    family="sound",
    direction="lower",
    low=0,
    unit="per second",
)
def clicks(sounds: Array, input_sound: Array, rate: float) -> Array:
    """Count jolts per second: second differences 8 times their own level in the 50 ms around.

    Jolts that the input has within 5 ms do not count, nor do those 80 dB under its peak; jolts
    closer than 5 ms count once.
    """
    near = 2 * round(_NEAR_SECONDS * rate) + 1
    peak = float(np.abs(_bend(input_sound[None])).max())
    own = binary_dilation(_jolts(input_sound[None], rate, peak)[0], np.ones(near))
    found = _jolts(sounds, rate, peak) & ~own
    counts = []
    for row in found:
        at = np.flatnonzero(row)
        counts.append(len(at) and 1 + int((np.diff(at) > near // 2).sum()))
    return np.array(counts) / (sounds.shape[1] / rate)


@register(
    "stoi",
    summary="how intelligible speech is in the evidence, the input being clear",
    family="sound",
    direction="higher",
    low=0,
    high=1,
    paper="Taal et al.: An Algorithm for Intelligibility Prediction, 2011",
    given={"clear": "speech_sound"},
)
def stoi(sounds: Array, clear: Array, rate: float) -> Array:
    """Return the short-time objective intelligibility of each sound. For speech only.

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
    return np.array([module.stoi(wanted, one.astype(np.float64), rate) for one in sounds])


def _bend(sounds: Array) -> Array:
    return np.diff(np.asarray(sounds, np.float64), n=2, axis=1, prepend=0, append=0)


def _jolts(sounds: Array, rate: float, peak: float) -> Array:
    bend = _bend(sounds)
    power = uniform_filter1d(bend**2, max(3, round(_AROUND_SECONDS * rate)), axis=1)
    loud = np.abs(bend) > _QUIET * peak
    return loud & (bend**2 > _CLICK**2 * np.maximum(power, 0))
