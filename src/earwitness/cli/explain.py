"""``earwitness explain``: sounds in, a report with files out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from earwitness.cli.options import DEFAULT_MODEL, MODEL_HELP, parse_settings, say

if TYPE_CHECKING:
    from earwitness.types import Direction, Trust

_FILES = ("picture", "pieces", "gains", "magnitude")


def _names(_context: click.Context, _option: click.Parameter, text: str) -> tuple[str, ...]:
    """Read names with commas between."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in _FILES:
            raise click.BadParameter(f"{name!r} is none of {', '.join(_FILES)}")
    return names


@click.command()
@click.argument("clips", nargs=-1, required=True, metavar="CLIP-OR-FOLDER...")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@click.option(
    "--method", "methods", multiple=True, metavar="NAME",
    help="See earwitness methods; may be given several times.  [default: integrated-gradients, or "
    "pieces if pieces, estimator or background are given]",
)  # fmt: skip
@click.option("--pieces", metavar="P", help="How the sound is cut: grid, superpixels, nmf x time.")
@click.option("--estimator", metavar="E", help="How pieces are scored: lime, kernel-shap, rise.")
@click.option(
    "--background", metavar="B", help="What stands in for pieces: silence, mean, noise-floor, CLIP."
)
@click.option("--fill", hidden=True)
@click.option("--target", metavar="C", help="Class or output to explain; the decided one if none.")
@click.option("--versus", metavar="C", help="Explain the target against this class.")
@click.option(
    "--span", type=float, nargs=2, metavar="S S",
    help="Explain the answer between these seconds, of a model that answers per frame.",
)  # fmt: skip
@click.option(
    "--direction", type=click.Choice(["up", "down"]), default="up", show_default=True,
    help="Explain what raises the value of a regression, or what lowers it.",
)  # fmt: skip
@click.option(
    "--keep", metavar="RULE",
    help="What the mask keeps: 80% of the positive attribution, area:10%, energy:50%, top:5%, "
    "minmax, threshold:0.5+ ... (see earwitness masks); then ,smooth:1.5 or ,floor:-30dB.  "
    "[default: 80%, or the gains of a method that gives gains]",
)  # fmt: skip
@click.option("--start", type=float, metavar="S", help="Explain from this second on.")
@click.option("--end", type=float, metavar="S", help="Explain up to this second.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--set", "settings", multiple=True, metavar="OPTION=VALUE",
    help="Option of a method, such as steps=128; earwitness methods METHOD says which it has.",
)  # fmt: skip
@click.option(
    "--trust", type=click.Choice(["full", "light", "none"]), default="full", show_default=True,
    help="How much the trust card scores: 24 forward passes for each explanation, 6, or none.",
)  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="As torch names it.")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True,
    help="Processes that share the sounds.",
)  # fmt: skip
@click.option(
    "--files", callback=_names, default="", metavar="NAMES",
    help="Save these besides, with commas between: picture, pieces, gains, magnitude.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run.")
@click.option(
    "-o", "--output", default="earwitness-report", show_default=True, metavar="DIR",
    help="Folder for the report and its files.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON line per clip and method.")
def explain(
    clips: tuple[str, ...],
    model: str,
    methods: tuple[str, ...],
    pieces: str | None,
    estimator: str | None,
    background: str | None,
    fill: str | None,
    target: str | None,
    versus: str | None,
    span: tuple[float, float] | None,
    direction: Direction,
    keep: str | None,
    start: float | None,
    end: float | None,
    seed: int,
    settings: tuple[str, ...],
    trust: Trust,
    device: str,
    jobs: int,
    files: tuple[str, ...],
    overwrite: bool,
    output: str,
    as_json: bool,
) -> int:
    """Explain what a model made of sound files and folders of them."""
    from earwitness.cli.run import Run, Settings, make_requests
    from earwitness.types import Request

    if fill is not None:
        say("--fill is called --background now; the old name works in this version only")
    choices = {"pieces": pieces, "estimator": estimator, "background": background or fill}
    chosen = {name: text for name, text in choices.items() if text is not None}
    if not methods:
        methods = ("pieces",) if chosen else ("integrated-gradients",)
    common = Request(
        target=target, versus=versus, span=span, direction=direction, keep=keep, start=start,
        end=end, seed=seed, trust=trust,
    )  # fmt: skip
    requests = make_requests(
        tuple(dict.fromkeys(methods)), {**parse_settings(settings), **chosen}, common
    )
    how = Settings(model, device, output, overwrite, as_json, files, jobs)
    return Run(requests, how).over(clips)
