"""The HTML page: the sections of all sounds, joined into one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from earwitness import __version__
from earwitness.errors import OutputError
from earwitness.explanation import Explanation
from earwitness.models.model import Model
from earwitness.render.policy import content_policy
from earwitness.report.sections import SECTION, anchor, environment, render_section

_BEGIN = b'<section id="clip-'
MARK = '<meta name="generator" content="earwitness">'  # near the beginning of every page


def write_page(
    path: Path,
    root: Path,
    folders: Sequence[Path],
    model: Model,
    *,
    former: Path | None = None,
    on_missing: Callable[[str], None] | None = None,
) -> None:
    """Write the page; folders of one sound must be consecutive.

    New sections are inserted, then those of the former page. Others are rendered from the saved
    explanations, in which pieces may have no sounds. Only one sound is in memory at a time.
    Explanations that cannot be read are left out.

    Parameters
    ----------
    path : Path
        The file to write.
    root : Path
        The folder of the page; links are relative to it.
    folders : sequence of Path
        The folders of the explanations.
    model : Model
        The explained model.
    former : Path, optional
        An earlier page of the folder.
    on_missing : callable, optional
        Called with a line on each explanation that is left out.
    """
    groups = [(place, list(some)) for place, some in groupby(folders, lambda one: one.parent)]
    script = files("earwitness.report").joinpath("page.js").read_text(encoding="utf-8")
    stream = (
        environment()
        .get_template("page.html")
        .stream(
            version=__version__,
            script=Markup(script),
            policy=content_policy(script),
            model=model,
            contents=[
                (place.relative_to(root).as_posix(), anchor(root, place)) for place, _ in groups
            ],
            mark=Markup(MARK),
            sections=_sections(root, groups, former, on_missing),
        )
    )
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(stream)


@dataclass(frozen=True)
class Place:
    """Where a section lies in a page, in bytes, and how many explanations it shows."""

    start: int
    end: int
    articles: int


def find_sections(page: Path) -> dict[str, Place]:
    """Return the sections of a page by the anchors of their sounds; empty without a page."""
    found: dict[str, Place] = {}
    if not page.is_file():
        return found
    name, start, end, articles = b"", 0, 0, 0
    with page.open("rb") as file:
        for line in file:
            if line.startswith(_BEGIN):
                name, start, articles = line[len(_BEGIN) :].split(b'"', 1)[0], end, 0
            end += len(line)
            articles += line.startswith(b"<article")
            if line.startswith(b"</section>") and name:
                found[name.decode("utf-8", "replace")] = Place(start, end, articles)
                name = b""
    return found


def _sections(
    root: Path,
    groups: Sequence[tuple[Path, list[Path]]],
    former: Path | None,
    on_missing: Callable[[str], None] | None,
) -> Iterator[Any]:
    known = {} if former is None else find_sections(former)
    for place, folders in groups:
        made = place / SECTION
        if made.is_file():
            yield Markup(made.read_text(encoding="utf-8"))
            made.unlink()
            continue
        there = known.get(anchor(root, place))
        if former is not None and there is not None and there.articles == len(folders):
            with former.open("rb") as file:
                file.seek(there.start)
                yield Markup(file.read(there.end - there.start).decode("utf-8"))
            continue
        saved, missing = [], []
        for folder in folders:
            try:
                saved.append((folder, Explanation.load(folder)))
            except OutputError as error:
                missing.append(str(error))
        for text in missing:
            (on_missing or _ignore)(f"{text}; it is not on the page")
        if saved:
            yield Markup(render_section(root, saved))
        else:
            name = f"clip-{anchor(root, place)}"
            yield Markup('<section id="{}"><p>{}</p></section>\n').format(name, "; ".join(missing))


def _ignore(_text: str) -> None:
    """Say nothing."""
