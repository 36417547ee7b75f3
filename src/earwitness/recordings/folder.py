"""The folder of a scan: a folder for each recording, in it one for each explained event, a page.

``scan.json`` records what the scores and explanations depend on (``key``), the folder of every
recording with the digest of its file, and the folders of events. It is written before the work
begins; what is finished is seen from the scores and explanations themselves.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from earwitness.audio import shown_name
from earwitness.errors import OutputError
from earwitness.files import SetAside, digest_of, folder_name, read_record, sweep, write_json
from earwitness.jobs.resuming import difference
from earwitness.recordings.explaining import CLIP
from earwitness.recordings.scoring import FACTS, LEVELS, SCORES
from earwitness.recordings.tables import (
    AUDACITY,
    BIRDNET,
    EVENTS,
    RAVEN,
    SCORES_CSV,
    SCORES_JSONL,
    SCORES_PARQUET,
    Place,
    Tables,
)
from earwitness.report.record import ELSEWHERE, INPUT, PAGE, check_page, is_inside
from earwitness.report.sections import SECTION
from earwitness.store import is_ours, own_files

RECORD = "scan.json"
_SCHEMA = 1
_OF_RECORDING = (
    *(SCORES, LEVELS, FACTS, RAVEN, AUDACITY, BIRDNET),
    *(SCORES_CSV, SCORES_JSONL, SCORES_PARQUET),
)
_RESERVED = {name.lower() for name in (RECORD, PAGE, EVENTS, *_OF_RECORDING)}


class ScanFolder:
    """A folder of scores and explained events.

    Parameters
    ----------
    root : Path
        Held by the caller (``files.held``).
    key : mapping
        What scores and explanations depend on besides the recordings.
    overwrite : bool
        Whether to replace the results of an earlier scan, when there is a page of new ones.
    """

    def __init__(self, root: Path, key: Mapping[str, Any], *, overwrite: bool) -> None:
        self.root, self._key, self._overwrite = root, dict(key), overwrite
        self._recordings: dict[str, dict[str, str]] = {}  # by folder
        self._events: list[str] = []
        self.tables = Tables(root)
        self.page = root / PAGE
        self._earlier = SetAside(root)

    def prepare(self) -> None:
        """Go on with an earlier scan, or set it aside.

        Raises
        ------
        OutputError
            If the folder holds anything else, or a scan that depends on something else.
        """
        path = self.root / RECORD
        if self._earlier and not self._any_scored():  # a killed scan made nothing
            self._earlier.restore()
        if not any(self.root.iterdir()):
            return
        if not path.is_file():
            raise OutputError(f"{self.root}: holds files that are not a scan; {ELSEWHERE}")
        facts = self._read()
        recordings, events = facts["recordings"], facts["events"]
        check_page(self.root)
        self.tables.written.update(facts.get("tables", {}))
        if self._overwrite:
            self._earlier.drop()
            for name in list(self.tables.written):
                self.tables.keep(self.root / name)
            self._earlier.take(path)  # first: without it a killed scan is undone
            self._clear(recordings, events)
            return
        other = self._difference(facts["key"])
        if other:
            raise OutputError(
                f"{self.root}: holds a scan with {other}; use --overwrite, or {ELSEWHERE}"
            )
        self._key["methods"] = {**facts["key"]["methods"], **self._key["methods"]}
        self._recordings, self._events = recordings, events

    def places(self, recordings: Mapping[Path, Path]) -> list[Place]:
        """Return the places of recordings, each given with the folder that was searched.

        Raises
        ------
        OutputError
            If a recording has changed since it was scored.
        """
        known = {facts["path"]: name for name, facts in self._recordings.items()}
        found = []
        for path, name in self._names(recordings, known).items():
            try:
                digest = digest_of([path])
            except OutputError:  # the reading of it fails too, and says why
                digest = ""
            there = self._recordings.setdefault(name, {"path": self._path(path), "digest": digest})
            folder = self.root / name
            if there["digest"] != digest and (folder / SCORES).is_file():
                raise OutputError(
                    f"{self.root}: holds the scores of another {path}, which has changed since; "
                    f"use --overwrite, or {ELSEWHERE}"
                )
            there["digest"] = digest
            shown = PurePosixPath(name).parent / shown_name(Path(path.name))
            found.append(Place(path, shown.as_posix(), folder))
            sweep(folder)
        self.record()
        return found

    def expect(self, events: Iterable[Path]) -> None:
        """Record the folders of the events that are going to be explained."""
        names = [one.relative_to(self.root).as_posix() for one in events]
        self._events = list(dict.fromkeys([*self._events, *names]))
        self.record()
        for name in names:
            sweep(self.root / name)

    def record(self) -> None:
        """Write the record."""
        facts = {"key": self._key, "recordings": self._recordings, "events": self._events,
                 "tables": self.tables.written}  # fmt: skip
        write_json(self.root / RECORD, {"schema": _SCHEMA, **facts})

    def finish(self) -> None:
        """Record the tables, and remove the earlier scan, which was set aside."""
        self.record()
        self._earlier.drop()

    def discard(self) -> None:
        """Put an earlier scan back, if one was set aside."""
        if self._earlier:
            self._earlier.restore()

    def _any_scored(self) -> bool:
        """Whether the record there names a recording whose scores are there."""
        if not (self.root / RECORD).is_file():
            return False
        scores = [self.root / name / SCORES for name in self._read()["recordings"]]
        return any(path.is_file() and path.stat().st_size for path in scores)

    def _read(self) -> dict[str, Any]:
        path = self.root / RECORD
        try:
            facts = read_record(path, {_SCHEMA}, OutputError)
            recordings, events = facts["recordings"], facts["events"]
            names = (*recordings, *events, *facts.get("tables", {}))
            own = all(is_inside(self.root.resolve(), name) for name in names)
            if not own or not all(isinstance(r["path"], str) for r in recordings.values()):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise OutputError(f"{path}: not a record of a scan; {ELSEWHERE}") from None
        return facts

    def _difference(self, there: Any) -> str:
        """Return what differs between an earlier scan's key and this one's, in words."""
        try:
            for name, value in self._key["cut"].items():
                if there["cut"][name] != value:
                    return f"{name} {there['cut'][name]:g} s, not {value:g} s"
            return difference(there, self._key)
        except (AttributeError, KeyError, TypeError):
            return "a damaged record"

    def _path(self, recording: Path) -> str:
        """Return the path of a recording from this folder, wherever the command runs."""
        path = os.path.abspath(recording)
        try:
            found = os.path.relpath(path, os.path.abspath(self.root)).replace(os.sep, "/")
        except ValueError:  # on another drive
            found = path
        return shown_name(Path(found))

    def _names(self, recordings: Mapping[Path, Path], known: Mapping[str, str]) -> dict[Path, str]:
        """Return the folders of recordings; equal names get the name of their folder before."""
        plain = {path: _inner(path, below) for path, below in recordings.items()}
        count = Counter(name.lower() for name in plain.values())
        taken = {name.lower() for name in known.values()}
        found = {}
        for path, name in plain.items():
            there = known.get(self._path(path))
            if there is None:
                if count[name.lower()] > 1:
                    above = folder_name(recordings[path].absolute().name)
                    name = f"{above}/{name}"
                there, number = name, 1
                while there.lower() in taken or there.lower().split("/")[-1] in _RESERVED:
                    number += 1
                    there = f"{name}-{number}"
                taken.add(there.lower())
            found[path] = there
        return found

    def _clear(self, recordings: Iterable[str], events: Iterable[str]) -> None:
        """Set aside what a scan wrote, and remove the folders that are empty then."""
        for place in (self.root / name for name in events):
            for folder in place.iterdir() if place.is_dir() else ():
                if is_ours(folder):
                    self._set_aside(own_files(folder))
                    _prune(folder, self.root)
            self._set_aside(place / name for name in (INPUT, CLIP, SECTION))
            _prune(place, self.root)
        for place in (self.root / name for name in recordings):
            self._set_aside(place / name for name in _OF_RECORDING)
            _prune(place, self.root)
        self._set_aside(self.root / name for name in (PAGE, EVENTS))

    def _set_aside(self, files: Iterable[Path]) -> None:
        for path in list(files):
            self._earlier.take(path)


def _inner(path: Path, below: Path) -> str:
    inner = path.relative_to(below)
    return "/".join(folder_name(part) for part in (*inner.parent.parts, inner.stem))


def _prune(folder: Path, root: Path) -> None:
    """Remove a folder and those around it, up to the root, while they are empty."""
    while folder != root and folder.is_dir() and not folder.is_symlink():
        if any(folder.iterdir()):
            return
        folder.rmdir()
        folder = folder.parent
