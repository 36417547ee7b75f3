"""Labelled sounds on disk: a CSV table with folds, a folder per class, or a known data set."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from earwitness.clips import find_clips, holds_results
from earwitness.errors import AudioError
from earwitness.files import read_table

_LONGEST_HEAD = 1 << 16  # bytes of the line of headings


@dataclass(frozen=True)
class Item:
    """One labelled sound; ``fold`` is 0 if the collection has no folds.

    ``label`` is the category as it is written; for a classifier of several labels it names all
    that apply, separated by ``;``.
    """

    path: Path
    label: str
    fold: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels of a sound of several."""
        return tuple(dict.fromkeys(one.strip() for one in self.label.split(";") if one.strip()))


def read_collection(folder: Path) -> list[Item]:
    """Return the labelled sounds of a collection.

    Parameters
    ----------
    folder : Path
        With a CSV file of columns ``filename``, ``fold`` and ``category`` (in the folder or in
        ``meta/``; sounds in the folder or in ``audio/``), in the layout of a registered data set
        (``earwitness data list``), or with one sub-folder per class.

    Raises
    ------
    AudioError
        If it has none of these layouts, the data set has no labels, or a sound is missing.
    """
    if not folder.is_dir():
        raise AudioError(f"{folder}: no such folder of labelled sounds")
    if find_table(folder) is None:
        from earwitness.data.sets.registry import DATA_SETS  # its entries import this module

        for data_set in DATA_SETS.all():
            if data_set.recognises(folder):
                if not data_set.labelled:
                    raise AudioError(f"{folder}: {data_set.name} has no labels, only sounds")
                return data_set.read(folder)
    return own_collection(folder)


def own_collection(folder: Path) -> list[Item]:
    """Return the labelled sounds of a folder with a CSV table, or with a sub-folder per class."""
    table = find_table(folder)
    if table is not None:
        return read_table_of(folder, table)
    classes = sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and path.name[0] != "." and not holds_results(path)
    )
    if len(classes) < 2:
        raise AudioError(
            f"{folder}: needs a CSV table with filename and category, or a sub-folder per class "
            "(at least two)"
        )
    return [Item(clip, place.name) for place in classes for clip in find_clips([place])]


def find_table(folder: Path) -> Path | None:
    """Return the first CSV table of labels in a folder or its ``meta``."""
    tables = sorted([*folder.glob("*.csv"), *folder.glob("meta/*.csv")])
    return next((table for table in tables if _is_labels(table)), None)


def read_table_of(folder: Path, table: Path) -> list[Item]:
    """Return the sounds of a CSV table of labels."""
    rows = read_table(table, AudioError)
    return [_item(folder, table, row, k) for k, row in enumerate(rows, start=2)]


def table_labels(folders: Iterable[Path]) -> dict[Path, str]:
    """Return the labels of sounds in those of the folders that have a table, by absolute path."""
    tables = [one for one in folders if one.is_dir() and find_table(one) is not None]
    return {item.path.resolve(): item.label for one in tables for item in read_collection(one)}


def _is_labels(table: Path) -> bool:
    """Return whether the headings are those of a table of labels; other tables are ignored."""
    if not table.is_file():
        return False
    try:
        with table.open("rb") as file:
            head = file.readline(_LONGEST_HEAD).decode("utf-8-sig", "replace")
    except OSError as error:
        raise AudioError(f"{table}: cannot be read ({error.strerror})") from error
    return {"filename", "category"} <= {one.strip().strip('"') for one in head.split(",")}


def _item(folder: Path, table: Path, row: dict[str, str], line: int) -> Item:
    if not row["filename"] or not row["category"]:
        raise AudioError(f"{table}: line {line} has no filename or no category")
    fold = fold_of(table, line, row.get("fold") or "0")
    for path in (folder / "audio" / row["filename"], folder / row["filename"]):
        if os.path.isfile(path):
            return Item(path, row["category"], fold)
    raise AudioError(f"{folder}: {row['filename']} is in the table but not in the folder")


def fold_of(table: Path, line: int, text: str) -> int:
    """Return a fold of a table as a number; raise ``AudioError`` if it is none."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise AudioError(f"{table}: line {line}: a fold is a whole number, got {text!r}")
    return int(text)


def found_in(folder: Path, table: Path, line: int, name: str) -> Path:
    """Return the path of a sound of a table; raise ``AudioError`` if it is not there."""
    path = folder / name
    if not name or not path.is_file():
        raise AudioError(f"{table}: line {line}: {name or 'a sound'} is not in the folder")
    return path
