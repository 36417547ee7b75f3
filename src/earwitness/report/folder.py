"""The folder of a report: one place per sound and method, and the page over them."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from earwitness.errors import OutputError
from earwitness.explanation import Explanation, files_in
from earwitness.models.model import Model
from earwitness.report.page import write_page

_RECORD = "report.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Entry:
    """Where one explanation lies, and what it is about."""

    clip: str
    method: str
    folder: Path


class ReportFolder:
    """A folder that is filled explanation by explanation; what is in it is always whole.

    Parameters
    ----------
    root : Path
    overwrite : bool
        Whether the results of an earlier run may be replaced. Only what that run recorded as its
        own is ever removed.

    Raises
    ------
    OutputError
        If the folder holds something, or cannot be written.
    """

    def __init__(self, root: Path, *, overwrite: bool) -> None:
        self.root = root
        self.entries: list[Entry] = []
        self._names: dict[str, str] = {}
        self._made = False
        self._overwrite = overwrite
        if root.exists() and not root.is_dir():
            raise OutputError(f"{root}: a file, not a folder; choose another place with -o")
        if root.is_dir() and any(root.iterdir()):
            if not overwrite:
                raise OutputError(
                    f"{root}: holds something already; say --overwrite, or choose another place "
                    "with -o"
                )
            if (root / _RECORD).is_file():
                _recorded(root / _RECORD)
            else:
                raise OutputError(
                    f"{root}: holds something that is no report of earwitness; choose another "
                    "place with -o"
                )

    def prepare(self) -> None:
        """Make the folder and remove what an earlier run left there."""
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

    def add(self, explanation: Explanation, place: str | None = None) -> dict[str, Path]:
        """Save one explanation and return its files; its place is called as its method if None."""
        name = self._name(explanation.clip)
        folder = self.root / name / (place or explanation.method)
        files = explanation.save(folder, overwrite=self._overwrite)
        self.entries.append(Entry(explanation.clip, explanation.method, folder))
        self._record()
        return files

    def finish(self, model: Model) -> Path:
        """Write the page over everything that was added and return its path."""
        page = self.root / "index.html"
        partial = self.root / ".index.html.partial"
        try:
            write_page(partial, self.root, [entry.folder for entry in self.entries], model)
            partial.replace(page)
        except OSError as error:
            raise OutputError(f"{page}: cannot be written ({error.strerror})") from error
        finally:
            partial.unlink(missing_ok=True)
        return page

    def discard(self) -> None:
        """Remove the folder again if nothing came into it."""
        (self.root / _RECORD).unlink(missing_ok=True)
        if self._made and self.root.is_dir() and not any(self.root.iterdir()):
            self.root.rmdir()

    def _name(self, clip: str) -> str:
        """Return a folder name for a clip: its stem, numbered if another clip has it."""
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
        partial = self.root / f".{_RECORD}.partial"
        partial.write_text(json.dumps({"schema": _SCHEMA, "own": own}), encoding="utf-8")
        partial.replace(self.root / _RECORD)

    def _clear(self) -> None:
        record = self.root / _RECORD
        if not record.is_file():
            return
        for name in _recorded(record):
            folder = self.root / name
            if not folder.resolve().is_relative_to(self.root.resolve()):
                continue
            for path in files_in(folder).values():
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
