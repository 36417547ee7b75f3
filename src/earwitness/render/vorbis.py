"""Ogg Vorbis, the lossy format of players."""

from __future__ import annotations

import io

import soundfile

from earwitness.types import FloatArray

VORBIS_RATES = (8000, 96000)  # Hz, lowest and highest that the encoder takes
_ENCODED = 1 << 14  # samples per write: the encoder overflows its stack on more


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
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", rate, 1, format="OGG", subtype="VORBIS", compression_level=1 - quality
    ) as file:
        for start in range(0, len(samples), _ENCODED):
            file.write(samples[start : start + _ENCODED])
    return buffer.getvalue()
