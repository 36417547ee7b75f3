"""The HTML page: the sections of all sounds, joined into one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from earwitness import __version__
from earwitness.explanation import Explanation
from earwitness.models.model import Model
from earwitness.report.sections import SECTION, anchor, environment, render_section


def write_page(path: Path, root: Path, folders: Sequence[Path], model: Model) -> None:
    """Write the page; explanations of one sound must follow one another.

    Sections that were written when the explanations were made are taken up as they are; others are
    made from the saved explanations. Only one sound is in memory at a time.

    Parameters
    ----------
    path : Path
        The file to write.
    root : Path
        The folder the page will lie in; links are relative to it.
    folders : sequence of Path
        Where the explanations were saved.
    model : Model
        What was explained.
    """
    groups = [(place, list(some)) for place, some in groupby(folders, lambda one: one.parent)]
    stream = (
        environment()
        .get_template("page.html")
        .stream(
            version=__version__,
            model=model,
            contents=[(place.name, anchor(place)) for place, _ in groups],
            sections=_sections(root, groups),
        )
    )
    with path.open("w", encoding="utf-8") as file:
        file.writelines(stream)


def _sections(root: Path, groups: Sequence[tuple[Path, list[Path]]]) -> Iterator[Any]:
    for place, folders in groups:
        made = place / SECTION
        if made.is_file():
            yield Markup(made.read_text(encoding="utf-8"))
            made.unlink()
        else:
            saved = [(folder, Explanation.load(folder)) for folder in folders]
            yield Markup(render_section(root, saved))
