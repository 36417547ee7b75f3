"""The folder of a report: a folder for each sound and method, and the page.

``report.json`` records what the explanations depend on (``key``), the folder of every sound with
the digest of its file (``sounds``), and the folders in each of them (``parts``). It is written
before the work begins; what is finished is seen from the explanations themselves.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from earwitness.errors import OutputError
from earwitness.explanation import Explanation
from earwitness.files import digest_of, read_record, replacing, sweep, write_json
from earwitness.models.model import Model
from earwitness.report.clip import anchor
from earwitness.report.page import MARK, Form, write_page
from earwitness.report.sections import SECTION, find_sections, write_section
from earwitness.store import is_ours, own_files, save, save_input

_RECORD, _PAGE, _INPUT = "report.json", "index.html", "input.wav"
_SCHEMA = 2  # version of report.json
_HEAD = 1024  # bytes at the beginning of a page that hold its mark
_ELSEWHERE = "choose another place with -o"


class ReportFolder:
    """A folder to which explanations are added one by one; each is written as a whole.

    Parameters
    ----------
    root : Path
        Held by the caller (``files.held``) from ``prepare`` on.
    overwrite : bool
        Whether to remove the results of earlier runs. Only files of recorded explanations are
        removed.
    key : mapping, optional
        What the explanations depend on, as plain JSON values, with ``methods``. A folder with the
        same key is gone on with; without a key none is.
    difference : callable, optional
        ``difference(there, here)`` says what differs between two keys; empty if nothing does.
    """

    def __init__(
        self,
        root: Path,
        *,
        overwrite: bool,
        key: Mapping[str, Any] | None = None,
        difference: Callable[[Any, Mapping[str, Any]], str] | None = None,
    ) -> None:
        self.root = root
        self._overwrite = overwrite
        self._key, self._difference = key, difference
        self._sounds: dict[str, dict[str, str]] = {}  # by folder, in order of the page
        self._names: dict[str, str] = {}  # folders, by path of the sound
        self._parts: list[str] = []
        self._taken = {_PAGE, _RECORD}  # in lower case, as are the folders above them
        self._above: set[str] = set()
        self._open: list[tuple[Path, Explanation]] = []
        self._made = not root.exists()
        self._shown = 0  # explanations on the page
        self._recorded: dict[str, Any] | None = None  # as it is on disk
        self.page = root / _PAGE

    def prepare(self) -> None:
        """Go on with the results of an earlier run, or remove them.

        Raises
        ------
        OutputError
            If the folder holds anything else, or cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if any(self.root.iterdir()):
                self._take_over()
            self._record()
        except OSError as error:
            raise OutputError(
                f"{self.root}: cannot be written ({error.strerror}); {_ELSEWHERE}"
            ) from error

    def expect(self, clips: Mapping[Path, Path], parts: Iterable[str]) -> list[Path]:
        """Record sounds and the parts that each is to have, and return the sounds' folders.

        Parameters
        ----------
        clips : mapping of Path to Path
            Sounds, each with the folder that was searched for sounds (see ``place_of``).
        parts : iterable of str
            Names of the folders of explanations, in order of the page.

        Raises
        ------
        OutputError
            If a sound has changed since it was explained.
        """
        self._parts = list(dict.fromkeys([*self._parts, *parts]))
        places = [self.place_of(str(clip), below) for clip, below in clips.items()]
        for clip, place in zip(clips, places, strict=True):
            try:
                digest = digest_of([clip])
            except OutputError:  # the reading of it fails too, and says why
                digest = ""
            known = self._sounds[self._names[self._path(str(clip))]]
            if known.get("digest", digest) != digest and self._explained(place):
                raise OutputError(
                    f"{self.root}: holds explanations of another {clip}, which has changed since; "
                    f"use --overwrite, or {_ELSEWHERE}"
                )
            known["digest"] = digest
        self._record()
        return places

    def place_of(self, clip: str, below: Path | None = None) -> Path:
        """Return the folder of a sound, named after its file without the ending.

        Parameters
        ----------
        clip : str
            Path or name of the sound.
        below : Path, optional
            The folder that was searched for sounds; its sub-folders are kept. Of equal names, the
            second one gets the name of its own folder before it, or a number.
        """
        path = self._path(clip)
        if path not in self._names:
            name = self._names[path] = self._new_name(Path(clip), below)
            self._sounds[name] = {"path": path}
        return self.root / self._names[path]

    def add(self, explanation: Explanation, place: str | None = None) -> dict[str, Path]:
        """Save one explanation in ``place``, by default its method's name, and return its files.

        Explanations of one sound must be added consecutively.
        """
        clip = self.place_of(explanation.clip)
        if self._open and self._open[0][0].parent != clip:
            self._close()
        part = place or explanation.method
        self._parts = list(dict.fromkeys([*self._parts, part]))
        self._record()
        files = save(explanation, clip / part, overwrite=self._overwrite, own_input=False)
        if not self._open:
            save_input(clip, explanation.input)
        self._open.append((clip / part, explanation))
        return files

    def parts(self, place: Path) -> tuple[str, ...]:
        """Return the names of the explanations of a sound that are there, in order of the page."""
        return tuple(folder.name for folder in self._explained(place))

    def shown(self) -> set[Path]:
        """Return the folders of the sounds that are on the page or have a section for it."""
        there = find_sections(self.page)
        places = [self.root / name for name in self._sounds]
        return {p for p in places if anchor(self.root, p) in there or (p / SECTION).is_file()}

    @property
    def explained(self) -> list[Path]:
        """The folders of all explanations that are there, in order of the page."""
        return [one for name in self._sounds for one in self._explained(self.root / name)]

    @property
    def complete(self) -> bool:
        """Whether a page was written of all explanations that are there."""
        return len(self.explained) == self._shown and self.page.is_file()

    def finish(self, model: Model, *, on_missing: Callable[[str], None] | None = None) -> Path:
        """Write the page of all explanations and return its path.

        Parameters
        ----------
        on_missing : callable, optional
            Called with a line on each explanation that cannot be read; the page is without it.
        """
        self._close()
        folders = self.explained
        try:
            with replacing(self.page) as partial:
                write_page(
                    partial, self.root, folders, model, Form(), former=(self.page, ""),
                    on_missing=on_missing,
                )  # fmt: skip
            for folder in folders:
                (folder.parent / SECTION).unlink(missing_ok=True)
            self._shown = len(folders)
            self._record()
        except OSError as error:
            raise OutputError(f"{self.page}: cannot be written ({error.strerror})") from error
        return self.page

    def discard(self) -> None:
        """Remove the folder if nothing but the record is in it."""
        for name in self._sounds:
            self._prune(self.root / name)
        if [path.name for path in self.root.iterdir()] == [_RECORD]:
            (self.root / _RECORD).unlink()
            if self._made:
                self.root.rmdir()

    def _close(self) -> None:
        """Write the section of the current sound."""
        if self._open:
            write_section(self.root, self._open)
        self._open = []

    def _explained(self, place: Path) -> list[Path]:
        """Return the folders in which explanations of a sound lie, in order of the page."""
        return [place / part for part in self._parts if is_ours(place / part)]

    def _path(self, clip: str) -> str:
        """Return the path of a sound from the folder of the report, wherever the command runs."""
        path = os.path.abspath(clip)
        try:
            return os.path.relpath(path, os.path.abspath(self.root)).replace(os.sep, "/")
        except ValueError:  # on another drive
            return path

    def _new_name(self, clip: Path, below: Path | None) -> str:
        """Return a relative path that neither is nor holds nor lies in another sound's folder."""
        inner = clip.relative_to(below) if below else Path(clip.name)
        parts = [_folder_name(part) for part in (*inner.parent.parts, inner.stem)]
        own = _folder_name((below or clip.parent).absolute().name)

        def free(name: str) -> bool:
            here = PurePosixPath(name.lower())
            lines = {str(one) for one in (here, *here.parents)}
            if str(here) in self._above or lines & self._taken:
                return False
            place = self.root / name  # an input there is somebody else's
            return not os.path.isfile(place) and not os.path.lexists(place / _INPUT)

        plain, longer = "/".join(parts), "/".join([own, *parts])
        numbered = (f"{plain}-{number}" for number in itertools.count(2))
        chosen = next(name for name in itertools.chain((plain, longer), numbered) if free(name))
        self._take(chosen)
        return chosen

    def _take(self, name: str) -> None:
        self._taken.add(name.lower())
        self._above |= {str(one) for one in PurePosixPath(name.lower()).parents}

    def _record(self) -> None:
        facts = {"key": self._key, "parts": self._parts, "sounds": self._sounds}
        whole = {"schema": _SCHEMA, **facts, "page": self._shown}
        if whole != self._recorded:
            write_json(self.root / _RECORD, whole)
            self._recorded = json.loads(json.dumps(whole))

    def _take_over(self) -> None:
        """Remove what the record names, or go on with it."""
        if not (self.root / _RECORD).is_file():
            raise OutputError(
                f"{self.root}: holds files that are not a report of earwitness; {_ELSEWHERE}"
            )
        facts = _recorded(self.root)
        if os.path.lexists(self.page) and not _is_page(self.page):
            raise OutputError(f"{self.page}: not a page of earwitness; {_ELSEWHERE}")
        if not self._overwrite:
            self._compare(facts["key"])
        for name in facts["sounds"]:
            sweep(self.root / name)
        if self._overwrite:
            self._clear(facts["sounds"], facts["parts"])
            return
        self._recorded = json.loads(json.dumps(facts))
        self._sounds, self._parts, self._shown = facts["sounds"], facts["parts"], facts["page"]
        for name, sound in self._sounds.items():
            self._names[sound["path"]] = name
            self._take(name)

    def _compare(self, there: Any) -> None:
        """Raise unless the explanations there depend on the same as those of this run."""
        if self._key is None or self._difference is None or there is None:
            raise OutputError(f"{self.root}: is not empty; use --overwrite, or {_ELSEWHERE}")
        try:
            other = self._difference(there, self._key)
        except (AttributeError, KeyError, TypeError):
            other = "a damaged record"
        if other:
            raise OutputError(
                f"{self.root}: holds explanations with {other}; use --overwrite, or {_ELSEWHERE}"
            )
        self._key = {**self._key, "methods": {**there["methods"], **self._key["methods"]}}

    def _clear(self, sounds: Iterable[str], parts: Iterable[str]) -> None:
        for place in (self.root / name for name in sounds):
            own = [place / part for part in parts if is_ours(place / part)]
            files = [path for folder in own for path in own_files(folder)]
            for path in (*files, *([place / _INPUT, place / SECTION] if own else [])):
                path.unlink(missing_ok=True)
            for part in parts:
                self._prune(place / part)
            self._prune(place)
        self.page.unlink(missing_ok=True)

    def _prune(self, folder: Path) -> None:
        """Remove a folder and those around it, up to the root, while they are empty."""
        while folder != self.root and not os.path.islink(folder):
            if folder.is_dir():
                if any(folder.iterdir()):
                    return
                folder.rmdir()
            folder = folder.parent


