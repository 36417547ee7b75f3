"""Reading and writing sound files: all formats of libsndfile, as mono at a given rate."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import ArrayLike, NDArray

from earwitness.containers import bytes_of_samples, is_cut_off, is_estimated, not_decoded
from earwitness.errors import AudioError, ParameterError
from earwitness.files import reachable
from earwitness.samples import MOST_SAMPLES, Samples, as_float, check_length
from earwitness.types import Audio
from earwitness.wav import wav_bytes

UNKNOWN = 1 << 48  # frames; libsndfile gives more for a stream that does not say its length
_SETTLES = 1  # s, decoded and dropped after a seek in an MP3
_BLOCK = 1 << 11  # frames per read; at most so many are lost at the end of a truncated file
_ADDED = 32  # blocks that are resampled together, which saves time
_MOST_CHANNELS = 8  # of an array (7.1 surround); more are taken for bands of a spectrogram


def read_audio(
    path: str | os.PathLike[str],
    *,
    rate: int | None = None,
    start: float | None = None,
    end: float | None = None,
    longest: float | None = None,
) -> Audio:
    """Read a sound file as mono.

    Channels are averaged and the sound is resampled block by block, so that memory is that of the
    result.

    Parameters
    ----------
    path : path
    rate : int, optional
        Sampling rate in Hz to resample to; the file's own if None.
    start, end : float, optional
        Range to read, in seconds. Only this range is decoded if the format supports seeking.
    longest : float, optional
        Most seconds to read, half an hour at 16 kHz by default; decided by the header, before
        anything is decoded.

    Raises
    ------
    AudioError
        If the file does not exist, cannot be decoded, contains NaN or infinity, is shorter than
        50 ms, or its sampling rate is below 1 % of ``rate``.
    ParameterError
        If the range is empty, outside the file or longer than ``longest``.
    """
    path = reachable(path, AudioError)
    check_file(path)
    return _decode(path, rate, start, end, longest)


def check_file(path: Path) -> None:
    """Raise ``AudioError`` unless a path leads to a file that can be read and is not empty."""
    if not os.path.exists(path):
        raise AudioError(f"{path}: no such file")
    if path.is_dir():
        raise AudioError(f"{path}: a folder, not a sound file")
    if not path.is_file():
        raise AudioError(f"{path}: a pipe or a device, not a file; write the sound to a file first")
    if not os.access(path, os.R_OK):
        raise AudioError(f"{path}: no permission to read this file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty")


def as_audio(
    clip: Audio | tuple[ArrayLike, int] | Mapping[str, Any],
    *,
    rate: int | None = None,
    name: str = "clip",
    longest: float | None = None,
) -> Audio:
    """Convert samples and their sampling rate to mono audio at ``rate``.

    Parameters
    ----------
    clip : Audio, (samples, rate), (rate, samples) or mapping
        Samples of shape (time,), (time, channel) or (channel, time), float with full scale ±1, or
        integers of up to 32 bits; also a tensor. Up to eight channels are averaged; more are taken
        for a spectrogram, and refused. A mapping has ``array`` and ``sampling_rate``, as in data
        sets of Hugging Face.
    rate : int, optional
        Sampling rate in Hz to resample to.
    longest : float, optional
        Most seconds that are taken.

    Examples
    --------
    >>> as_audio((np.zeros(1000), 8000)).seconds
    0.125
    """
    notes: tuple[str, ...] = ()
    if isinstance(clip, Audio):
        given: Any = (clip.samples, clip.rate)
        name, notes = clip.name, clip.notes
    elif isinstance(clip, Mapping):
        if not {"array", "sampling_rate"} <= clip.keys():
            raise ParameterError(
                "a mapping needs array and sampling_rate to be a clip, got the keys "
                f"{', '.join(map(str, clip))}"
            )
        given = (clip["array"], clip["sampling_rate"])
        name = str(clip.get("path") or name)
    else:
        given = clip
    if not isinstance(given, tuple) or len(given) != 2:
        raise ParameterError(
            "a clip is a path, an Audio, or a pair (samples, rate); got "
            f"{type(clip).__name__} without a rate"
        )
    try:
        samples, given_rate = (_array(one) for one in given)
        if samples.ndim == 0 and given_rate.ndim:  # the order of scipy.io.wavfile
            samples, given_rate = given_rate, samples
        number = int(given_rate)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(
            f"a clip is a pair (samples, rate) of an array and a number; got "
            f"({type(given[0]).__name__}, {_short(given[1])})"
        ) from error
    if samples.ndim == 2 and max(samples.shape) > _MOST_CHANNELS < min(samples.shape):
        raise ParameterError(
            f"{name}: an array of shape {samples.shape} is a spectrogram or features, not samples; "
            f"give the waveform, (time,) or (time, channel) with up to {_MOST_CHANNELS} channels"
        )
    if samples.ndim == 2 and samples.shape[0] <= _MOST_CHANNELS < samples.shape[1]:
        samples = samples.T  # the order of torchaudio and librosa
    if number <= 0:
        raise ParameterError(f"{name}: the sampling rate must be positive, got {number}")
    found = Samples(name, number, rate)
    samples = as_float(samples, name)
    check_length(name, len(samples) / number, longest)
    found.add(samples)
    return found.audio(notes)


def _array(given: Any) -> NDArray[Any]:
    """Return an array; a tensor without its gradient, and in a precision that numpy has."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given.float() if given.is_floating_point() else given
    return np.asarray(given)


