"""The registry of data sets: a decorator on a function that reads the unpacked folder.

Facts are copied from public sources, which each entry names. What no source states is None, shown
as ``unknown``; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earwitness.data.collection import Item
from earwitness.registry import Registry

Read = Callable[[Path], list[Item]]


@dataclass(frozen=True)
class Remote:
    """A file of a data set.

    Attributes
    ----------
    name : str
        File name; archives end in ``.zip``, ``.tar.gz`` or ``.tar.bz2``.
    url : str
    digest : str or None
        ``md5:`` or ``sha256:`` and hexadecimal digits; None if no source states it.
    size : int or None
        Bytes; None if no source states it.
    top : str
        Folder inside the archive whose content is wanted; all if empty.
    into : str
        Folder of the data set that it is put into; the folder itself if empty.
    """

    name: str
    url: str
    digest: str | None = None
    size: int | None = None
    top: str = ""
    into: str = ""


@dataclass(frozen=True)
class DataSet:
    """A registered data set.

    Attributes
    ----------
    name, summary, licence, citation, page : str
    sources : tuple of str
        Where licence, addresses, sizes and digests were read.
    remotes : tuple of Remote
    labelled : bool
        Whether sounds have labels; if not, ``read`` is not for ``read_collection``.
    recognises : callable
        Whether a folder has its layout.
    read : callable
        The labelled sounds of a folder of this layout; without labels, its sounds.
    prepare : callable or None
        Called with the unpacked folder, before anything is read.
    """

    name: str
    summary: str
    licence: str
    citation: str
    page: str
    sources: tuple[str, ...]
    remotes: tuple[Remote, ...]
    labelled: bool
    recognises: Callable[[Path], bool]
    read: Read
    prepare: Callable[[Path], None] | None = None

    @property
    def size(self) -> int | None:
        """Bytes of all files; None if one is unknown, or there are none."""
        sizes = [remote.size for remote in self.remotes]
        known = [size for size in sizes if size is not None]
        return sum(known) if sizes and len(known) == len(sizes) else None

    def facts(self) -> dict[str, Any]:
        """Return it as plain JSON values; what is not known is ``unknown``."""
        return {
            "name": self.name,
            "summary": self.summary,
            "licence": self.licence,
            "citation": self.citation,
            "page": self.page,
            "size": known(self.size),
            "sources": list(self.sources),
            "files": [
                {"name": r.name, "url": r.url, "size": known(r.size), "checksum": known(r.digest)}
                for r in self.remotes
            ],
        }


DATA_SETS: Registry[DataSet] = Registry("data set", "earwitness.data.sets", "earwitness.data_sets")


def known(value: int | str | None) -> int | str:
    """Return a fact, or ``unknown``."""
    return "unknown" if value is None else value


def register(
    name: str,
    *,
    summary: str,
    licence: str,
    citation: str,
    page: str,
    recognises: Callable[[Path], bool],
    sources: tuple[str, ...] = (),
    remotes: tuple[Remote, ...] = (),
    labelled: bool = True,
    prepare: Callable[[Path], None] | None = None,
) -> Callable[[Read], Read]:
    """Return a decorator that registers a function that reads a folder as a data set."""

    def add(read: Read) -> Read:
        DATA_SETS.add(
            DataSet(name, summary, licence, citation, page, sources, remotes, labelled,
                    recognises, read, prepare)
        )  # fmt: skip
        return read

    return add
