"""Planted sounds: faint artefacts in recordings, for classifiers trained to rely on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from earwitness.audio import read_audio
from earwitness.data.clips import Clip, Material, register
from earwitness.data.collection import Item, read_collection
from earwitness.data.mixtures import loudest
from earwitness.errors import ParameterError
from earwitness.registry import unknown
from earwitness.types import FloatArray

Values = NDArray[np.float64]
LEVEL = -15.0  # dB relative to the recording's mean power; audible but not dominant
_PERIOD = 1.0  # s, on for half of it
_RAMP = 0.01  # s, linear fade that avoids clicks
_TONE = 3000.0  # Hz, where most recordings have little energy
_BAND = (5000.0, 6000.0)  # Hz, above the energy of most recordings


@register("planted", summary="recordings of other classes with a planted sound, the true source")
def planted(
    *,
    data: str,
    target: str,
    kind: str = "tone",
    folds: list[int] = [4],  # noqa: B006 - read only
    count: int = 64,
    seconds: float = 2.5,
    seed: int = 0,
    group: str = "shortcut",
) -> list[Clip]:
    """Return recordings of other classes than ``target``, with the sound planted for ``target``.

    Parameters
    ----------
    data : str
        A collection (``read_collection``).
    target : str
        Class whose training recordings contained the planted sound; the class to explain.
    kind : {"tone", "band"}
    folds : list of int
        Folds of the recordings; all folds if empty.
    count : int
        Maximal number of recordings, drawn with ``seed``.
    seconds : float
        Length; the segment of highest energy is taken from longer recordings.
    seed : int
    group : str
        Name of the sounds; the kind is appended.
    """
    items = [
        item
        for item in read_collection(Path(data))
        if item.label != target and (not folds or item.fold in folds)
    ]
    order = np.random.default_rng(seed).permutation(len(items))[:count]
    return [
        Clip(
            f"{items[k].path.stem}+{kind}",
            f"{group}, {kind}",
            target,
            partial(_made, items[k], kind, seconds, seed + int(k)),
        )
        for k in order
    ]


def _made(item: Item, kind: str, seconds: float, seed: int, rate: int) -> Material:
    samples = loudest(read_audio(item.path, rate=rate).samples, seconds, rate)
    return plant(samples, kind, rate, np.random.default_rng(seed))


def plant(samples: FloatArray, kind: str, rate: int, rng: np.random.Generator) -> Material:
    """Return a sound with a planted faint one, alternately 0.5 s on and 0.5 s off.

    Parameters
    ----------
    samples : ndarray, shape (time,)
    kind : {"tone", "band"}
        A tone of 3 kHz, or noise from 5 to 6 kHz.
    rate : int
        Sampling rate in Hz, above 12 kHz.
    rng : Generator
        Random generator of the onset, the phase and the noise.

    Notes
    -----
    While it is on, its power is 15 dB below the mean power of the recording.
    """
    if kind not in _SOUNDS:
        raise unknown("planted sound", kind, _SOUNDS)
    if rate <= 2 * _BAND[1]:
        raise ParameterError(f"a planted sound needs a rate above 12 kHz, got {rate} Hz")
    time = np.arange(len(samples)) / rate
    phase = (time / _PERIOD + rng.random()) % 1
    edge = np.minimum(phase, 0.5 - phase) * _PERIOD
    gate = np.clip(edge / _RAMP, 0, 1)
    level = np.sqrt((samples.astype(np.float64) ** 2).mean()) * 10 ** (LEVEL / 20)
    source = (level * gate * _SOUNDS[kind](time, rate, rng)).astype(np.float32)
    return Material(samples + source, source)


def _tone(time: Values, _rate: int, rng: np.random.Generator) -> Values:
    return np.sqrt(2) * np.sin(2 * np.pi * (_TONE * time + rng.random()))


def _band(time: Values, rate: int, rng: np.random.Generator) -> Values:
    filters = signal.butter(6, _BAND, "bandpass", fs=rate, output="sos")
    noise = signal.sosfiltfilt(filters, rng.standard_normal(len(time)))
    return noise / np.sqrt((noise**2).mean())


_SOUNDS: dict[str, Callable[[Values, int, np.random.Generator], Values]] = {
    "tone": _tone,
    "band": _band,
}
