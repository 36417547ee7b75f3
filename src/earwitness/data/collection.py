"""Labelled sounds on disk: a CSV table with folds (layout of ESC-50), or a folder per class."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from earwitness.audio import find_clips
from earwitness.errors import AudioError


@dataclass(frozen=True)
class Item:
    """One labelled sound; ``fold`` is 0 if the collection has no folds."""

    path: Path
    label: str
    fold: int = 0


def read_collection(folder: Path) -> list[Item]:
    """Return the labelled sounds of a collection.

    Parameters
    ----------
    folder : Path
        With a CSV file of columns ``filename``, ``fold`` and ``category`` (in the folder or in
        ``meta/``; sounds in the folder or in ``audio/``), or with one sub-folder per class.

    Raises
    ------
    AudioError
        If it has neither layout, or a sound of the table is missing.
    """
    if not folder.is_dir():
        raise AudioError(f"{folder}: no such folder of labelled sounds")
    for table in sorted([*folder.glob("*.csv"), *folder.glob("meta/*.csv")]):
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if rows and {"filename", "category"} <= rows[0].keys():
            return [_item(folder, row) for row in rows]
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    if len(classes) < 2:
        raise AudioError(
            f"{folder}: needs a CSV table with filename and category, or a sub-folder per class "
            "(at least two)"
        )
    return [Item(clip, place.name) for place in classes for clip in find_clips([place])]


def _item(folder: Path, row: dict[str, str]) -> Item:
    for path in (folder / "audio" / row["filename"], folder / row["filename"]):
        if path.is_file():
            return Item(path, row["category"], int(row.get("fold") or 0))
    raise AudioError(f"{folder}: {row['filename']} is in the table but not in the folder")