def _short(given: object) -> str:
    text = repr(given)
    return text if len(text) < 40 else type(given).__name__


def write_audio(path: str | os.PathLike[str], audio: Audio) -> None:
    """Write a 32-bit float WAV: samples are stored exactly and do not clip."""
    with open(path, "wb") as file:
        file.write(wav_bytes(audio.samples, audio.rate))


def _decode(
    path: Path, wanted: int | None, start: float | None, end: float | None, longest: float | None
) -> Audio:
    name = shown_name(path)
    try:
        with quiet_decoder(path), _InOrder(_place(path)) as file:
            rate = file.samplerate
            found = Samples(name, rate, wanted)
            longest = MOST_SAMPLES / found.rate if longest is None else longest
            first, last = span(str(path), file.frames, rate, start, end)
            known = last < UNKNOWN
            if known:
                check_length(name, (last - first) / rate, longest)
            else:
                last = first + math.ceil(longest * rate) + 1
            whole = file.frames / rate
            go_to(file, first)
            complete = _read_blocks(file, last - first, found)
    except (TypeError, soundfile.LibsndfileError, RuntimeError) as error:
        raise _undecodable(path, error) from error
    check_length(name, found.count / rate, longest)
    check_samples(path, found.count)
    notes = past_the_end(end, last if known else first + found.count, rate)
    if not known:
        notes.append(f"the header does not say how long it is: read {found.count / rate:.2f} s")
    short = known and not complete and not is_estimated(path)
    if short or (end is None and is_cut_off(path)):
        if not found.count:
            raise AudioError(f"{name}: cut off before any sound")
        notes.append(f"cut off: only the first {found.count / rate:.2f} s could be decoded")
    if known and (end is None or end > whole) and (text := not_decoded(path, whole)):
        notes.append(text)
    return found.audio(notes)


def check_samples(path: Path, count: int) -> None:
    """Raise for a WAV that says it holds no samples though it does; a recorder lost power, say."""
    if not count and (size := bytes_of_samples(path)) > 1:
        raise AudioError(
            f"{shown_name(path)}: its header says that it holds no samples, but {size:,} bytes "
            "follow, as when a recorder stops before it writes the length; repair the header "
            "(sox --ignore-length, or ffmpeg -ignore_length 1)"
        )