def _folder_name(text: str) -> str:
    name = "".join(c if c.isalnum() or c in "-_. " else "_" for c in text)
    return name.strip(" .")[:80].strip(" .") or "clip"


def _is_page(path: Path) -> bool:
    """Return whether a file is a page of a report."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return MARK.encode() in file.read(_HEAD)


def _recorded(root: Path) -> dict[str, Any]:
    """Return the record of a report; whatever it names lies in its folder.

    Raises
    ------
    OutputError
        If it is damaged, or names anything else.
    """
    path, whole = root / _RECORD, root.resolve()
    try:
        facts = read_record(path, {_SCHEMA}, OutputError)
        names = [*facts["sounds"], *facts["parts"]]
        inside = [_is_inside(whole, name) for name in names]
        paths = [isinstance(sound["path"], str) for sound in facts["sounds"].values()]
        single = ["/" not in part for part in facts["parts"]]
        numbers = [isinstance(facts["page"], int), facts["key"] is None or bool(facts["key"])]
        if all((*inside, *paths, *single, *numbers)):
            return facts
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise OutputError(f"{path}: not a record of earwitness; {_ELSEWHERE}")


def _is_inside(root: Path, name: str) -> bool:
    """Return whether a name is a plain path below a folder, also where links lead."""
    plain = name and "\\" not in name and PurePosixPath(name).as_posix() == name
    parts = PurePosixPath(name).parts
    return bool(
        plain
        and parts
        and not {"..", ".", "/"} & set(parts)
        and not name.startswith("/")
        and (root / name).resolve().is_relative_to(root)
    )
