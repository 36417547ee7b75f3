"""Whether an explanation stays the same where nothing that matters has changed, and whether what it
found means anything to another model.

An explanation that another seed, inaudible noise or a lossy encoding turns over cannot be trusted,
however faithful it scores. The converse does not hold: a constant map is perfectly stable.

Conventions
-----------
The explanation is repeated for the same target under changed conditions; each repetition's map is
compared with the first by Spearman's rank correlation. Repetitions cost whole explanations.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import soundfile

from earwitness.errors import NotApplicableError
from earwitness.metrics.registry import Array, register
from earwitness.metrics.similarity import spearman
from earwitness.types import FloatArray

_BLOCK = 1 << 14
_RATES = (8000, 96000)
NOISE_DB = -40.0


@register(
    "stability-seed",
    summary="rank correlation of the map with maps from other seeds",
    family="stability",
    direction="higher",
    low=-1,
    high=1,
    given={"first": "map", "again": "seed_maps"},
)
@register(
    "stability-noise",
    summary="rank correlation of the map with maps of the sound plus faint noise",
    family="stability",
    direction="higher",
    low=-1,
    high=1,
    paper="Alvarez-Melis, Jaakkola: On the Robustness of Interpretability Methods, 2018",
    given={"first": "map", "again": "noise_maps"},
)
@register(
    "stability-encoding",
    summary="rank correlation of the map with the map of the sound after lossy encoding",
    family="stability",
    direction="higher",
    low=-1,
    high=1,
    given={"first": "map", "again": "encoded_maps"},
)
def stability(first: Array, again: Array) -> Array:
    """Return Spearman's correlation of a map with each repetition."""
    return spearman(first, again)


@register(
    "transfer",
    summary="how much better another classifier hears the target in the evidence than beside it",
    family="stability",
    direction="higher",
    low=-1,
    high=1,
    unit="probability",
)
def transfer(other_evidence: Array, other_remainder: Array) -> Array:
    """Return ``q(evidence) - q(remainder)``, ``q`` another classifier's probability of the target's
    label, on sounds that were chosen by the first.
    """
    return np.asarray(other_evidence, np.float64) - other_remainder


def noisy_copies(
    wave: FloatArray, copies: int, seed: int, *, decibels: float = NOISE_DB
) -> FloatArray:
    """Return copies (copy, time) of a sound with white noise at a level relative to its own."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((copies, len(wave)))
    level = float(np.sqrt(np.mean(np.asarray(wave, np.float64) ** 2)))
    return (wave + level * 10 ** (decibels / 20) * noise).astype(np.float32)


def encoded_copy(wave: FloatArray, rate: int, *, quality: float = 0.4) -> FloatArray:
    """Return a sound (time,) after it was encoded as Ogg Vorbis and decoded again.

    Vorbis keeps the length and adds no delay. The level is kept below clipping and given back.

    Parameters
    ----------
    quality : float in [0, 1]
        1 for the best.

    Raises
    ------
    NotApplicableError
        If the rate is not between 8 and 96 kHz: others crash the encoder.
    """
    if not _RATES[0] <= rate <= _RATES[1]:
        raise NotApplicableError(
            f"sounds at {rate} Hz cannot be encoded as Vorbis, which takes 8 to 96 kHz"
        )
    peak = max(float(np.abs(wave).max()), 1e-9)
    buffer = io.BytesIO()
    scaled = np.asarray(wave, np.float32) / np.float32(2 * peak)
    with soundfile.SoundFile(
        buffer, "w", rate, 1, format="OGG", subtype="VORBIS", compression_level=1 - quality
    ) as file:
        for start in range(0, len(scaled), _BLOCK):  # the encoder overflows on long blocks
            file.write(scaled[start : start + _BLOCK])
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
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
        Of the explanation they are compared with.
    copies : int
        How many seeds and noises.
    """
    noises = noisy_copies(wave, copies, seed)
    return {
        "seed_maps": np.stack([explain(wave, seed + k) for k in range(1, copies + 1)]),
        "noise_maps": np.stack([explain(noise, seed) for noise in noises]),
        "encoded_maps": explain(encoded_copy(wave, rate), seed)[None],
    }
