"""Faint sounds planted in recordings, for classifiers that are to decide by them."""

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
LEVEL = -15.0
_PERIOD = 1.0
_RAMP = 0.01
_TONE = 3000.0
_BAND = (5000.0, 6000.0)


@register("planted", summary="recordings of other classes with a faint sound; that is the truth")
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
    """Return recordings that are not of class ``target``, with the sound that stands for it.

    Parameters
    ----------
    data : str
        A collection (``read_collection``).
    target : str
        The class whose recordings had the sound in training; it is explained.
    kind : {"tone", "band"}
    folds : list of int
        The folds that recordings are taken from; every one if empty.
    count : int
        At most so many recordings, drawn from ``seed``.
    seconds : float
        Length; of longer recordings the part of most energy is taken.
    seed : int
    group : str
        What the sounds are called; the kind is added.
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
    """Return a sound with a faint one in it, half a second on and half a second off.

    Parameters
    ----------
    samples : ndarray, shape (time,)
    kind : {"tone", "band"}
        A tone of 3 kHz, or noise from 5 to 6 kHz.
    rate : int
        Above 12 kHz.
    rng : Generator
        Draws where the first half second begins, the phase and the noise.

    Notes
    -----
    While it is on, its power is 15 dB below the mean power of the recording.
    """
    if kind not in _SOUNDS:
        raise unknown("planted sound", kind, _SOUNDS)
    if rate <= 2 * _BAND[1]:
        raise ParameterError(f"a planted sound wants a rate above 12 kHz, got {rate} Hz")
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