class _InOrder(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read in order.

    After every read of a file that it may seek in, soundfile seeks to the place where it is. In an
    MP3 of variable bit rate the decoder then loses what it keeps from one frame to the next.
    """

    def seekable(self) -> bool:
        return False


def go_to(file: soundfile.SoundFile, first: int) -> None:
    """Move to a frame of a file that has just been opened."""
    if not first:
        return
    start = first
    if file.format == "MP3":  # its decoder takes some frames to settle after a seek
        start = max(0, first - _SETTLES * file.samplerate)
    try:
        file.seek(start)
    except soundfile.LibsndfileError:  # as in GSM 6.10
        start = 0
    left = first - start
    while left > 0 and len(block := file.read(min(_BLOCK, left), dtype="float32")):
        left -= len(block)


def open_sound(path: Path) -> soundfile.SoundFile:
    """Open a sound file to read blocks of it.

    Raises
    ------
    AudioError
        If it cannot be read or decoded.
    """
    check_file(path)
    try:
        return _InOrder(_place(path))
    except (TypeError, soundfile.LibsndfileError, RuntimeError) as error:
        raise _undecodable(path, error) from error


def shown_name(path: Path) -> str:
    """Return a path as text; names that are not valid UTF-8 fit neither JSON nor HTML."""
    return str(path).encode("utf-8", "replace").decode("utf-8")


def _place(path: Path) -> str | bytes:
    """Return a path as bytes, since a file name need not be valid UTF-8."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def _undecodable(path: Path, error: Exception) -> AudioError:
    if isinstance(error, TypeError):  # of soundfile, for the ending .raw
        return AudioError(
            f"{path}: samples without a header, which do not say their sampling rate; convert to "
            "WAV first, or give an array and its rate in Python"
        )
    return AudioError(
        f"{path}: not a sound file that can be decoded (WAV, FLAC, Ogg, Opus, MP3, AIFF, ... "
        "can; convert others first)"
    )


class _Silence:
    """Standard error on the null device while any thread decodes an MP3.

    The decoder writes there itself. The first thread redirects it, and the last one restores it.
    """

    def __init__(self) -> None:
        self._lock, self._users, self._kept = threading.Lock(), 0, -1

    def __enter__(self) -> None:
        with self._lock:
            if not self._users and sys.stderr is not None:
                with suppress(OSError):  # it may be closed
                    sys.stderr.flush()
                    self._kept = os.dup(2)
                    with open(os.devnull, "wb") as nowhere:
                        os.dup2(nowhere.fileno(), 2)
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users and self._kept >= 0:
                os.dup2(self._kept, 2)
                os.close(self._kept)
                self._kept = -1


_SILENCE = _Silence()


def quiet_decoder(path: Path) -> AbstractContextManager[None]:
    """Suppress the messages of the MP3 decoder on standard error."""
    return _SILENCE if path.suffix.lower() == ".mp3" else nullcontext()


def _read_blocks(file: soundfile.SoundFile, frames: int, found: Samples) -> bool:
    """Add the blocks that can be decoded, up to ``frames``; return whether all could."""
    left, blocks = frames, list[NDArray[np.float32]]()
    while left > 0:
        try:
            block = file.read(min(_BLOCK, left), dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError):
            break
        if not len(block):
            break
        blocks.append(block)
        left -= len(block)
        if len(blocks) == _ADDED:
            found.add(np.concatenate(blocks))
            blocks = []
    if blocks:
        found.add(np.concatenate(blocks))
    return left <= 0


def span(
    name: str, samples: int, rate: int, start: float | None, end: float | None
) -> tuple[int, int]:
    """Return the first sample of a part of a sound, and the one after the last.

    Raises
    ------
    ParameterError
        If the part is empty.
    """
    for bound in (start, end):
        if bound is not None and not math.isfinite(bound):
            raise ParameterError(f"{name}: start and end are seconds, got {bound}")
    first = round((start or 0.0) * rate)
    last = samples if end is None else min(samples, round(end * rate))
    if first < 0:
        raise ParameterError(f"{name}: start must not be negative, got {start:g} s")
    if end is not None and round(end * rate) <= first:
        raise ParameterError(f"{name}: the part from {start or 0:g} s to {end:g} s is empty")
    if samples and first >= samples:
        raise ParameterError(
            f"{name}: start {start:g} s is after the end of the sound ({samples / rate:.2f} s)"
        )
    return first, last


def past_the_end(end: float | None, last: int, rate: int) -> list[str]:
    """Return a note if a part was to go on after the last sample of the sound."""
    if end is None or end * rate <= last + 1:
        return []
    return [f"end is after the end of the sound: explained up to {last / rate:.2f} s"]
