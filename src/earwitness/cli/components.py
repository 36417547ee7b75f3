"""``earwitness components``: which components of an interpreter matter for each class."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earwitness.cli.options import (
    MODEL_HELP,
    Number,
    counted,
    place,
    printable,
    say,
    unexpected,
    whole,
)
from earwitness.cli.results import Verb, emit

if TYPE_CHECKING:
    from earwitness.jobs.components import Overview
    from earwitness.types import ComponentTable

_TABLE, _PICTURE = "components.csv", "components.png"
_SOUND = re.compile(r"component-\d+\.wav")


@click.command(
    cls=Verb,
    help="Show which components of an interpreter matter for each class, over the sounds in "
    f"FOLDER: the mean of their relevance, and the share of sounds in which they are selected.\n\n"
    f"MODEL: {MODEL_HELP}",
)
@click.argument("model", metavar="MODEL")
@click.argument("folder", type=place, metavar="FOLDER")
@click.option(
    "--interpreter", type=place, metavar="DIR",
    help="Folder written by train l2i.  [default: the one that comes with the model]",
)  # fmt: skip
@click.option(
    "--threshold", type=Number(0, 1),
    help="Components of more than this relevance are selected.  [default: as of the method l2i]",
)  # fmt: skip
@click.option(
    "--names", type=place, metavar="FILE", help="Your names of components, as in explain."
)
@click.option(
    "--top", type=whole(1), default=5, show_default=True, help="Components printed for each class."
)
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run.")
@click.option(
    "-o", "--output", default="earwitness-components", show_default=True, type=place, metavar="DIR",
    help="Folder for the table, the picture and the sounds.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON line per class.")
def components(
    model: str,
    folder: str,
    interpreter: str | None,
    threshold: float | None,
    names: str | None,
    top: int,
    device: str,
    overwrite: bool,
    output: str,
    as_json: bool,
) -> int:
    """Add all sounds to an overview, print it and write its files."""
    from earwitness.clips import find_clips
    from earwitness.decoders.components import THRESHOLD
    from earwitness.files import held
    from earwitness.jobs.components import Overview
    from earwitness.methods.l2i import chosen_interpreter
    from earwitness.models.registry import load_model
    from earwitness.naming import named, read_names

    own = read_names(names) if names else {}
    clips = find_clips([folder])
    root = Path(output)
    loaded = load_model(model, device=device)
    threshold = THRESHOLD if threshold is None else threshold
    overview = Overview(loaded, chosen_interpreter(loaded, interpreter or ""), threshold=threshold)
    named(overview.table(), own, names or "")  # before the work begins
    with held(root):
        earlier = _earlier(root, overwrite)
        failed = _survey(overview, clips)
        if failed == len(clips):
            return 2
        table = named(overview.table(), own, names or "")
        _print(overview, table, top, as_json)
        _write(root, earlier, overview, table)
    say(f"table, picture and sounds: {root}")
    return 1 if failed else 0


def _earlier(root: Path, overwrite: bool) -> list[Path]:
    """Return the files of an earlier run, which are to be replaced.

    Raises
    ------
    OutputError
        If there is anything else, or it is not wanted.
    """
    from earwitness.errors import OutputError

    there = list(root.iterdir())
    own = [path for path in there if path.name in (_TABLE, _PICTURE) or _SOUND.fullmatch(path.name)]
    if len(own) < len(there) or (own and not overwrite):
        hint = "it holds files of something else" if len(own) < len(there) else "use --overwrite"
        raise OutputError(f"{root}: is not empty; {hint}, or choose another place with -o")
    return own


def _survey(overview: Overview, clips: list[Path]) -> int:
    """Add sounds, and return how many failed."""
    from rich.console import Console
    from rich.progress import track

    from earwitness.errors import EarwitnessError

    failed = 0
    for clip in track(clips, "reading", console=Console(stderr=True), transient=True):
        try:
            overview.add(clip)
        except EarwitnessError as error:
            failed += 1
            text = str(error)
            say(f"earwitness: {text if str(clip) in text else f'{clip}: {text}'}")
        except Exception as error:  # of this sound; the others are still to come
            failed += 1
            say(f"earwitness: {unexpected(error, str(clip))}")
    return failed


def _print(overview: Overview, table: ComponentTable, top: int, as_json: bool) -> None:
    for one in overview.classes:
        leading = one.leading(top)
        if as_json:
            facts = {
                "class": one.label,
                "sounds": one.sounds,
                "components": [
                    {
                        "component": k + 1, "name": table.names[k],
                        "relevance": one.relevance[k], "selected": one.selected[k],
                    }
                    for k in leading
                ],
            }  # fmt: skip
            emit(json.dumps(facts, allow_nan=False))
            continue
        emit(printable(f"{one.label}: decided for {counted(one.sounds, 'sound')}"))
        for k in leading:
            share = f"{one.selected[k]:.0%}"
            emit(printable(f"  {one.relevance[k]:+.2f}  {share:>4}  {table.titles[k]}"))
    if not as_json:
        say("mean relevance, share of sounds in which it is selected, component")


def _write(root: Path, earlier: list[Path], overview: Overview, table: ComponentTable) -> None:
    """Write the table of all components, the picture of the active ones, and their sounds.

    The table is written first and at once, because the earlier one may hold the names that were
    read from it; then the other files of the earlier run are removed.
    """
    import csv
    import io

    import numpy as np

    from earwitness.audio import write_audio
    from earwitness.files import replacing, unwritable, write_text
    from earwitness.render.matrix import draw_matrix

    classes = overview.classes
    active = [k for k, some in enumerate(table.strongest) if some]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = [f"{what}: {one.label}" for one in classes for what in ("relevance", "selected")]
    writer.writerow(["component", "name", "file", "start", "end", *heads])
    for k, name in enumerate(table.names):
        segment = table.strongest[k][0] if table.strongest[k] else None
        where = [segment.file, segment.start, segment.end] if segment else [""] * 3
        figures = [f"{v:.4g}" for one in classes for v in (one.relevance[k], one.selected[k])]
        writer.writerow([k + 1, name, *where, *figures])
    values = np.array([one.relevance for one in classes], np.float32)
    order = sorted(active, key=lambda k: (int(values[:, k].argmax()), -float(values[:, k].max())))
    labels = [f"{one.label} ({one.sounds})" for one in classes]
    try:
        write_text(root / _TABLE, text.getvalue())
        for path in earlier:
            if path.name != _TABLE:
                path.unlink(missing_ok=True)
        for k in active:
            sound = overview.sound(k)
            if sound is not None:
                write_audio(root / f"component-{k + 1:02}.wav", sound)
        figure = draw_matrix(labels, [k + 1 for k in order], values[:, order])
        with replacing(root / _PICTURE) as partial:
            figure.savefig(partial, dpi=110, format="png")
    except OSError as error:
        raise unwritable(root, error) from error
