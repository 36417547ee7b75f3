"""``report.json``: what the explanations of a folder depend on, and which folders are theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from earwitness.errors import OutputError
from earwitness.files import read_record
from earwitness.report.clip import REPORT
from earwitness.report.page import MARK
from earwitness.store import is_ours, own_files

RECORD, PAGE, INPUT = REPORT, "index.html", "input.wav"
FORM = ("title", "models", "note")  # of the page, in the record
SCHEMA = 2  # version of report.json
ELSEWHERE = "choose another place with -o"
_FORMER = 1  # a list of the folders of explanations, each with its own input or beside it
_HEAD = 1024  # bytes at the beginning of a page that hold its mark
_TITLE = "<title>earwitness: explanations of"  # of pages before there was a mark


def read_facts(root: Path, *, overwrite: bool) -> dict[str, Any]:
    """Return the record of a report; whatever it names lies in its folder.

    Parameters
    ----------
    root : Path
        The folder of the report.
    overwrite : bool
        Whether it may be of an earlier version, which can be removed but not gone on with. It has
        ``own`` then, the folders of explanations.

    Raises
    ------
    OutputError
        If it is damaged, or names anything else.
    """
    path, whole = root / RECORD, root.resolve()
    if not path.is_file():
        raise OutputError(f"{root}: holds files that are not a report of earwitness; {ELSEWHERE}")
    try:
        facts = read_record(path, {SCHEMA, _FORMER} if overwrite else {SCHEMA}, OutputError)
        if facts["schema"] == _FORMER:
            if isinstance(facts["own"], list) and all(is_inside(whole, n) for n in facts["own"]):
                return facts
            raise ValueError
        assets = facts.setdefault("assets", "")  # of an earlier version
        form, model = facts.setdefault("form", {}), facts.setdefault("model", None)
        texts = [name in FORM and isinstance(text, str) for name, text in form.items()]
        shown = [model is None or _is_model(model)]
        names = [*facts["sounds"], *facts["parts"], *([assets] if assets else [])]
        inside = [is_inside(whole, name) for name in names]
        paths = [isinstance(sound["path"], str) for sound in facts["sounds"].values()]
        single = ["/" not in part for part in (*facts["parts"], assets)]
        numbers = [isinstance(facts["page"], int), facts["key"] is None or bool(facts["key"])]
        if all((*inside, *paths, *single, *numbers, *texts, *shown)):
            return facts
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise OutputError(f"{path}: not a record of earwitness; {ELSEWHERE}")


def _is_model(facts: dict[str, Any]) -> bool:
    outputs = facts["outputs"]
    texts = isinstance(facts["name"], str) and isinstance(facts["task"], str)
    numbers = isinstance(facts["rate"], int) and isinstance(outputs, int | None)
    return len(facts) == 4 and texts and numbers


def check_page(root: Path) -> None:
    """Raise if something else lies in the place of the page."""
    check_page_at(root / PAGE)


def check_page_at(page: Path) -> None:
    """Raise if anything but a page of earwitness lies at a path."""
    if os.path.lexists(page) and not _is_page(page):
        raise OutputError(f"{page}: not a page of earwitness; {ELSEWHERE}")


def former_files(root: Path, facts: dict[str, Any]) -> Iterator[Path]:
    """Yield the files of explanations that a record of the earlier version names."""
    for folder in (root / name for name in facts["own"]):
        if is_ours(folder):
            yield from (*own_files(folder), folder / INPUT, folder.parent / INPUT)


def is_inside(root: Path, name: Any) -> bool:
    """Return whether a name is a plain path below a folder, also where links lead."""
    plain = isinstance(name, str) and name and "\\" not in name
    parts = PurePosixPath(name).parts if plain else ()
    return bool(
        parts
        and PurePosixPath(name).as_posix() == name
        and not {"..", ".", "/"} & set(parts)
        and not name.startswith("/")
        and (root / name).resolve().is_relative_to(root)
    )


def _is_page(path: Path) -> bool:
    """Return whether a file is a page of a report."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return MARK.encode() in head or _TITLE.encode() in head
