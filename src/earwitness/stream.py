"""Recordings of any length, read in blocks from disk and resampled as they come."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from earwitness.audio import (
    UNKNOWN,
    check_samples,
    go_to,
    open_sound,
    quiet_decoder,
    shown_name,
)
from earwitness.containers import is_cut_off, is_estimated, not_decoded
from earwitness.errors import AudioError
from earwitness.samples import check_rate, mix_down
from earwitness.types import FloatArray

_BLOCK = 1 << 14  # frames per read; at most so many are lost at the end of a truncated file
_LEAD = 0.25  # s before the start that the resampler's filter settles in


class Stream:
    """The samples of a recording at a model's rate, as mono blocks; memory is that of a block.

    Parameters
    ----------
    path : Path
    rate : int
        Sampling rate in Hz to resample to.
    start : int >= 0
        First sample to give, at ``rate``. The samples from there on are those of the whole
        recording, to the precision of floats.

    Raises
    ------
    AudioError
        If the file cannot be read or decoded, or its rate is below 1 % of ``rate``.

    Attributes
    ----------
    given, channels : int
        Sampling rate and channels of the file.
    seconds : float or None
        Length that the header gives; None if it does not.
    faulty : list of (int, int)
        First sample and the one after the last, at ``rate``, of stretches with NaN or infinite
        samples, read so far. Silence takes their place.
    cut_off : bool
        Whether the file ended before its header says, once it is read.
    not_decoded : str
        What the decoder leaves out, once the file is read; empty if nothing is known to be.
    """

    def __init__(self, path: Path, rate: int, start: int = 0) -> None:
        self.path, self.rate, self.start = path, rate, start
        with quiet_decoder(path), open_sound(path) as file:
            self.given, self.channels = file.samplerate, file.channels
            check_rate(shown_name(path), self.given, rate)
            known = file.frames < UNKNOWN
            self.seconds = file.frames / self.given if known else None
            self._frames = file.frames
        self.faulty: list[tuple[int, int]] = []
        self.cut_off, self.not_decoded = False, ""

    def __iter__(self) -> Iterator[FloatArray]:
        """Yield blocks (time,), float32, none of them empty."""
        step = self.given // math.gcd(self.given, self.rate)  # frames between common sample times
        before = max(0, math.ceil(_LEAD * self.given / step))
        first = max(0, self.start * self.given // self.rate // step - before) * step
        skip = self.start - first * self.rate // self.given
        same = self.given == self.rate
        stream = None if same else soxr.ResampleStream(self.given, self.rate, 1, dtype="float32")
        for block in self._resampled(stream, first):
            part, skip = block[skip:], max(0, skip - len(block))
            if len(part):
                yield part

    def _resampled(self, stream: soxr.ResampleStream | None, first: int) -> Iterator[FloatArray]:
        for block in self._mono(first):
            yield block if stream is None else stream.resample_chunk(block)
        if stream is not None:
            yield stream.resample_chunk(np.zeros(0, np.float32), last=True)

    def _mono(self, first: int) -> Iterator[FloatArray]:
        """Yield the blocks from a frame on that can be decoded."""
        at = first
        with quiet_decoder(self.path):
            opened = open_sound(self.path)
        with opened as file:
            try:
                with quiet_decoder(self.path):
                    go_to(file, first)
                while at < self._frames:  # what follows in the file need not be samples
                    count = min(_BLOCK, self._frames - at)
                    with quiet_decoder(self.path):  # and nothing else that is written meanwhile
                        block = file.read(count, dtype="float32", always_2d=True)
                    if not len(block):
                        break
                    yield self._repaired(mix_down(block), at)
                    at += len(block)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                if at == first == 0:
                    raise AudioError(
                        f"{shown_name(self.path)}: cut off before any sound"
                    ) from error
        short = self.seconds is not None and at < self._frames and not is_estimated(self.path)
        self.cut_off = short or is_cut_off(self.path)
        self.not_decoded = "" if self.seconds is None else not_decoded(self.path, self.seconds)
        check_samples(self.path, at)

    def _repaired(self, block: FloatArray, at: int) -> FloatArray:
        """Return a block with silence for what is not finite, and note where that is."""
        finite = np.isfinite(block)
        if finite.all():
            return block
        wrong = np.flatnonzero(~finite)
        gaps = np.flatnonzero(np.diff(wrong) > self.given // 100)
        for run in np.split(wrong, gaps + 1):
            low, high = ((at + int(frame)) * self.rate // self.given for frame in run[[0, -1]])
            self.faulty.append((low, high + 1))
        return np.where(finite, block, np.float32(0))


def read_stretch(path: Path, rate: int, start: int, length: int) -> FloatArray:
    """Return ``length`` samples from ``start`` on at ``rate``, or fewer where the file ends.

    They are those that a ``Stream`` of the whole recording gives.
    """
    parts, left = [], length
    for block in Stream(path, rate, start):
        parts.append(block[:left])
        left -= len(parts[-1])
        if not left:
            break
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
