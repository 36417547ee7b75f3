"""``earwitness bench pak-clean`` and its like: grids of published tables, run here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from earwitness.cli.options import DEFAULT_MODEL, MODEL_HELP, SEED, place, say, whole
from earwitness.cli.results import Verb

if TYPE_CHECKING:
    from earwitness.benchmark.engine import Measure, Planned
    from earwitness.benchmark.ledger import Line

_SETS = ("esc10", "esc50", "urbansound8k", "fsdd")
_METHODS = ("saliency", "gradcam", "lime", "shap")
_SCENARIOS = {
    "clean": "the sounds as they are",
    "white": "white noise",
    "room": "the tone of a room",
    "horse": "a neighing horse",
}


def folds_option(_context: click.Context, _option: click.Parameter, text: str) -> tuple[int, ...]:
    """Read folds separated by commas."""
    try:
        return tuple(int(one) for one in text.split(",") if one.strip())
    except ValueError as error:
        raise click.BadParameter(f"{text!r} are no folds separated by commas") from error


def grid_options(command: Any) -> Any:
    """Give a command the options that all grids of published tables have."""
    options = [
        click.option("--data", type=place, metavar="DIR", default="data", show_default=True,
                     help="A folder that holds the data set, and noises."),
        click.option("--data-set", type=click.Choice(_SETS), default="esc10", show_default=True),
        click.option("--folds", callback=folds_option, default="", metavar="N,N",
                     help="Folds to explain; not those that are learnt.  [default: fold 4 of "
                     "esc10, 5 of esc50, 10 of urbansound8k, the test takes of fsdd]"),
        click.option("--clips", type=whole(1), default=80, show_default=True,
                     help="Sounds, evenly over classes."),
        click.option("--jobs", type=whole(1, 1000), default=1, show_default=True,
                     help="Number of processes."),
        click.option("--seed", type=SEED, default=0, show_default=True),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def run_plan(
    plan: Planned,
    folder: Path,
    measure: Measure[Any],
    write: Callable[[Path, list[Line]], list[Path]],
    jobs: int,
) -> int:
    """Run a plan, or what is left of it, and write its tables; print their paths.

    A run that is stopped writes the tables of the sounds that are done.
    """
    from earwitness.benchmark.engine import LINES, run
    from earwitness.benchmark.ledger import read_lines
    from earwitness.cli.grids import progress, resumable

    def work() -> list[Line]:
        with progress("measuring") as (start, step):
            return run(plan, folder, measure, workers=jobs, on_start=start, on_clip=step)

    found = resumable(folder, work)
    place = folder / LINES
    lines = found or (read_lines(place) if place.exists() else [])
    for text in dict.fromkeys(str(line["failed"]) for line in lines if "failed" in line):
        say(f"earwitness: {text}")
    if all(line["method"] is None for line in lines):
        return 1 if found is None else 2
    for path in write(folder, lines):
        say(str(path))
    return 1 if found is None else 0


def _pak(scenario: str) -> click.Command:
    @click.command(
        f"pak-{scenario}",
        cls=Verb,
        help=f"Run a table of Pak and Teryokhina (2025) again: {_SCENARIOS[scenario]}.\n\nA "
        "classifier is trained on the published front end first, and kept in the folder. Four "
        "explanations, as published and put right, fourteen masks and seven metrics; two controls. "
        "An interrupted run resumes when the command is repeated with the same arguments.",
    )
    @click.option("--front-end", type=click.Choice(["mel-db", "stft-db"]), default="mel-db",
                  show_default=True)  # fmt: skip
    @click.option("--method", "methods", multiple=True, type=click.Choice(_METHODS),
                  help="Only this explanation; may be given several times.")  # fmt: skip
    @click.option("--noises", type=place, metavar="DIR",
                  help="Folder of white_noise, room and horse.  [default: noises in the folder of "
                  "data]")  # fmt: skip
    @click.option("--models", type=place, metavar="DIR",
                  help="Folder of trained classifiers, to share them between runs.  [default: "
                  "models in the folder of results]")  # fmt: skip
    @click.option("--epochs", type=whole(1), default=250, show_default=True,
                  help="Of the training.")  # fmt: skip
    @grid_options
    @click.option("-o", "--output", type=place, metavar="DIR",
                  default=f"earwitness-pak-{scenario}", show_default=True,
                  help="Folder of the results.")  # fmt: skip
    def command(**given: Any) -> int:
        from earwitness.benchmark.grids.pak import measure_levels, pak_plan
        from earwitness.benchmark.grids.pak_tables import write_tables
        from earwitness.benchmark.grids.sounds import items_of

        data, models = Path(given["data"]), given["models"]
        plan = pak_plan(
            scenario, given["front_end"], items_of(data, given["data_set"], given["folds"]),
            Path(given["noises"] or data / "noises"), clips=given["clips"],
            methods=given["methods"] or _METHODS, epochs=given["epochs"],
            models=Path(models) if models else None, seed=given["seed"],
        )  # fmt: skip
        folder = Path(given["output"])
        return run_plan(plan, folder, measure_levels, write_tables, given["jobs"])

    return command


def _named(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Read names with folders, ``NAME=DIR``."""
    found = []
    for text in texts:
        name, sign, folder = text.partition("=")
        if not (name and sign and folder):
            raise click.BadParameter(f"{text!r} is not NAME=DIR")
        found.append((name, folder))
    return tuple(found)


