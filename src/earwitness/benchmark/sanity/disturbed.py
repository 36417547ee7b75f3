"""Explanations of one sound under changed conditions: another seed, faint noise, lossy encoding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from earwitness.errors import NotApplicableError
from earwitness.render.encoding import VORBIS_RATES, decode, encode_vorbis
from earwitness.types import FloatArray

NOISE_DB = -40.0  # dB relative to the level of the sound; barely audible


def noisy_copies(
    wave: FloatArray, copies: int, seed: int, *, decibels: float = NOISE_DB
) -> FloatArray:
    """Return copies (copy, time) of a sound with white noise at a level relative to the sound."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((copies, len(wave)))
    level = float(np.sqrt(np.mean(np.asarray(wave, np.float64) ** 2)))
    return (wave + level * 10 ** (decibels / 20) * noise).astype(np.float32)


def encoded_copy(wave: FloatArray, rate: int, *, quality: float = 0.4) -> FloatArray:
    """Return a sound (time,) after it was encoded as Ogg Vorbis and decoded again.

    Vorbis keeps the length and adds no delay. The level is lowered before encoding, to avoid
    clipping, and restored afterwards.

    Parameters
    ----------
    quality : float in [0, 1]
        Vorbis quality, 1 is the highest.

    Raises
    ------
    NotApplicableError
        If the rate is not between 8 and 96 kHz; the encoder crashes for others.
    """
    if not VORBIS_RATES[0] <= rate <= VORBIS_RATES[1]:
        raise NotApplicableError(
            f"sounds at {rate} Hz cannot be encoded as Vorbis, which takes 8 to 96 kHz"
        )
    peak = max(float(np.abs(wave).max()), 1e-9)
    scaled = np.asarray(wave, np.float32) / np.float32(2 * peak)
    data = encode_vorbis(scaled, rate, quality)
    decoded = decode(data)
    again = np.zeros(len(wave), np.float32)
    again[: min(len(wave), len(decoded))] = decoded[: len(wave)] * (2 * peak)
    return again


def repeated_maps(
    explain: Callable[[FloatArray, int], FloatArray],
    wave: FloatArray,
    rate: int,
    *,
    seed: int,
    copies: int = 4,
) -> dict[str, FloatArray]:
    """Return the fields ``seed_maps``, ``noise_maps`` and ``encoded_maps`` of a case.

    Parameters
    ----------
    explain : callable
        ``explain(wave, seed) -> map`` (freq, frame), always for the same target.
    wave : ndarray, shape (time,)
    rate : int
    seed : int
        Seed of the explanation that they are compared with.
    copies : int
        Number of seeds and of noises.
    """
    noises = noisy_copies(wave, copies, seed)
    return {
        "seed_maps": np.stack([explain(wave, seed + k) for k in range(1, copies + 1)]),
        "noise_maps": np.stack([explain(noise, seed) for noise in noises]),
        "encoded_maps": explain(encoded_copy(wave, rate), seed)[None],
    }
