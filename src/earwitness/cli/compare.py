"""``earwitness compare``: why a model gives one recording another score than another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earwitness.cli.options import (
    DEFAULT_MODEL,
    MODEL_HELP,
    SEED,
    Finite,
    model_name,
    model_options,
    parse_settings,
    place,
    printable,
    say,
)
from earwitness.cli.results import Verb, emit

if TYPE_CHECKING:
    from earwitness.comparing.comparison import Comparison
    from earwitness.models.model import Model
    from earwitness.report.folder import ReportFolder
    from earwitness.types import Trust

_SOUNDS = {"reference": "sounds/b_aligned.wav", "hybrid": "sounds/hybrid.wav"}


@click.command(cls=Verb)
@click.argument("a", metavar="A", type=place)
@click.argument("b", metavar="B", type=place)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@model_options
@click.option(
    "--method", metavar="NAME",
    help="A method with the option background.  [default: integrated-gradients; occlusion for a "
    "model without gradients]",
)  # fmt: skip
@click.option("--target", metavar="C", help="Output to compare; default: the first, or A's class.")
@click.option("--versus", metavar="C", help="Compare the target's lead over this class.")
@click.option(
    "--keep", metavar="RULE",
    help="How much of the attribution is the culprit, as in explain.  [default: the "
    "least of eight shares whose hybrid regains three quarters of the difference]",
)  # fmt: skip
@click.option("--start", type=Finite("seconds"), metavar="S",
              help="Start of the part of both recordings that is compared, in seconds.",
              )  # fmt: skip
@click.option("--end", type=Finite("seconds"), metavar="S",
              help="End of that part, in seconds.")  # fmt: skip
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    "--set", "settings", multiple=True, metavar="OPTION=VALUE",
    help="Option of the method, such as steps=128; see earwitness methods METHOD.",
)  # fmt: skip
@click.option(
    "--trust", type=click.Choice(["full", "light", "none"]), default="light", show_default=True,
    help="Scores of the trust card.",
)  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run.")
@click.option(
    "-o", "--output", default="earwitness-comparison", show_default=True, type=place,
    metavar="DIR", help="Folder for the report and its files.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line.")
def compare(
    a: str,
    b: str,
    model: str,
    model_settings: tuple[str, ...],
    trust_code: bool,
    method: str | None,
    target: str | None,
    versus: str | None,
    keep: str | None,
    start: float | None,
    end: float | None,
    seed: int,
    settings: tuple[str, ...],
    trust: Trust,
    device: str,
    overwrite: bool,
    output: str,
    as_json: bool,
) -> int:
    """Explain why a model gives recording A another score than recording B of the same words."""
    from earwitness.cli.run import make_requests
    from earwitness.comparing.comparison import compare as compared
    from earwitness.comparing.comparison import method_for
    from earwitness.files import held
    from earwitness.models.registry import load_model
    from earwitness.report.folder import ReportFolder
    from earwitness.report.page import Form
    from earwitness.types import Request

    loaded = load_model(model_name(model, model_settings, trust_code), device=device)
    (request,) = make_requests((method_for(loaded, method),), parse_settings(settings), Request())
    form = Form(title=f"{Path(a).name} compared with {Path(b).name}")
    folder = ReportFolder(Path(output), overwrite=overwrite, form=form)
    with held(folder.root):
        folder.prepare()
        try:
            found = compared(
                loaded, a, b, request.method, target=target, versus=versus, keep=keep, start=start,
                end=end, seed=seed, trust=trust, **request.options,
            )  # fmt: skip
            _write(found, folder, loaded)
        finally:
            folder.discard()
    emit(json.dumps(found.facts()) if as_json else printable(str(found)))
    for note in found.explanation.notes:
        say(printable(f"  {note}"))
    say(f"report: {folder.page}")
    return 0


def _write(found: Comparison, folder: ReportFolder, model: Model) -> None:
    """Write the report, and the sounds beside those of the explanation."""
    from earwitness.audio import write_audio

    (folder.root / "sounds").mkdir(exist_ok=True)
    write_audio(folder.root / _SOUNDS["reference"], found.warped)
    write_audio(folder.root / _SOUNDS["hybrid"], found.hybrid)
    folder.add(found.with_sounds(_SOUNDS))
    folder.finish(model)
