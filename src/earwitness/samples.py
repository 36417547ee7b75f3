"""Samples of any type as mono float, checked and resampled block by block as they come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from earwitness.errors import AudioError, ParameterError
from earwitness.types import Audio

_SHORTEST_SECONDS = 0.05  # s, one window of the default plane
_HIGHEST_RATE = 48000  # Hz; at higher rates, of ultrasound, as many samples as at this one suffice
_LEAST_SHARE = 0.01  # of the rate wanted; a slower sound leaves 99 % of the band empty
MOST_SAMPLES = 30_000_000  # read at once by default; half an hour at 16 kHz
_FEWEST = 64  # samples that must be left after resampling


class Samples:
    """A mono sound that grows by blocks, so that memory is that of the result.

    Parameters
    ----------
    name : str
        For messages.
    given : int
        Sampling rate of the blocks in Hz.
    wanted : int, optional
        Sampling rate to resample to.

    Raises
    ------
    AudioError
        If ``given`` is not positive, or below 1 % of ``wanted``.

    Attributes
    ----------
    count : int
        Samples added so far, at the given rate.
    """

    def __init__(self, name: str, given: int, wanted: int | None) -> None:
        check_rate(name, given, wanted)
        self.name, self.given, self.rate = name, given, wanted or given
        self.count = self.channels = 0
        self._finite = True
        self._parts: list[NDArray[np.float32]] = []
        same = self.rate == given
        self._stream = None if same else soxr.ResampleStream(given, self.rate, 1, dtype="float32")

    def add(self, block: NDArray[Any]) -> None:
        """Append samples (time,) or (time, channel)."""
        self.channels = 1 if block.ndim == 1 else block.shape[1]
        mono = mix_down(block)
        self.count += len(mono)
        self._finite = self._finite and bool(np.isfinite(mono).all())
        if self._stream is not None and self._finite:
            mono = self._stream.resample_chunk(mono)
        self._parts.append(mono)

    def audio(self, known: Iterable[str] = ()) -> Audio:
        """Return the sound, with notes on what was done to it.

        Raises
        ------
        AudioError
            If it is shorter than 50 ms, or contains NaN or infinity.
        """
        notes = list(known)
        if self.channels > 1:
            notes.append(f"{self.channels} channels mixed down to one")
        self._check()
        if self._stream is not None:
            self._parts.append(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
            notes.append(f"resampled from {self.given} to {self.rate} Hz")
        samples = np.concatenate(self._parts)
        if len(samples) < min(_FEWEST, self.count):
            raise AudioError(f"{self.name}: {len(samples)} samples are left at {self.rate} Hz")
        peak = float(np.abs(samples).max())
        if peak == 0:
            notes.append("silence: every sample is zero")
        elif peak < 1e-4:
            notes.append(f"very quiet: the peak is {20 * np.log10(peak):.0f} dB of full scale")
        elif peak > 1.5:
            notes.append(f"above full scale: the peak is +{20 * np.log10(peak):.0f} dB")
        notes = list(dict.fromkeys(notes))  # a sound may be read once more at another rate
        return Audio(np.ascontiguousarray(samples, np.float32), self.rate, self.name, tuple(notes))

    def _check(self) -> None:
        if self.count == 0:
            raise AudioError(f"{self.name}: no samples in it")
        shortest = _SHORTEST_SECONDS * min(self.given, _HIGHEST_RATE) / self.given
        if self.count < shortest * self.given:
            count = "1 sample" if self.count == 1 else f"{self.count} samples"
            raise AudioError(
                f"{self.name}: {count} ({1000 * self.count / self.given:.3g} ms); an explanation "
                f"needs at least {1000 * shortest:.3g} ms"
            )
        if not self._finite:
            raise AudioError(
                f"{self.name}: contains NaN or infinite samples; repair or remove them first"
            )


def check_rate(name: str, given: int, wanted: int | None) -> None:
    """Raise ``AudioError`` for a rate that is not positive, or below 1 % of the one wanted."""
    if given <= 0:
        raise AudioError(f"{name}: the sampling rate must be positive, got {given}")
    if wanted and given < _LEAST_SHARE * wanted:
        raise AudioError(
            f"{name}: a sampling rate of {given} Hz is below 1 % of the model's {wanted} Hz; "
            "correct the rate in the file's header, if it is wrong"
        )


def check_length(name: str, seconds: float, longest: float | None) -> None:
    """Raise ``ParameterError`` for a sound of more than ``longest`` seconds."""
    if longest is not None and seconds > longest:
        raise ParameterError(
            f"{name}: {seconds / 60:,.0f} min are too long to explain in one piece (at most "
            f"{longest / 60:.0f} min here); choose a part with start and end"
        )


def as_float(samples: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    """Return samples (time[, channel]) of any type as float with full scale 1.

    Raises
    ------
    ParameterError
        If they are no real numbers, or of another shape.
    """
    if samples.ndim not in (1, 2):
        raise ParameterError(
            f"{name}: samples must have shape (time,) or (time, channel), got {samples.shape}"
        )
    if samples.ndim == 2:
        channels = samples.shape[1]
        if channels == 0:
            raise ParameterError(f"{name}: shape {samples.shape} has no channels")
        if channels > samples.shape[0] > 0 or channels > 1024:
            raise ParameterError(
                f"{name}: shape {samples.shape} has more channels than samples; give (time, "
                "channel)"
            )
    if samples.dtype in (np.int64, np.uint64):
        raise ParameterError(
            f"{name}: samples of {samples.dtype} have no full scale; give them as the file has "
            "them, int16 or int32, or as float with full scale 1"
        )
    if np.issubdtype(samples.dtype, np.unsignedinteger):
        half = 2.0 ** (8 * samples.dtype.itemsize - 1)
        return ((samples.astype(np.float64) - half) / half).astype(np.float32)
    if np.issubdtype(samples.dtype, np.integer):
        full = 2.0 ** (8 * samples.dtype.itemsize - 1)
        return (samples.astype(np.float64) / full).astype(np.float32)
    if not np.issubdtype(samples.dtype, np.floating):
        raise ParameterError(f"{name}: samples must be real numbers, got {samples.dtype}")
    return samples.astype(np.float32)


def mix_down(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the channels of samples (time[, channel])."""
    if samples.ndim == 1:
        return samples
    mixed: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mixed
