"""The HTML page: the sections of all sounds, joined into one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from earwitness import __version__
from earwitness.errors import OutputError
from earwitness.models.model import Model
from earwitness.render.policy import content_policy
from earwitness.report.clip import anchor
from earwitness.report.glossary import GLOSSARY
from earwitness.report.sections import (
    SECTION,
    Section,
    asset_name,
    data_tag,
    environment,
    find_sections,
    json_text,
    row_tag,
    write_asset,
    write_section,
)
from earwitness.store import load
from earwitness.types import Task

MARK = '<meta name="generator" content="earwitness">'  # near the beginning of every page
# modules of the page's script, each with what it needs before it
SCRIPTS = (
    "fft.js", "stft.js", "unpack.js", "payloads.js", "gains.js", "strokes.js", "loudness.js",
    "resample.js", "heterodyne.js", "original.js", "transport.js", "exports.js", "places.js",
    "controls.js", "axes.js", "colours.js", "pens.js", "raster.js", "picture.js", "minimap.js",
    "pointer.js", "brush.js", "dial.js", "course.js", "pieces.js", "components.js", "regions.js",
    "glossary.js", "figures.js", "comparison.js", "multiples.js", "table.js", "timeline.js",
    "keys.js", "listen.js", "saves.js", "transport_bar.js", "desk.js", "api.js", "start.js",
)  # fmt: skip


@dataclass(frozen=True)
class Form:
    """How a page holds its sounds.

    Attributes
    ----------
    assets : str
        Folder beside the page for the data of each sound; empty to hold them in the page.
    audio : bool
        Whether the sounds are in it.
    data : str
        Folder of the training sounds, for links to where components are strongest; empty for none.
    title, models, note : str
        What to call it and which models are explained, by default the one; and a line below.
    timeline, events : mapping, optional
        Whole recordings, of which the sounds are parts, shown above them (``desk/timeline.js``);
        the rows of the table of all events, and how many more there are.
    """

    assets: str = ""
    audio: bool = True
    data: str = ""
    title: str = ""
    models: str = ""
    note: str = ""
    timeline: Mapping[str, Any] | None = None
    events: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ModelFacts:
    """What a page says of the model; ``outputs`` is how many it has, None if that is not known."""

    name: str
    task: Task
    rate: int
    outputs: int | None = None

    @classmethod
    def of(cls, model: Model) -> ModelFacts:
        """Return the facts of a model."""
        return cls(model.name, model.task, model.rate, len(model.labels))


def write_page(
    path: Path,
    root: Path,
    folders: Sequence[Path],
    model: Model | ModelFacts,
    form: Form,
    *,
    former: tuple[Path, str] | None = None,
    on_missing: Callable[[str], None] | None = None,
) -> None:
    """Write the page, and what lies beside it; folders of one sound must be consecutive.

    New sections are inserted, then those of the former page. Others are rendered from the saved
    explanations, in which overlapping pieces may have no sounds. Only one sound is in memory at a
    time. Explanations that cannot be read are left out.

    Parameters
    ----------
    path : Path
        The file to write.
    root : Path
        The folder of the page; links are relative to it.
    folders : sequence of Path
        The folders of the explanations.
    model : Model or ModelFacts
        The explained model.
    form : Form
    former : (Path, str), optional
        An earlier page of the folder, and its folder of assets.
    on_missing : callable, optional
        Called with a line on each explanation that is left out.
    """
    groups = [(place, list(some)) for place, some in groupby(folders, lambda one: one.parent)]
    known = _former(former)
    sections = [_section(root, place, some, form, known, on_missing) for place, some in groups]
    if form.assets:
        (root / form.assets).mkdir(exist_ok=True)
        for one in sections:
            if isinstance(one, Section) and one.data.path.parent != root / form.assets:
                write_asset(root / form.assets, one)
    assemble(path, sections, model, form)


def assemble(
    path: Path, sections: Sequence[Section | Markup], model: Model | ModelFacts, form: Form
) -> None:
    """Write a page of sections that are made, or rows in their place; see ``write_page``."""
    model = ModelFacts.of(model) if isinstance(model, Model) else model
    script = joined_script()
    facts = {
        "version": __version__,
        "model": asdict(model),
        "assets": f"{form.assets}/" if form.assets else None,
        "audio": form.audio,
        "glossary": GLOSSARY,
    }  # fmt: skip
    stream = (
        environment()
        .get_template("page.html")
        .stream(
            policy=content_policy(script, beside=bool(form.assets)),
            mark=Markup(MARK),
            style=Markup(files("earwitness.report").joinpath("desk/desk.css").read_text("utf-8")),
            report=facts,
            title=form.title or f"Explanations of {model.name}",
            models=form.models or summary(model),
            note=form.note,
            timeline=form.timeline,
            events=form.events,
            timeline_json=Markup(json_text(form.timeline)),
            report_json=Markup(json_text(facts)),
            count=len(sections),
            rows=_rows(sections, form),
            data=() if form.assets else _data(sections),
            script=Markup(script),
        )
    )
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(stream)


def summary(model: Model | ModelFacts) -> str:
    """Return a model's task, outputs and rate in words."""
    model = ModelFacts.of(model) if isinstance(model, Model) else model
    if model.outputs is None:
        return f"{model.task} model at {model.rate} Hz"
    outputs = f"{model.outputs} output" if model.outputs == 1 else f"{model.outputs} outputs"
    return f"{model.task} model with {outputs} at {model.rate} Hz"


