"""The folder of a report: a folder for each sound and method, and the page."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from earwitness.errors import OutputError
from earwitness.explanation import Explanation
from earwitness.files import replacing, write_json
from earwitness.models.model import Model
from earwitness.report.page import write_page
from earwitness.report.sections import SECTION, write_section
from earwitness.store import own_files, save, save_input

_RECORD = "report.json"
_SCHEMA = 1  # version of report.json


@dataclass(frozen=True)
class Entry:
    """The folder, sound and method of one explanation."""

    clip: str
    method: str
    folder: Path


class ReportFolder:
    """A folder to which explanations are added one by one; each is written as a whole.

    Parameters
    ----------
    root : Path
    overwrite : bool
        Whether the results of an earlier run may be replaced. Only files that this run recorded are
        removed.

    Raises
    ------
    OutputError
        If the folder is not empty, or cannot be written.
    """

    def __init__(self, root: Path, *, overwrite: bool) -> None:
        self.root = root
        self.entries: list[Entry] = []
        self._names: dict[str, str] = {}
        self._open: list[tuple[Path, Explanation]] = []
        self._made = False
        self._overwrite = overwrite
        if root.exists() and not root.is_dir():
            raise OutputError(f"{root}: a file, not a folder; choose another place with -o")
        if root.is_dir() and any(root.iterdir()):
            if not overwrite:
                raise OutputError(
                    f"{root}: is not empty; use --overwrite, or choose another place with -o"
                )
            if (root / _RECORD).is_file():
                _recorded(root / _RECORD)
            else:
                raise OutputError(
                    f"{root}: holds files that are not a report of earwitness; choose another "
                    "place with -o"
                )

    def prepare(self) -> None:
        """Make the folder and remove the results of an earlier run."""
        self._made = not self.root.exists()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
            self._clear()
            self._record()
        except OSError as error:
            raise OutputError(
                f"{self.root}: cannot be written ({error.strerror}); choose another place with -o"
            ) from error

    def place_of(self, clip: str) -> Path:
        """Return the folder of a sound, named after its stem; numbered if the name is taken."""
        return self.root / self._name(clip)

    def add(self, explanation: Explanation, place: str | None = None) -> dict[str, Path]:
        """Save one explanation in ``place``, by default its method's name, and return its files.

        Explanations of one sound must be added consecutively.
        """
        clip = self.place_of(explanation.clip)
        if self._open and self._open[0][0].parent != clip:
            self._close()
        if not self._open:
            save_input(clip, explanation.input)
        folder = clip / (place or explanation.method)
        files = save(explanation, folder, overwrite=self._overwrite, own_input=False)
        self._open.append((folder, explanation))
        self.note(explanation.clip, explanation.method, folder)
        return files

    def note(self, clip: str, method: str, folder: Path) -> None:
        """Record an explanation that is already saved."""
        self.entries.append(Entry(clip, method, folder))
        self._record()

    def finish(self, model: Model) -> Path:
        """Write the page of all explanations and return its path."""
        self._close()
        page = self.root / "index.html"
        order = sorted(self.entries, key=lambda entry: self._order[entry.clip])
        try:
            with replacing(page) as partial:
                write_page(partial, self.root, [entry.folder for entry in order], model)
        except OSError as error:
            raise OutputError(f"{page}: cannot be written ({error.strerror})") from error
        return page

    def _close(self) -> None:
        """Write the section of the current sound."""
        if self._open:
            write_section(self._open[0][0].parent, self._open)
        self._open = []

    def discard(self) -> None:
        """Remove the folder if it is empty."""
        (self.root / _RECORD).unlink(missing_ok=True)
        if self._made and self.root.is_dir() and not any(self.root.iterdir()):
            self.root.rmdir()

    @property
    def _order(self) -> dict[str, int]:
        """Position of each sound, in order of first use."""
        return {clip: number for number, clip in enumerate(self._names)}

    def _name(self, clip: str) -> str:
        """Return a folder name for a clip: its stem, numbered if the name is taken."""
        if clip not in self._names:
            stem = "".join(c if c.isalnum() or c in "-_. " else "_" for c in Path(clip).stem)
            stem = stem.strip(" .")[:80] or "clip"
            taken = {name.lower() for name in self._names.values()}
            name, number = stem, 2
            while name.lower() in taken or name in ("index.html", _RECORD):
                name, number = f"{stem}-{number}", number + 1
            self._names[clip] = name
        return self._names[clip]

    def _record(self) -> None:
        own = [os.path.relpath(entry.folder, self.root) for entry in self.entries]
        write_json(self.root / _RECORD, {"schema": _SCHEMA, "own": own})

    def _clear(self) -> None:
        record = self.root / _RECORD
        if not record.is_file():
            return
        for name in _recorded(record):
            folder = self.root / name
            if not folder.resolve().is_relative_to(self.root.resolve()):
                continue
            shared = [folder.parent / "input.wav", folder.parent / SECTION]
            for path in (*own_files(folder), *shared):
                path.unlink(missing_ok=True)
            for place in (folder, folder.parent):
                if place.is_dir() and not any(place.iterdir()):
                    place.rmdir()
        (self.root / "index.html").unlink(missing_ok=True)
        record.unlink()


def _recorded(record: Path) -> list[str]:
    """Return the folders that a run recorded as its own."""
    try:
        facts = json.loads(record.read_text(encoding="utf-8"))
        if facts["schema"] == _SCHEMA and all(isinstance(name, str) for name in facts["own"]):
            return list(facts["own"])
    except (ValueError, KeyError, TypeError):
        pass
    raise OutputError(f"{record}: not a record of earwitness; choose another place with -o")
