"""Sounds for audio elements of a page: loudness-matched Ogg Vorbis with the applied gain.

Ultrasound is played ten times slower, as is common for calls of bats: 40 kHz is heard at 4 kHz.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from scipy import fft

from earwitness.render.encoding import VORBIS_RATES, encode_vorbis
from earwitness.types import Audio, FloatArray

_TARGET_DB = -23.0  # dB of full scale, as in EBU R 128
_MOST_GAIN_DB = 60.0  # dB; more would amplify quantisation noise
_PEAK = 0.95  # of full scale; headroom for the encoder
_BLOCK_SECONDS = 0.1  # s, block of the level measurement
_GATE_DB = 30.0  # dB below the loudest block; quieter blocks are ignored
_QUALITY = 0.5  # of Vorbis in [0, 1]: some 80 kbit/s of mono at 44.1 kHz
HIGHEST_RATE = 48000  # Hz, what sound cards play without resampling
AUDIBLE = 20000  # Hz, highest frequency that is heard
EXPANSION = 10  # of time, for ultrasound
_PRESENT = 1e-4  # share of the energy above 20 kHz (-40 dB) that would be missed
_MOSTLY = 0.5  # share from which a sound is ultrasound even at a rate that can be played


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
    expansion : int
        How many times slower it plays; 1 or 10.
    """

    data: bytes
    gain_db: float | None
    expansion: int = 1
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


def ultrasound(sound: Audio) -> float:
    """Return the share of the energy above 20 kHz; 0 for silence.

    Examples
    --------
    >>> ultrasound(Audio(np.sin(np.arange(9600) * 2.0).astype(np.float32), 192000)) > 0.99
    True
    """
    if sound.rate <= 2 * AUDIBLE:
        return 0.0
    power = np.abs(fft.rfft(sound.samples)) ** 2
    first = math.floor(AUDIBLE * len(sound.samples) / sound.rate) + 1
    whole = float(power.sum(dtype=np.float64))
    return float(power[first:].sum(dtype=np.float64)) / whole if whole > 0 else 0.0


def expansion(sounds: Sequence[Audio]) -> int:
    """Return how many times slower sounds must play to be heard: 10 for ultrasound, or 1.

    A sound is ultrasound if most of its energy lies above 20 kHz, or more than 0.01 % at a sampling
    rate above 48 kHz; all sounds are played alike.
    """
    for sound in sounds:
        least = _PRESENT if sound.rate > HIGHEST_RATE else _MOSTLY
        if ultrasound(sound) > least:
            return EXPANSION
    return 1


def expansion_text(factor: int) -> str:
    """Return the label of players of an expansion; empty for none."""
    return f"time-expanded \u00d7{factor}" if factor > 1 else ""


def players(sounds: Sequence[Audio], factor: int | None = None) -> list[Player]:
    """Return sounds normalised to a common level, at most -23 dB, at which none clips.

    Parameters
    ----------
    factor : int, optional
        How many times slower they play; ``expansion(sounds)`` if None.
    """
    factor = expansion(sounds) if factor is None else factor
    levels = [loudness(sound.samples, sound.rate) for sound in sounds]
    wanted = _TARGET_DB
    for sound, level in zip(sounds, levels, strict=True):
        if np.isfinite(level):
            crest = 20 * np.log10(float(np.abs(sound.samples).max())) - level
            wanted = min(wanted, 20 * np.log10(_PEAK) - crest)
    return [
        _player(sound, wanted, level, factor) for sound, level in zip(sounds, levels, strict=True)
    ]


def copies(sounds: Sequence[Audio], gain_db: float, factor: int = 1) -> list[Player]:
    """Return sounds with the same gain in dB and the same expansion, so that they can be mixed."""
    return [_player(sound, gain_db, 0.0, factor) for sound in sounds]


def _player(sound: Audio, wanted: float, level: float, factor: int) -> Player:
    gain = float(min(wanted - level, _MOST_GAIN_DB)) if np.isfinite(level) else None
    samples = sound.samples * np.float32(10 ** ((gain or 0.0) / 20))
    return Player(_encoded(samples, sound.rate / factor), gain, factor)


def _encoded(samples: FloatArray, rate: float) -> bytes:
    wanted = min(max(math.ceil(rate), VORBIS_RATES[0]), HIGHEST_RATE)
    if wanted != rate:
        samples = soxr.resample(samples, rate, wanted)
    return encode_vorbis(np.clip(samples, -1, 1), wanted, _QUALITY)
