"""The HTML page: the sections of all sounds, joined into one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from earwitness import __version__
from earwitness.errors import OutputError
from earwitness.explanation import Explanation
from earwitness.models.model import Model
from earwitness.report.sections import SECTION, anchor, environment, render_section

MARK = '<meta name="generator" content="earwitness">'  # near the beginning of every page


def write_page(
    path: Path,
    root: Path,
    folders: Sequence[Path],
    model: Model,
    *,
    on_missing: Callable[[str], None] | None = None,
) -> None:
    """Write the page; folders of one sound must be consecutive.

    Sections that exist are inserted; the others are rendered from the saved explanations. Only one
    sound is in memory at a time. Explanations that cannot be read are left out.

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
    on_missing : callable, optional
        Called with a line on each explanation that is left out.
    """
    groups = [(place, list(some)) for place, some in groupby(folders, lambda one: one.parent)]
    stream = (
        environment()
        .get_template("page.html")
        .stream(
            version=__version__,
            model=model,
            contents=[
                (place.relative_to(root).as_posix(), anchor(root, place)) for place, _ in groups
            ],
            mark=Markup(MARK),
            sections=_sections(root, groups, on_missing),
        )
    )
    with path.open("w", encoding="utf-8") as file:
        file.writelines(stream)


def _sections(
    root: Path,
    groups: Sequence[tuple[Path, list[Path]]],
    on_missing: Callable[[str], None] | None,
) -> Iterator[Any]:
    for place, folders in groups:
        made = place / SECTION
        if made.is_file():
            yield Markup(made.read_text(encoding="utf-8"))
            made.unlink()
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
