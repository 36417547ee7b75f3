"""``earwitness scan``: events in long recordings, with explanations of the strongest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from earwitness.cli.options import (
    DEFAULT_MODEL,
    MODEL_HELP,
    SEED,
    Finite,
    Number,
    counted,
    model_name,
    model_options,
    parse_settings,
    place,
    printable,
    say,
    whole,
)
from earwitness.cli.results import Verb, emit

if TYPE_CHECKING:
    from earwitness.types import Direction, Trust


@click.command(cls=Verb)
@click.argument("recordings", nargs=-1, required=True, metavar="RECORDING-OR-FOLDER...")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@model_options
@click.option(
    "--target", "targets", multiple=True, metavar="LABEL",
    help="Label to look for; may be given several times.  [default: all]",
)  # fmt: skip
@click.option(
    "--window", type=Number(0, above=True, unit="seconds"), metavar="S",
    help="Length of a window, in seconds.  [default: that of the model]",
)  # fmt: skip
@click.option(
    "--hop", type=Number(0, above=True, unit="seconds"), metavar="S",
    help="Seconds between the starts of windows.  [default: half a window]",
)  # fmt: skip
@click.option(
    "--on", type=Finite(), metavar="P",
    help="An event reaches this score ...  [default: 0.5; for a regression, that of 5 % of "
    "windows]",
)  # fmt: skip
@click.option(
    "--off", type=Finite(), metavar="P",
    help="... and lasts while windows score this.  [default: 0.3; for a regression, that of 10 %]",
)  # fmt: skip
@click.option(
    "--direction", type=click.Choice(["down", "up"]), default="down", show_default=True,
    help="Whether the lowest or the highest values of a regression are events.",
)  # fmt: skip
@click.option(
    "--top", type=whole(0, 10_000), default=5, show_default=True, metavar="N",
    help="Events of each label that are explained, the strongest.",
)  # fmt: skip
@click.option(
    "--method", metavar="NAME",
    help="How they are explained; see earwitness methods.  [default: integrated-gradients, or lime "
    "for a model without gradients]",
)  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="OPTION=VALUE",
    help="Option of the method, such as steps=128.",
)  # fmt: skip
@click.option(
    "--trust", type=click.Choice(["full", "light", "none"]), default="full", show_default=True,
    help="Scores of the trust card of each explanation.",
)  # fmt: skip
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option(
    "--jobs", type=whole(1, 1000), default=1, show_default=True,
    help="Number of processes, for several recordings and for explanations.",
)  # fmt: skip
@click.option(
    "--scores", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True,
    help="Format of the scores of all windows; jsonl is JSON lines, and Parquet needs the extra "
    "tables.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier scan.")
@click.option(
    "-o", "--output", default="earwitness-scan", show_default=True, type=place, metavar="DIR",
    help="Folder for scores, tables, explanations and the page.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON line per event.")
def scan(
    recordings: tuple[str, ...],
    model: str,
    model_settings: tuple[str, ...],
    trust_code: bool,
    targets: tuple[str, ...],
    window: float | None,
    hop: float | None,
    on: float | None,
    off: float | None,
    direction: Direction,
    top: int,
    method: str | None,
    settings: tuple[str, ...],
    trust: Trust,
    seed: int,
    device: str,
    jobs: int,
    scores: str,
    overwrite: bool,
    output: str,
    as_json: bool,
) -> int:
    """Find events in recordings of any length, and explain the strongest.

    Recordings are read in blocks, and scores are stored as they are made: repeat a command that
    was stopped, and it goes on.
    """
    import json

    from earwitness.audio import shown_name
    from earwitness.cli.run import make_requests
    from earwitness.cli.stopping import stoppable
    from earwitness.cli.watching import watching
    from earwitness.jobs.pool import ModelName
    from earwitness.recordings.events import Rule
    from earwitness.recordings.plan import Plan, recommended
    from earwitness.recordings.scanning import run_scan
    from earwitness.report.sections import clock_text
    from earwitness.types import Request

    named = ModelName(model_name(model, model_settings, trust_code), device)
    loaded = named.load()
    common = Request(
        direction=direction if loaded.task == "regression" else "up", seed=seed, trust=trust
    )
    (request,) = make_requests((method or recommended(loaded),), parse_settings(settings), common)
    plan = Plan(Rule(targets, on, off, direction), window, hop, top, request, scores, jobs)
    try:
        with stoppable(), watching() as tell:
            found = run_scan(
                loaded, recordings, plan, output, overwrite=overwrite, named=named,
                on_progress=tell,
            )  # fmt: skip
    except KeyboardInterrupt:
        say("earwitness: stopped; finished scores are kept, repeat the command to go on")
        return 1
    for row in found.events:
        if as_json:
            emit(json.dumps(row, allow_nan=False))
            continue
        times = f"{clock_text(row['start'])}\u2013{clock_text(row['end'])}"
        emit(printable(f"{row['recording']}: {times} {row['label']} {row['score']:.3f}"))
        verdict = found.verdict(row)
        if verdict:
            emit(printable(f"  {verdict}"))
    for text in found.failed:
        say(f"earwitness: {text}")
    for path in found.kept:
        say(f"earwitness: a table that was edited is kept as {shown_name(path)}")
    say(f"{counted(len(found.events), 'event')}; page: {found.page}")
    return 1 if found.failed else 0