def joined_script() -> str:
    """Return the modules of the page's script as one."""
    folder = files("earwitness.report").joinpath("desk")
    texts = [folder.joinpath(name) for name in SCRIPTS]
    own = "\n".join(text.read_text("utf-8") for text in texts)
    return f'(() => {{\n"use strict";\n{own}}})();\n'


def _former(former: tuple[Path, str] | None) -> dict[str, Section]:
    if former is None:
        return {}
    page, assets = former
    return find_sections(page, page.parent / assets if assets else None)


def _section(
    root: Path,
    place: Path,
    folders: Sequence[Path],
    form: Form,
    known: dict[str, Section],
    on_missing: Callable[[str], None] | None,
) -> Section | Markup:
    """Return the section of a sound, or a row that says why there is none."""
    name = anchor(root, place)
    made = find_sections(place / SECTION).get(name)
    there = known.get(name)
    if made is None and there is not None and there.explanations == len(folders):
        return there
    missing: list[str] = []
    if made is None:
        saved = []
        for folder in folders:
            try:
                saved.append((folder, load(folder, silent=True)))
            except OutputError as error:
                missing.append(str(error))
        for text in missing:
            (on_missing or _ignore)(f"{text}; it is not on the page")
        if saved:
            write_section(root, saved, audio=form.audio, data=form.data)
            made = find_sections(place / SECTION)[name]
    row = '<tr class="missing" id="clip-{}"><td colspan="99">{}</td></tr>\n'
    return made or Markup(row).format(name, "; ".join(missing))


def _rows(sections: Sequence[Section | Markup], form: Form) -> Iterator[Markup]:
    numbers = iter(range(len(sections)))
    for one in sections:
        if not isinstance(one, Section):
            yield one
            continue
        source = f"{form.assets}/{asset_name(one.anchor)}" if form.assets else ""
        tag = row_tag(one.anchor, one.grades, one.peak, next(numbers), source)
        yield Markup(tag + one.cells.read() + "</tr>\n")


def _data(sections: Sequence[Section | Markup]) -> Iterator[Markup]:
    whole = (one for one in sections if isinstance(one, Section))
    for number, one in enumerate(whole):
        yield Markup(data_tag(number) + one.data.read() + "</script>\n")


def _ignore(_text: str) -> None:
    """Say nothing."""
