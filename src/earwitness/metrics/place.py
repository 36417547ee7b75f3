"""Place: where an explanation points to, beside the known place of a degradation.

The place of a degradation of speech is its time and its band. The place of an explanation is that
of its positive attribution:

- *time*: the attribution is integrated over the mel scale and averaged over 100 ms; the time of its
  maximum. Of equal maxima, as within a piece, the middle of the first run of neighbours.
- *third*: the third of the mel scale, from 0 to the highest frequency of the sound, with the most
  attribution within 50 ms of that time.

Integrated means that each bin counts with its width in mel. A sum over bins would be ruled by the
highest third, which has the most bins, wherever a map is even over a band, as those of pieces are.

The time is right if it is at most 100 ms outside of the degradation. In the pointing game the point
is the strongest cell of the map as it is, and is right if it lies in the place.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from earwitness.metrics.registry import Array
from earwitness.plane.mel import hz_to_mel, mel_edges

TOLERANCE = 0.1  # s
_WINDOW = 0.1  # s
_EQUAL = 1e-6  # relative; values that differ by less are equal
Values = NDArray[np.float64]


def strongest_time(attribution: Array, freqs: Array, times: Array) -> float:
    """Return the time in seconds of most positive attribution; nan if nothing is positive.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)
    freqs, times : ndarray, shape (freq,) and (frame,)
        Centres of bins in Hz, and of frames in seconds, evenly spaced.

    Examples
    --------
    >>> strongest_time(np.array([[0.0, 1.0, 0.0, -2.0]]), np.zeros(1), np.arange(4.0))
    1.0
    """
    course = _mel_widths(freqs) @ np.maximum(attribution, 0).astype(np.float64)
    if not course.max() > 0:
        return float("nan")
    step = float(times[1] - times[0]) if len(times) > 1 else _WINDOW
    width = min(max(1, round(_WINDOW / step)) // 2 * 2 + 1, (len(course) - 1) // 2 * 2 + 1)
    course = np.convolve(course, np.ones(width) / width, mode="same")
    largest = course >= course.max() * (1 - _EQUAL)
    first = int(np.argmax(largest))
    after = np.flatnonzero(~largest[first:])
    last = first + int(after[0]) - 1 if len(after) else len(course) - 1
    return float((times[first] + times[last]) / 2)


def strongest_third(
    attribution: Array, freqs: Array, times: Array, at: float, highest: float
) -> int:
    """Return the third of the mel scale (0, 1 or 2) with most positive attribution at a time.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)
    freqs, times : ndarray, shape (freq,) and (frame,)
        In Hz and seconds.
    at : float
        In seconds; attribution within 50 ms counts.
    highest : float
        Upper end of the scale in Hz; what lies above belongs to the highest third.

    Returns
    -------
    int
        -1 if nothing is positive there.

    Examples
    --------
    >>> freqs = np.array([0.0, 500.0, 2000.0, 8000.0])
    >>> strongest_third(np.array([[0.0], [0.0], [1.0], [0.0]]), freqs, np.zeros(1), 0.0, 8000.0)
    1
    """
    near = np.abs(times - at) <= _WINDOW / 2
    course = np.maximum(attribution[:, near], 0).sum(axis=1, dtype=np.float64)
    if not course.max(initial=0.0) > 0:
        return -1
    thirds = third_of(freqs, highest)
    return int(np.argmax(np.bincount(thirds, weights=_mel_widths(freqs) * course, minlength=3)))


def _mel_widths(freqs: Array) -> Values:
    """Return the width (freq,) of each bin in mel."""
    mels = hz_to_mel(torch.from_numpy(np.asarray(freqs, np.float64))).numpy()
    return np.gradient(mels) if len(mels) > 1 else np.ones(1)


def strongest_cell(attribution: Array) -> tuple[int, int]:
    """Return bin and frame of the largest value; of equal ones, as of a piece, the middle.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)

    Examples
    --------
    >>> strongest_cell(np.array([[0.0, 2.0, 2.0, 2.0], [0.0, 1.0, 1.0, 1.0]]))
    (0, 2)
    """
    largest = float(attribution.max())
    bins, frames = np.nonzero(attribution >= largest - _EQUAL * abs(largest))
    return round(float(np.median(bins))), round(float(np.median(frames)))


def third_of(freqs: Array, highest: float) -> NDArray[np.intp]:
    """Return in which third of Slaney's mel scale up to ``highest`` frequencies in Hz lie.

    Examples
    --------
    >>> third_of(np.array([100.0, 2000.0, 4000.0]), 8000.0).tolist()
    [0, 1, 2]
    """
    inner = mel_edges(2, 0.0, highest).numpy()[1:3]
    return np.searchsorted(inner, np.asarray(freqs, np.float64), side="right")


def time_error(at: float, start: float, end: float) -> float:
    """Return how far outside of a stretch a time lies, in seconds; 0 within; nan stays nan.

    Examples
    --------
    >>> time_error(1.25, 0.5, 1.0), time_error(0.75, 0.5, 1.0)
    (0.25, 0.0)
    """
    return float(np.maximum(np.maximum(start - at, at - end), 0.0))


def place_cells(
    freqs: Array, times: Array, start: float, end: float, low: float, high: float, margin: float
) -> NDArray[np.bool_]:
    """Return the cells (freq, frame) of a place.

    Parameters
    ----------
    freqs, times : ndarray, shape (freq,) and (frame,)
        Centres of bins in Hz and frames in seconds.
    start, end, low, high : float
        The place, in seconds and Hz.
    margin : float
        Half of the plane's window in seconds: frames that contain some of the stretch belong to it,
        and bins that the window spreads the band to (its main lobe, two bins of the window's
        length on each side).

    Examples
    --------
    >>> place_cells(np.arange(4.0), np.arange(4.0), 1.0, 2.0, 2.0, 2.0, 1.0).astype(int).tolist()
    [[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    """
    lobe = 1.0 / margin  # two bins of 1 / (2 margin) Hz
    frames = (times >= start - margin) & (times <= end + margin)
    bins = (freqs >= low - lobe) & (freqs <= high + lobe)
    return bins[:, None] & frames[None]
