"""Windows of a recording, cut from blocks as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from earwitness.errors import ParameterError
from earwitness.models.model import Model
from earwitness.subject import most_samples
from earwitness.types import FloatArray

_LONGEST = 30.0  # s; a model that takes more is given windows of the usual length
_USUAL = 5.0  # s, for a model without a length of its own
_TOGETHER = 1_000_000  # samples of the windows that are evaluated in one batch
_MOST = 32  # windows in one batch


@dataclass(frozen=True)
class Cut:
    """How recordings are cut: window k begins at sample ``k * hop``.

    The last window ends where the recording does. A recording shorter than a window is one window.

    Attributes
    ----------
    rate : int
        Hz, of the model.
    window, hop : int
        Samples.
    """

    rate: int
    window: int
    hop: int

    @property
    def batch(self) -> int:
        """Windows that are evaluated, and then stored, together."""
        return max(1, min(_MOST, _TOGETHER // self.window))

    def count(self, samples: int) -> int:
        """Return the number of windows of a recording."""
        if samples <= self.window:
            return int(samples > 0)
        return 1 + -(-(samples - self.window) // self.hop)

    def start(self, index: int, samples: int) -> int:
        """Return the first sample of a window of a recording."""
        return max(0, min(index * self.hop, samples - self.window))

    def spans(self, samples: int) -> tuple[list[float], list[float]]:
        """Return where windows start and end, in seconds."""
        first = [self.start(k, samples) for k in range(self.count(samples))]
        return (
            [start / self.rate for start in first],
            [min(start + self.window, samples) / self.rate for start in first],
        )


def make_cut(model: Model, window: float | None = None, hop: float | None = None) -> Cut:
    """Return how recordings are cut for a model.

    Parameters
    ----------
    window : float, optional
        Seconds; by default the length of the sounds that the model was trained on, if it is known;
        else the longest sound that it takes at once, and 5 s for a model without such a length or
        with one above 30 s.
    hop : float, optional
        Seconds between the starts of windows; half a window by default.

    Raises
    ------
    ParameterError
        If the model does not take windows of this length, or the hop is longer than the window.
    """
    least, most = model.shortest or 1, model.longest
    if window is None:
        size = most if most is not None and most <= _LONGEST * model.rate else None
        if size is None or model.trained_seconds is not None:
            size = round((model.trained_seconds or _USUAL) * model.rate)
        size = max(least, min(size, most or size))
    else:
        size = round(window * model.rate)
        if size < least or size > min(most or size, most_samples(model)):
            upper = min(most or size, most_samples(model)) / model.rate
            raise ParameterError(
                f"window {window:g} s: {model.name} takes sounds from {least / model.rate:g} s on"
                + (f", up to {upper:g} s" if size > least else "")
            )
    step = size // 2 if hop is None else round(hop * model.rate)
    if not 1 <= step <= size:
        raise ParameterError(
            f"hop {hop:g} s: windows of {size / model.rate:g} s need a hop above 0 and no longer "
            "than they are, or parts of the recording would be left out"
        )
    return Cut(model.rate, size, step)


def cut_windows(
    blocks: Iterable[FloatArray], cut: Cut, first: int = 0
) -> Iterator[tuple[int, FloatArray]]:
    """Yield (start, samples) of the windows from number ``first`` on.

    Parameters
    ----------
    blocks : iterable of ndarray (time,)
        The recording from sample ``origin(cut, first)`` on.
    """
    at = origin(cut, first)  # position of the parts
    following = first * cut.hop
    parts: list[FloatArray] = []
    held = 0
    for block in blocks:
        parts.append(block)
        held += len(block)
        if at + held < following + cut.window:
            continue
        buffer = np.concatenate(parts)
        while at + held >= following + cut.window:
            start = following - at
            yield following, buffer[start : start + cut.window]
            following += cut.hop
        used = max(0, following - cut.hop - at)  # one window is kept, for the last one
        parts, at, held = [buffer[used:]], at + used, held - used
    buffer = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    end = at + len(buffer)
    done = following - cut.hop + cut.window if following else 0
    if end > done:
        start = max(0, end - cut.window)
        yield start, buffer[start - at :]


def origin(cut: Cut, first: int) -> int:
    """Return the sample from which a recording must be read for the windows from ``first`` on."""
    return max(0, first - 1) * cut.hop
