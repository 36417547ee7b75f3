"""ESC-50 and its part ESC-10: environmental sounds of five seconds, in five folds."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from earwitness.data.collection import Item, read_table_of
from earwitness.data.sets.registry import Remote, register
from earwitness.errors import AudioError
from earwitness.files import read_table, write_text

_CITATION = (
    "K. J. Piczak. ESC: Dataset for Environmental Sound Classification. Proc. ACM Multimedia, "
    "2015, 1015-1018"
)
_PAGE = "https://github.com/karolpiczak/ESC-50"
_SOURCES = (
    "licence: README of github.com/karolpiczak/ESC-50",
    "address and checksum: soundata/datasets/esc50.py of github.com/soundata/soundata",
)
_REMOTE = Remote(
    "ESC-50-master.zip",
    "https://github.com/karoldvl/ESC-50/archive/master.zip",
    digest="md5:7771e4b9d86d0945acce719c7a59305a",
    top="ESC-50-master",
)
_TABLE = "meta/esc50.csv"


def _is_esc50(folder: Path) -> bool:
    return (folder / _TABLE).is_file()


def _is_esc10(folder: Path) -> bool:
    return (folder / "esc10.csv").is_file()


@register(
    "esc50",
    summary="ESC-50: 2000 environmental sounds of 5 s, 50 classes, 5 folds",
    licence="CC BY-NC 3.0; the part ESC-10 CC BY",
    citation=_CITATION,
    page=_PAGE,
    sources=_SOURCES,
    remotes=(_REMOTE,),
    recognises=_is_esc50,
)
def esc50(folder: Path) -> list[Item]:
    """Return the sounds with their categories and folds."""
    return read_table_of(folder, folder / _TABLE)


def keep_esc10(folder: Path) -> None:
    """Keep the sounds of ESC-10 alone, and write their rows to ``esc10.csv``.

    Raises
    ------
    AudioError
        If the table does not say which sounds these are.
    """
    table = folder / _TABLE
    rows = read_table(table, AudioError)
    wanted = [row for row in rows if row.get("esc10") == "True"]
    if not wanted:
        raise AudioError(f"{table}: no sound is marked as one of ESC-10 (column esc10)")
    names = {row["filename"] for row in wanted}
    for path in (folder / "audio").iterdir():
        if path.name not in names:
            path.unlink()
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(wanted[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(wanted)
    write_text(folder / "esc10.csv", stream.getvalue())
    table.unlink()


@register(
    "esc10",
    summary="ESC-10: 400 of the sounds of ESC-50, 10 classes, 5 folds (the archive is ESC-50's)",
    licence="CC BY",
    citation=_CITATION,
    page=_PAGE,
    sources=_SOURCES,
    remotes=(_REMOTE,),
    recognises=_is_esc10,
    prepare=keep_esc10,
)
def esc10(folder: Path) -> list[Item]:
    """Return the sounds with their categories and folds."""
    return read_table_of(folder, folder / "esc10.csv")
