"""One page of explanations from anywhere: several folders of results, or none at all.

Explanations of the same sound by the same model are shown together, whichever folder they lie in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from earwitness.errors import OutputError
from earwitness.explanation import SCHEMA, Explanation
from earwitness.files import folder_name, read_record, replacing, unwritable
from earwitness.report.clip import anchor
from earwitness.report.page import Form, ModelFacts, assemble, summary
from earwitness.report.record import INPUT, RECORD, check_page_at, read_facts
from earwitness.report.sections import find_sections, write_section
from earwitness.store import is_ours, load
from earwitness.wav import wav_bytes

EXPLANATION = "explanation.json"
_SCHEMAS = range(1, SCHEMA + 1)
Entry = Explanation | Path  # in memory, or its folder


@dataclass(frozen=True)
class Known:
    """What is known of an explanation before its maps and sounds are read."""

    sound: tuple[Any, ...]  # equal for explanations that are shown together
    model: ModelFacts
    clip: str
    method: str


def explanations_in(folder: Path) -> list[Path]:
    """Return the folders of the explanations in a folder of results, in order of its page.

    Parameters
    ----------
    folder : Path
        What ``explain``, ``scan`` or ``Explanation.save`` wrote, or any folder around such.

    Raises
    ------
    OutputError
        If there is none.
    """
    found: list[Path] = []
    if (folder / RECORD).is_file():
        facts = read_facts(folder, overwrite=True)
        places = (
            [folder / name for name in facts["own"]]
            if "own" in facts
            else [folder / name / part for name in facts["sounds"] for part in facts["parts"]]
        )
        found = [one for one in places if is_ours(one)]
    elif folder.is_dir():
        for place, inner, names in os.walk(folder):
            inner[:] = sorted(one for one in inner if one[0] != ".")
            if EXPLANATION in names:
                found.append(Path(place))
    if not found:
        what = "no explanations in this folder" if folder.is_dir() else "no such folder"
        raise OutputError(
            f"{folder}: {what}; results are what earwitness explain or scan, or save() wrote"
        )
    return found


def read_explanation_facts(folder: Path) -> dict[str, Any]:
    """Return the facts of a saved explanation, without maps and sounds.

    Raises
    ------
    OutputError
        If they are missing or damaged.
    """
    try:
        return read_record(folder / EXPLANATION, _SCHEMAS, OutputError)
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{folder}: no explanation here ({EXPLANATION})") from error


def write_joined(
    page: Path, entries: Sequence[Entry], *, title: str = "",
    on_missing: Callable[[str], None] | None = None,
) -> Path:  # fmt: skip
    """Write a page of explanations, in which one sound is in memory at a time.

    Parameters
    ----------
    page : Path
        An HTML file. Another page of earwitness is replaced, anything else is not.
    entries : sequence of Explanation or Path
        Explanations, or their folders. Those of a folder are linked to.
    title : str
    on_missing : callable, optional
        Called with a line on each explanation that cannot be read; the page is without it.

    Raises
    ------
    OutputError
        If there is none, or the page cannot be written.
    """
    check_page_at(page)
    root, missing = page.parent, on_missing or _ignore
    groups: dict[Any, list[Entry]] = {}
    models: dict[str, ModelFacts] = {}
    for entry in entries:
        try:
            known = known_of(entry)
        except OutputError as error:
            missing(f"{error}; it is not on the page")
            continue
        groups.setdefault(known.sound, []).append(entry)
        models.setdefault(known.model.name, known.model)
    if not groups:
        raise OutputError(f"{page}: not written, since there are no explanations")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory() as place, replacing(page) as partial:
            sections = [
                section
                for number, some in enumerate(groups.values())
                for section in _sections(root, Path(place) / f"{number}.html", some, missing)
            ]
            if not sections:
                raise OutputError(f"{page}: not written, since no explanation can be read")
            first = next(iter(models.values()))
            several = len(models) > 1
            own = title or f"Explanations of {', '.join(models)}"
            said = "; ".join(f"{one.name}: {summary(one)}" for one in models.values())
            sounds = not all(_silent(one) for one in entries)
            form = Form(audio=sounds, title=own, models=said if several else summary(first))
            assemble(partial, sections, first, form)
    except OSError as error:
        raise unwritable(page, error) from error
    return page


def known_of(entry: Entry) -> Known:
    """Return what says which sound and which model an explanation is of."""
    if isinstance(entry, Explanation):
        facts: Mapping[str, Any] = {
            "clip": entry.clip, "model": entry.model, "task": entry.task,
            "method": entry.method, "provenance": entry.provenance,
        }  # fmt: skip
        content = blake2b(wav_bytes(entry.input.samples, entry.input.rate)).digest()
    else:
        facts = read_explanation_facts(entry)
        content = _input_digest(entry)
    made = facts["provenance"]
    sound = (Path(facts["clip"]).name, made.get("start"), made["samples"], content)
    model = ModelFacts(facts["model"], facts["task"], made["rate"])
    return Known((facts["model"], *sound), model, facts["clip"], facts["method"])


def _input_digest(folder: Path) -> bytes:
    """Return what depends on the content of the input that was saved; empty without one."""
    for path in (folder / INPUT, folder.parent / INPUT):
        if path.is_file():
            with path.open("rb") as file:
                return file_digest(file, blake2b).digest()
    return b""


def _sections(
    root: Path, at: Path, some: Sequence[Entry], on_missing: Callable[[str], None]
) -> Iterator[Any]:
    """Yield the section of a sound, written to a file; none if nothing of it can be read."""
    saved: list[tuple[Path, Explanation]] = []
    for entry in some:
        if isinstance(entry, Explanation):
            saved.append((_nowhere(root, entry, at.stem) / entry.method, entry))
            continue
        try:
            saved.append((entry, load(entry, silent=True)))
        except OutputError as error:
            on_missing(f"{error}; it is not on the page")
    if not saved:
        return
    place, name = saved[0][0].parent, Path(saved[0][1].clip).name
    write_section(root, saved, audio=not _silent(some[0]), name=name, at=at)
    yield find_sections(at)[anchor(root, place)]


def _nowhere(root: Path, one: Explanation, number: str) -> Path:
    """Return the path of a folder that does not exist, for a sound that lies in none."""
    place = root / f"{folder_name(Path(one.clip).stem)}-{number}"
    while os.path.lexists(place):
        place = place.with_name(f"{place.name}-")
    return place


def _silent(entry: Entry) -> bool:
    """Return whether an explanation was saved without sounds."""
    return isinstance(entry, Path) and not (entry / "evidence.wav").is_file()


def _ignore(_text: str) -> None:
    """Say nothing."""
