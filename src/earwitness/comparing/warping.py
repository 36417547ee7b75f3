"""One sound on the time axis of another: waveform-similarity overlap-add along an alignment.

Segments of the sound are added up at half their length. Each is taken near where the alignment
says, shifted to where it continues the last one best (Verhelst, Roelands: An overlap-add technique
based on waveform similarity (WSOLA) for high quality time-scale modification of speech, 1993).
Where the alignment runs at the sound's own speed the result is the sound itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from earwitness.comparing.alignment import Alignment
from earwitness.types import Audio, FloatArray

_SEGMENT_SECONDS = 0.03  # s; some periods of a voice
_SHIFT_SECONDS = 0.008  # s to either side: a period of most voices
_TINY = 1e-12  # energy of a segment of silence


def on_axis_of(alignment: Alignment, sound: Audio, samples: int) -> FloatArray:
    """Return a sound with the time axis of the one that it was aligned with.

    Parameters
    ----------
    alignment : Alignment
        Of the other sound with this one.
    sound : Audio
    samples : int
        Length of the other sound, at the same rate.

    Returns
    -------
    ndarray, shape (samples,)
        Moments are where the alignment puts them to 8 ms.
    """
    hop = max(1, round(_SEGMENT_SECONDS * sound.rate / 2))
    length, reach = 2 * hop, max(1, round(_SHIFT_SECONDS * sound.rate))
    count = samples // hop + 2  # segments begin half a segment before the sound
    starts = np.arange(count) * hop - hop
    places = np.round(_places(alignment, (starts + hop) / sound.rate) * sound.rate)
    around = 2 * length + reach  # silence on either side
    places = np.clip(places.astype(int) - hop, -length, len(sound.samples)) + around
    wave = np.pad(sound.samples.astype(np.float64), around)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    whole = np.zeros((count + 1) * hop)
    last = int(places[0]) - hop
    for number, place in enumerate(places.tolist()):
        last = _continuing(wave, last + hop, place, length, reach)
        whole[number * hop : number * hop + length] += window * wave[last : last + length]
    found: FloatArray = whole[hop : hop + samples].astype(np.float32)
    return found


def _places(alignment: Alignment, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the places of some moments; beyond the frames the sound runs at its own speed."""
    first, last = alignment.times[0], alignment.times[-1]
    beyond = np.minimum(seconds - first, 0) + np.maximum(seconds - last, 0)
    found: NDArray[np.float64] = alignment.at(seconds) + beyond
    return found


def _continuing(wave: NDArray[np.float64], after: int, place: int, length: int, reach: int) -> int:
    """Return the start, within ``reach`` of a place, of the segment that is most like another."""
    if abs(after - place) <= reach:
        return after  # the sound's own continuation
    low = place - reach
    around = wave[low : place + reach + length]
    wanted = wave[after : after + length]
    products = signal.correlate(around, wanted, "valid", method="fft")
    sums = np.concatenate([[0.0], np.cumsum(np.square(around))])
    energies = sums[length:] - sums[:-length]
    likeness = products / np.sqrt(np.maximum(energies, _TINY))
    return low + int(likeness.argmax())
