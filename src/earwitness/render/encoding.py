"""Compressed sounds in memory: FLAC, and Ogg Vorbis, the lossy format of players.

soundfile reads and writes memory in callbacks from C, where an exception is printed and lost: after
Ctrl-C the command would go on, with a sound of which a part is missing.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from earwitness.interrupts import interrupts_later
from earwitness.types import FloatArray

VORBIS_RATES = (8000, 96000)  # Hz, lowest and highest that the encoder takes
_ENCODED = 1 << 14  # samples per write: the encoder overflows its stack on more


def encode_flac(codes: NDArray[np.int32], rate: int, bits: int) -> bytes:
    """Return integer samples as FLAC, without loss.

    Parameters
    ----------
    codes : ndarray of int32, shape (time,)
        In [-2^(bits - 1), 2^(bits - 1)).
    rate : int
        In Hz.
    bits : int in 16..24
        FLAC of 16 bits, or of 24, the lowest of which are then zero and take no place.
    """
    buffer = BytesIO()
    with interrupts_later():
        soundfile.write(
            buffer, codes << (32 - bits), rate, format="FLAC", compression_level=1.0,
            subtype="PCM_16" if bits == 16 else "PCM_24",
        )  # fmt: skip
    return buffer.getvalue()


def encode_vorbis(samples: FloatArray, rate: int, quality: float) -> bytes:
    """Return a sound as Ogg Vorbis, which keeps its length and adds no delay.

    Parameters
    ----------
    samples : ndarray, shape (time,)
        Full scale at 1.
    rate : int
        In Hz, within ``VORBIS_RATES``: others crash the encoder.
    quality : float in [0, 1]
        1 for the best.
    """
    buffer = BytesIO()
    with (
        interrupts_later(),
        soundfile.SoundFile(
            buffer, "w", rate, 1, format="OGG", subtype="VORBIS", compression_level=1 - quality
        ) as file,
    ):
        for start in range(0, len(samples), _ENCODED):
            file.write(samples[start : start + _ENCODED])
    return buffer.getvalue()


def decode(data: bytes) -> FloatArray:
    """Return the samples of an encoded sound in float32, shape (time,)."""
    with interrupts_later():
        samples: FloatArray = soundfile.read(BytesIO(data), dtype="float32")[0]
    return samples
