"""Sounds for audio elements of a page: loudness-matched Ogg Vorbis with the applied gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from earwitness.render.vorbis import VORBIS_RATES, encode_vorbis
from earwitness.types import Audio, FloatArray

_TARGET_DB = -23.0  # dB of full scale, as in EBU R 128
_MOST_GAIN_DB = 60.0  # dB; more would amplify quantisation noise
_PEAK = 0.95  # of full scale; headroom for the encoder
_BLOCK_SECONDS = 0.1  # s, block of the level measurement
_GATE_DB = 30.0  # dB below the loudest block; quieter blocks are ignored
_QUALITY = 0.5  # of Vorbis in [0, 1]: some 80 kbit/s of mono at 44.1 kHz
_HIGHEST = 48000  # Hz, what sound cards play without resampling


@dataclass(frozen=True)
class Player:
    """An encoded sound for an audio element.

    Attributes
    ----------
    data : bytes
        Ogg Vorbis, a lossy copy.
    kind : str
        Its media type.
    gain_db : float or None
        Applied gain in dB; None for silence.
    """

    data: bytes
    gain_db: float | None
    kind: str = "audio/ogg"


def loudness(samples: FloatArray, rate: int) -> float:
    """Return the gated level in dB relative to full scale.

    The mean power of 100 ms blocks, without those more than 30 dB below the loudest, so silence
    around a short event does not count. Minus infinity for silence.

    Parameters
    ----------
    samples : ndarray, shape (time,)
        Full scale at 1.
    rate : int
        Sampling rate in Hz.

    Examples
    --------
    >>> round(loudness(np.full(8000, 0.1, np.float32), 8000), 2)
    -20.0
    """
    size = max(1, round(_BLOCK_SECONDS * rate))
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % size))
    power = (padded.reshape(-1, size) ** 2).sum(axis=1) / size
    if not power.max() > 0:
        return -np.inf
    loud = power[power > power.max() * 10 ** (-_GATE_DB / 10)]
    return float(10 * np.log10(loud.mean()))


def players(sounds: Sequence[Audio]) -> list[Player]:
    """Return sounds normalised to a common level, at most -23 dB, at which none clips."""
    levels = [loudness(sound.samples, sound.rate) for sound in sounds]
    wanted = _TARGET_DB
    for sound, level in zip(sounds, levels, strict=True):
        if np.isfinite(level):
            crest = 20 * np.log10(float(np.abs(sound.samples).max())) - level
            wanted = min(wanted, 20 * np.log10(_PEAK) - crest)
    return [_player(sound, wanted, level) for sound, level in zip(sounds, levels, strict=True)]


def copies(sounds: Sequence[Audio], gain_db: float) -> list[Player]:
    """Return sounds with the same gain in dB applied, so that they can be mixed."""
    return [_player(sound, gain_db, 0.0) for sound in sounds]


def _player(sound: Audio, wanted: float, level: float) -> Player:
    gain = float(min(wanted - level, _MOST_GAIN_DB)) if np.isfinite(level) else None
    samples = sound.samples * np.float32(10 ** ((gain or 0.0) / 20))
    return Player(_encoded(samples, sound.rate), gain)


def _encoded(samples: FloatArray, rate: int) -> bytes:
    low, high = VORBIS_RATES[0], _HIGHEST
    if not low <= rate <= high:
        wanted = low if rate < low else high
        samples, rate = soxr.resample(samples, rate, wanted), wanted
    return encode_vorbis(np.clip(samples, -1, 1), rate, _QUALITY)
