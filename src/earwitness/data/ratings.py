"""Sounds with scores, such as opinions of listeners: a CSV table, or the list of VCC 2018."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from earwitness.errors import AudioError
from earwitness.files import read_table

_SCORES = ("score", "mos")
_SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Rating:
    """One rated sound.

    Attributes
    ----------
    path : Path
    score : float
    system : str
        What made the sound; empty if not known.
    split : str
        ``train``, ``valid`` or ``test``; empty if not given.
    """

    path: Path
    score: float
    system: str = ""
    split: str = ""


def read_ratings(table: Path, sounds: Path | None = None) -> list[Rating]:
    """Return the rated sounds of a table.

    Parameters
    ----------
    table : Path
        A CSV table with the columns ``filename``, ``score`` (or ``mos``) and, if there are such,
        ``system`` and ``split``; or lines of name and score without headings, as VCC 2018 has
        them: the system is then what stands before the first underscore of a name.
    sounds : Path, optional
        The folder that names are relative to; that of the table by default.

    Raises
    ------
    AudioError
        If it is no such table, or a sound is missing.
    """
    rows = read_table(table, AudioError)
    named = {name.strip().lower(): name for name in (rows[0] if rows else {})}
    score = next((named[one] for one in _SCORES if one in named), None)
    place = table.parent if sounds is None else sounds
    if "filename" not in named or score is None:
        return [_listed(table, place, line, row) for line, row in enumerate(_lines(table), start=1)]
    found = []
    for line, row in enumerate(rows, start=2):
        name, value = row[named["filename"]], row[score]
        system = row[named["system"]] if "system" in named else ""
        split = row[named["split"]].strip() if "split" in named else ""
        if split not in ("", *_SPLITS):
            raise AudioError(f"{table}: line {line}: split is train, valid or test, got {split!r}")
        found.append(_rating(table, place, line, name, value, system, split))
    return found


def _lines(table: Path) -> list[list[str]]:
    text = table.read_bytes().decode("utf-8-sig")  # was read before
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row]


def _listed(table: Path, place: Path, line: int, row: list[str]) -> Rating:
    if len(row) != 2:
        raise AudioError(
            f"{table}: needs the columns filename and score, or lines of a name and a score; line "
            f"{line} has {len(row)} cells"
        )
    return _rating(table, place, line, row[0], row[1], row[0].partition("_")[0], "")


def _rating(
    table: Path, place: Path, line: int, name: str, value: str, system: str, split: str
) -> Rating:
    try:
        score = float(value)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise AudioError(f"{table}: line {line}: a score is a number, got {value!r}")
    path = place / name.strip()
    if not name.strip() or not path.is_file():
        raise AudioError(f"{table}: line {line}: {path} is no file; name the folder of the sounds")
    return Rating(path, score, system.strip(), split)