def _lmac(name: str, kind: str, what: str, folder: str) -> click.Command:
    @click.command(
        f"lmac-{name}",
        cls=Verb,
        help=f"Run a table of L-MAC (2024) again: {what}.\n\nGradient methods, L2I and L-MAC, "
        "measured as published and with masks of one size; controls. An interrupted run resumes "
        "when the command is repeated with the same arguments.",
    )
    @click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
    @click.option("--level", type=click.Choice(["coded", "printed"]), default="coded",
                  show_default=True,
                  help="The level of the contamination in the publication's code, or in its text "
                  "where that states one.")  # fmt: skip
    @click.option("--others", type=place, metavar="PATH",
                  help=f"Sounds to contaminate with.  [default: {folder}]")  # fmt: skip
    @click.option(
        "--interpreter",
        type=place,
        metavar="DIR",
        help="L2I's interpreter of the model.  [default: the one that comes with it]",
    )
    @click.option(
        "--decoder",
        "decoders",
        multiple=True,
        callback=_named,
        metavar="NAME=DIR",
        help="A decoder of L-MAC by its name in the table, such as a fine-tuned one; may "
        "be given several times.  [default: the one that comes with the model]",
    )
    @grid_options
    @click.option("-o", "--output", type=place, metavar="DIR",
                  default=f"earwitness-lmac-{name}", show_default=True,
                  help="Folder of the results.")  # fmt: skip
    def command(**given: Any) -> int:
        from earwitness.benchmark.grids.lmac import lmac_plan, measure_contaminated
        from earwitness.benchmark.grids.lmac_tables import write_tables
        from earwitness.benchmark.grids.sounds import items_of

        data, others = Path(given["data"]), given["others"]
        usual = _USUAL.get(kind)
        plan = lmac_plan(
            kind, items_of(data, given["data_set"], given["folds"]), given["model"],
            others=Path(others) if others else usual and data / usual, level=given["level"],
            clips=given["clips"], interpreter=given["interpreter"] or "",
            decoders=(("l-mac", ""), *given["decoders"]), seed=given["seed"],
        )  # fmt: skip
        folder = Path(given["output"])
        return run_plan(plan, folder, measure_contaminated, write_tables, given["jobs"])

    return command


_USUAL = {"in-domain": Path("noises", "room.flac"), "speech": Path("daps")}
_LMAC = (
    ("in-domain", "in-domain", "noise of a place at 0 dB", "noises/room.flac of the data"),
    ("mixture", "mixture", "another sound", "the explained sounds"),
    ("white-noise", "white", "white noise", "none: it is drawn"),
    ("speech", "speech", "speech", "the folder daps of the data"),
)
LMAC_GRIDS = tuple(_lmac(*row) for row in _LMAC)
PAK_GRIDS = tuple(_pak(scenario) for scenario in _SCENARIOS)
