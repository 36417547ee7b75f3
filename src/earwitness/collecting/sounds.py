"""Sounds as they are given in Python: one, a list, a folder, a table with a column of paths."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from io import IOBase
from numbers import Real
from pathlib import Path
from typing import Any

from torch import Tensor

from earwitness.audio import as_audio
from earwitness.clips import SUFFIXES, UNDECODED, find_with_roots
from earwitness.errors import AudioError, EarwitnessError, ParameterError, unforeseen
from earwitness.files import folder_name, reachable, replacing
from earwitness.types import Audio
from earwitness.wav import wav_bytes

SOUNDS = "sounds"  # folder of arrays, in a folder of results
_UNNAMED = Audio.name  # of sounds that have no name of their own


@dataclass(frozen=True)
class Sound:
    """One sound of several.

    Attributes
    ----------
    clip : Path or Audio
    root : Path
        The folder that was searched for it, or that it lies in.
    """

    clip: Path | Audio
    root: Path = Path()

    @property
    def name(self) -> str:
        """Its path or name."""
        return self.clip.name if isinstance(self.clip, Audio) else str(self.clip)


def is_single(given: object) -> bool:
    """Return whether what is given is one sound: a file, an ``Audio``, samples."""
    if isinstance(given, str | os.PathLike):
        return not reachable(given, AudioError).is_dir()
    if isinstance(given, tuple):
        several = (str, os.PathLike, Audio, Mapping, tuple)
        return len(given) == 2 and (
            _numeric(given[0]) or not any(isinstance(one, several) for one in given)
        )
    return isinstance(given, Audio | Mapping) or not isinstance(given, Iterable) or _numeric(given)


def _numeric(given: object) -> bool:
    """Whether they are samples that were given without their rate, or bytes: not several sounds."""
    if isinstance(given, Sequence) and len(given):
        return isinstance(given[0], Real)
    kind = getattr(getattr(given, "dtype", None), "kind", "")
    return isinstance(given, Tensor | IOBase) or kind in tuple("biuf")


def read_sounds(given: Any, column: str | None, on_failure: Callable[[str], None]) -> list[Sound]:
    """Return the sounds of a collection; those that are no sounds are told and left out.

    Parameters
    ----------
    given : path, DataFrame or iterable
        A folder, a pandas DataFrame, or any of what ``explain`` takes as a sound.
    column : str or None
        Of the DataFrame, with the paths; found by its content if None.
    on_failure : callable
        Called with a line on each that is no sound.

    Raises
    ------
    ParameterError
        If there is no such column, or none or several could be meant.
    """
    if hasattr(given, "columns") and hasattr(given, "iloc"):
        given = list(given[_column_of(given, column)])
    elif column is not None:
        raise ParameterError(
            f"column names a column of a pandas DataFrame, and sounds is a {type(given).__name__}"
        )
    whole = [given] if is_single(given) or isinstance(given, str | os.PathLike) else list(given)
    found: list[Sound] = []
    named: Counter[str] = Counter()
    for number, one in enumerate(whole, start=1):
        if isinstance(one, str | os.PathLike):
            found += [Sound(*pair) for pair in find_with_roots([one], on_failure).items()]
            continue
        name = f"{_UNNAMED}-{number}"
        try:
            audio = as_audio(one, name=name)
        except EarwitnessError as error:
            text = str(error)
            on_failure(text if text.startswith(name) else f"{name}: {text}")
        except Exception as error:  # of this one; the others are still to come
            on_failure(f"{name}: {unforeseen(error)}")
        else:
            plain = name if audio.name == _UNNAMED else audio.name
            named[plain] += 1
            again = named[plain]
            found.append(Sound(replace(audio, name=plain if again == 1 else f"{plain} ({again})")))
    return found


def on_disk(sound: Sound, folder: Path) -> Sound:
    """Return a sound that lies in a file: samples are written to a folder of results.

    The name of the file depends on the content, so that the same samples are the same sound.
    """
    if isinstance(sound.clip, Path):
        return sound
    data = wav_bytes(sound.clip.samples, sound.clip.rate)
    digest = blake2b(data, digest_size=4).hexdigest()
    place = folder / SOUNDS
    path = place / f"{folder_name(Path(sound.clip.name).stem)}-{digest}.wav"
    if not path.is_file():
        place.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(data)
    return Sound(path, place)


def _column_of(table: Any, column: str | None) -> Any:
    names = [str(name) for name in table.columns]
    known = ", ".join(names) or "none"
    if column is not None:
        if column in table.columns:  # of a number, perhaps
            return column
        if column not in names:
            raise ParameterError(f"the table has no column {column!r}; it has {known}")
        return column
    meant = [name for name in table.columns if len(table) and _is_sound(table[name].iloc[0])]
    if len(meant) != 1:
        which = "several columns" if meant else "no column"
        raise ParameterError(
            f"{which} of the table could be the paths of sounds; say which with column= (it has "
            f"{known})"
        )
    return meant[0]


def _is_sound(cell: object) -> bool:
    if isinstance(cell, str | os.PathLike):
        return Path(cell).suffix.lower() in SUFFIXES | UNDECODED
    return isinstance(cell, Audio) or (isinstance(cell, Mapping) and "array" in cell)
