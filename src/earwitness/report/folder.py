"""The folder of a report: a folder for each sound and method, and the page.

``report.json`` records what the explanations depend on (``key``), the folder of every sound with
the digest of its file (``sounds``), and the folders in each of them (``parts``). It is written
before the work begins; what is finished is seen from the explanations themselves.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from earwitness.errors import OutputError
from earwitness.explanation import Explanation
from earwitness.files import SetAside, digest_of, folder_name, replacing, sweep, write_json
from earwitness.models.model import Model
from earwitness.report.clip import anchor
from earwitness.report.page import Form, ModelFacts, write_page
from earwitness.report.record import (
    ELSEWHERE,
    FORM,
    INPUT,
    PAGE,
    RECORD,
    SCHEMA,
    check_page,
    former_files,
    read_facts,
)
from earwitness.report.sections import SECTION, asset_name, find_sections, write_section
from earwitness.store import is_ours, own_files, save, save_input

_ASSETS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")  # a name that needs no escapes in a URL


class ReportFolder:
    """A folder to which explanations are added one by one; each is written as a whole.

    Parameters
    ----------
    root : Path
        Held by the caller (``files.held``) from ``prepare`` on.
    overwrite : bool
        Whether to replace the results of earlier runs. Only files of recorded explanations are
        removed, when there is a page of new ones.
    key : mapping, optional
        What the explanations depend on, as plain JSON values, with ``methods``. A folder with the
        same key is gone on with; without a key none is.
    form : Form, optional
        How the page holds the sounds.
    difference : callable, optional
        ``difference(there, here)`` says what differs between two keys; empty if nothing does.
    """

    def __init__(
        self,
        root: Path,
        *,
        overwrite: bool,
        key: Mapping[str, Any] | None = None,
        form: Form | None = None,
        difference: Callable[[Any, Mapping[str, Any]], str] | None = None,
    ) -> None:
        self.root, self.form = root, form or Form()
        if self.form.assets and not _ASSETS.fullmatch(self.form.assets):
            raise OutputError(
                f"assets go to a folder beside the page, named by letters, digits, - and _; got "
                f"{self.form.assets!r}"
            )
        self._overwrite = overwrite
        self._key, self._difference = key, difference
        self._sounds: dict[str, dict[str, str]] = {}  # by folder, in order of the page
        self._names: dict[str, str] = {}  # folders, by path of the sound
        self._parts: list[str] = []
        # in lower case, as are the folders above them
        self._taken = {PAGE, RECORD, *filter(None, [self.form.assets.lower()])}
        self._above: set[str] = set()
        self._open: list[tuple[Path, Explanation]] = []
        self._made = not root.exists()
        self._shown = 0  # explanations on the page
        self._assets = ""  # folder of the page's data
        self._recorded: dict[str, Any] | None = None  # as it is on disk
        self.model: ModelFacts | None = None
        self.page = root / PAGE
        self._earlier = SetAside(root)

    @classmethod
    def reopened(cls, root: Path) -> ReportFolder:
        """Return the report in a folder, as its record says, to write its page once more.

        Raises
        ------
        OutputError
            If there is none.
        """
        facts = read_facts(root, overwrite=False)
        check_page(root)
        key = facts["key"] or {}
        form = Form(facts["assets"], key.get("audio", True), key.get("data", ""), **facts["form"])
        found = cls(root, overwrite=False, key=facts["key"], form=form)
        found._adopt(facts)
        return found

    def prepare(self) -> None:
        """Go on with the results of an earlier run, or set them aside.

        Raises
        ------
        OutputError
            If the folder holds anything else, or cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if self._earlier and not self._any_explained():  # a killed run made nothing
                self._earlier.restore()
            if any(self.root.iterdir()):
                self._take_over()
            self._record()
        except OSError as error:
            raise OutputError(
                f"{self.root}: cannot be written ({error.strerror}); {ELSEWHERE}"
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
                    f"use --overwrite, or {ELSEWHERE}"
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
        audio = self.form.audio
        files = save(
            explanation, clip / part, overwrite=self._overwrite, own_input=False, audio=audio
        )
        if not self._open and audio:
            save_input(clip, explanation.input)
        self._open.append((clip / part, explanation))
        return files

    def parts(self, place: Path) -> tuple[str, ...]:
        """Return the names of the explanations of a sound that are there, in order of the page."""
        return tuple(folder.name for folder in self._explained(place))

    def shown(self) -> set[Path]:
        """Return the folders of the sounds that are on the page or have a section for it."""
        there = find_sections(self.page, self.root / self._assets if self._assets else None)
        places = [self.root / name for name in self._sounds]
        return {p for p in places if anchor(self.root, p) in there or (p / SECTION).is_file()}

    @property
    def explained(self) -> list[Path]:
        """The folders of all explanations that are there, in order of the page."""
        return [one for name in self._sounds for one in self._explained(self.root / name)]

    @property
    def complete(self) -> bool:
        """Whether a page was written of all explanations that are there, in this form."""
        whole = len(self.explained) == self._shown and self.page.is_file()
        return whole and self._assets == self.form.assets

    def finish(
        self, model: Model | ModelFacts, *, on_missing: Callable[[str], None] | None = None
    ) -> Path:
        """Write the page of all explanations and return its path.

        Parameters
        ----------
        model : Model or ModelFacts
            The explained model.
        on_missing : callable, optional
            Called with a line on each explanation that cannot be read; the page is without it.
        """
        self._close()
        self.model = ModelFacts.of(model) if isinstance(model, Model) else model
        folders = self.explained
        try:
            with replacing(self.page) as partial:
                write_page(
                    partial, self.root, folders, model, self.form,
                    former=(self.page, self._assets), on_missing=on_missing,
                )  # fmt: skip
            former, self._assets, self._shown = self._assets, self.form.assets, len(folders)
            self._record()
            for folder in folders:
                (folder.parent / SECTION).unlink(missing_ok=True)
            if former != self._assets:
                self._clear_assets(former, self._sounds)
            self._earlier.drop()
        except OSError as error:
            raise OutputError(f"{self.page}: cannot be written ({error.strerror})") from error
        return self.page

    def discard(self) -> None:
        """Put earlier results back if there are no new ones; remove the folder if it is empty."""
        for name in self._sounds:
            self._prune(self.root / name)
        if self._earlier and not self.explained:
            self._earlier.restore()
        if [path.name for path in self.root.iterdir()] == [RECORD]:
            (self.root / RECORD).unlink()
            if self._made:
                self.root.rmdir()

    def _close(self) -> None:
        """Write the section of the current sound."""
        if self._open:
            form = self.form
            write_section(self.root, self._open, audio=form.audio, data=form.data)
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
        parts = [folder_name(part) for part in (*inner.parent.parts, inner.stem)]
        own = folder_name((below or clip.parent).absolute().name)

        def free(name: str) -> bool:
            here = PurePosixPath(name.lower())
            lines = {str(one) for one in (here, *here.parents)}
            if str(here) in self._above or lines & self._taken:
                return False
            place = self.root / name  # an input there is somebody else's
            return not os.path.isfile(place) and not os.path.lexists(place / INPUT)

        plain, longer = "/".join(parts), "/".join([own, *parts])
        numbered = (f"{plain}-{number}" for number in itertools.count(2))
        chosen = next(name for name in itertools.chain((plain, longer), numbered) if free(name))
        self._take(chosen)
        return chosen

    def _take(self, name: str) -> None:
        self._taken.add(name.lower())
        self._above |= {str(one) for one in PurePosixPath(name.lower()).parents}

    def _record(self) -> None:
        facts: dict[str, Any] = {"key": self._key, "parts": self._parts, "sounds": self._sounds}
        form = {name: getattr(self.form, name) for name in FORM}
        model = None if self.model is None else asdict(self.model)
        facts |= {"page": self._shown, "assets": self._assets, "form": form, "model": model}
        whole = {"schema": SCHEMA, **facts}
        if whole != self._recorded:
            write_json(self.root / RECORD, whole)
            self._recorded = json.loads(json.dumps(whole))

    def _take_over(self) -> None:
        """Remove what the record names, or go on with it."""
        facts = read_facts(self.root, overwrite=self._overwrite)
        check_page(self.root)
        if "own" in facts:  # of an earlier version
            self._set_aside([self.root / RECORD, *former_files(self.root, facts), self.page])
            return
        if not self._overwrite:
            self._compare(facts["key"])
        for name in facts["sounds"]:
            sweep(self.root / name)
        if self._overwrite:
            self._earlier.drop()
            self._earlier.take(self.root / RECORD)  # first: without it a killed run is undone
            self._clear(facts["sounds"], facts["parts"])
            self._clear_assets(facts["assets"], facts["sounds"])
            return
        self._adopt(facts)

    def _any_explained(self) -> bool:
        """Whether the record there names an explanation that is there."""
        if not (self.root / RECORD).is_file():
            return False
        facts = read_facts(self.root, overwrite=False)
        return any(is_ours(self.root / n / p) for n in facts["sounds"] for p in facts["parts"])

    def _adopt(self, facts: Mapping[str, Any]) -> None:
        """Go on with what a record says."""
        self._recorded = json.loads(json.dumps(facts))
        if facts["model"] is not None:
            self.model = ModelFacts(**facts["model"])
        self._sounds, self._parts, self._shown = facts["sounds"], facts["parts"], facts["page"]
        self._assets = facts["assets"]
        if any(name.split("/")[0].lower() == self.form.assets.lower() for name in self._sounds):
            raise OutputError(
                f"{self.root}: a sound has the folder {self.form.assets}; choose another for assets"
            )
        for name, sound in self._sounds.items():
            self._names[sound["path"]] = name
            self._take(name)

    def _compare(self, there: Any) -> None:
        """Raise unless the explanations there depend on the same as those of this run."""
        if self._key is None or self._difference is None or there is None:
            raise OutputError(f"{self.root}: is not empty; use --overwrite, or {ELSEWHERE}")
        try:
            other = self._difference(there, self._key)
        except (AttributeError, KeyError, TypeError):
            other = "a damaged record"
        if other:
            raise OutputError(
                f"{self.root}: holds explanations with {other}; use --overwrite, or {ELSEWHERE}"
            )
        self._key = {**self._key, "methods": {**there["methods"], **self._key["methods"]}}

    def _clear(self, sounds: Iterable[str], parts: Iterable[str]) -> None:
        for place in (self.root / name for name in sounds):
            own = [place / part for part in parts if is_ours(place / part)]
            files = [path for folder in own for path in own_files(folder)]
            self._set_aside([*files, *([place / INPUT, place / SECTION] if own else [])])
            for part in parts:
                self._prune(place / part)
            self._prune(place)
        self._set_aside([self.page])

    def _clear_assets(self, assets: str, sounds: Iterable[str]) -> None:
        """Remove the data of sounds from a folder beside the page; empty for none."""
        if assets:
            places = [self.root / name for name in sounds]
            self._set_aside(self.root / assets / asset_name(anchor(self.root, p)) for p in places)

    def _set_aside(self, files: Iterable[Path]) -> None:
        """Set files aside, and remove the folders that are empty then."""
        for path in list(files):
            self._earlier.take(path)
            self._prune(path.parent)

    def _prune(self, folder: Path) -> None:
        """Remove a folder and those around it, up to the root, while they are empty."""
        while folder != self.root and not os.path.islink(folder):
            if folder.is_dir():
                if any(folder.iterdir()):
                    return
                folder.rmdir()
            folder = folder.parent
