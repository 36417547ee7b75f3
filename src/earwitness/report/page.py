"""The HTML page: the sections of all sounds, joined into one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from earwitness import __version__
from earwitness.explanation import Explanation
from earwitness.models.model import Model
from earwitness.render.policy import content_policy
from earwitness.report.sections import SECTION, anchor, environment, render_section


def write_page(path: Path, root: Path, folders: Sequence[Path], model: Model) -> None:
    """Write the page; folders of one sound must be consecutive.

    Sections that exist are inserted; the others are rendered from the saved explanations. Only one
    sound is in memory at a time.

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
            sections=_sections(root, groups),
        )
    )
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
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
