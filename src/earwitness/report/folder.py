"""The folder of a report: a folder for each sound and method, and the page."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

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
        self._taken = {"index.html", _RECORD}  # in lower case, as are the folders above them
        self._above: set[str] = set()
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
        if clip not in self._names:
            self._names[clip] = self._new_name(Path(clip), below)
        return self.root / self._names[clip]

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
            write_section(self.root, self._open)
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

    def _new_name(self, clip: Path, below: Path | None) -> str:
        """Return a relative path that neither is nor holds nor lies in another sound's folder."""
        inner = clip.relative_to(below) if below else Path(clip.name)
        parts = [_folder_name(part) for part in (*inner.parent.parts, inner.stem)]
        own = _folder_name((below or clip.parent).absolute().name)

        def free(name: str) -> bool:
            here = PurePosixPath(name.lower())
            lines = {str(one) for one in (here, *here.parents)}
            return str(here) not in self._above and not lines & self._taken

        plain, longer = "/".join(parts), "/".join([own, *parts])
        numbered = (f"{plain}-{number}" for number in itertools.count(2))
        chosen = next(name for name in itertools.chain((plain, longer), numbered) if free(name))
        self._taken.add(chosen.lower())
        self._above |= {str(one) for one in PurePosixPath(chosen.lower()).parents}
        return chosen

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
            above = folder.relative_to(self.root).parents
            for place in (folder, *(self.root / one for one in above)):
                if place != self.root and place.is_dir() and not any(place.iterdir()):
                    place.rmdir()
        (self.root / "index.html").unlink(missing_ok=True)
        record.unlink()


def _folder_name(text: str) -> str:
    name = "".join(c if c.isalnum() or c in "-_. " else "_" for c in text)
    return name.strip(" .")[:80].strip(" .") or "clip"


def _recorded(record: Path) -> list[str]:
    """Return the folders that a run recorded as its own."""
    try:
        facts = json.loads(record.read_text(encoding="utf-8"))
        if facts["schema"] == _SCHEMA and all(isinstance(name, str) for name in facts["own"]):
            return list(facts["own"])
    except (ValueError, KeyError, TypeError):
        pass
    raise OutputError(f"{record}: not a record of earwitness; choose another place with -o")
