"""WAV files of which equal sounds are equal bytes.

libsndfile adds a chunk (PEAK) to float files, which holds the time of writing.
"""

from __future__ import annotations

import struct

import numpy as np

from earwitness.types import FloatArray

_FLOAT = 3  # format of IEEE floating-point samples (WAVE_FORMAT_IEEE_FLOAT)


def wav_bytes(samples: FloatArray, rate: int) -> bytes:
    """Return a mono 32-bit float WAV file with chunks ``fmt``, ``fact`` and ``data``.

    Parameters
    ----------
    samples : ndarray, shape (time,), float32
    rate : int
        Hz.
    """
    data = np.ascontiguousarray(samples, "<f4").tobytes()
    head = struct.pack(
        "<4sI4s 4sIHHIIHHH 4sII 4sI",
        *(b"RIFF", 50 + len(data), b"WAVE"),
        *(b"fmt ", 18, _FLOAT, 1, rate, 4 * rate, 4, 32, 0),
        *(b"fact", 4, len(samples)),
        *(b"data", len(data)),
    )
    return head + data
