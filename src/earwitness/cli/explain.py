"""``earwitness explain``: explain sounds, and write a report with files."""

from __future__ import annotations

from collections.abc import Iterator
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
    say,
    whole,
)
from earwitness.cli.results import Verb

if TYPE_CHECKING:
    from earwitness.types import Direction, Pool, Trust

_FILES = ("picture", "pieces", "gains", "magnitude")
_PAK = ("pak-saliency", "pak-gradcam", "pak-lime", "pak-shap")
_PUBLISHED = ("mosnet-lime", "mosnet-lime-repaired", "mosnet-lime-contrast", *_PAK)


def _names(_context: click.Context, _option: click.Parameter, text: str) -> tuple[str, ...]:
    """Read names separated by commas."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in _FILES:
            raise click.BadParameter(f"{name!r} is none of {', '.join(_FILES)}")
    return names


def _each(compat: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of pipelines; ``pak`` stands for its four."""
    for name in compat:
        yield from _PAK if name == "pak" else (name,)


@click.command(cls=Verb)
@click.argument("clips", nargs=-1, required=True, metavar="CLIP-OR-FOLDER...")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@model_options
@click.option(
    "--method", "methods", multiple=True, metavar="NAME",
    help="See earwitness methods; may be given several times.  [default: integrated-gradients, or "
    "pieces if pieces or estimator are given]",
)  # fmt: skip
@click.option(
    "--compat", multiple=True, type=click.Choice((*_PUBLISHED, "pak")),
    help="Repeat a published pipeline for comparison: LIME on a picture of the spectrogram, in "
    "which the model sees no perturbed input; the same repaired; and of two classes. pak: all four "
    "explanations of levels in dB (train classifier --front-end mel-db), defects included; "
    "--set repaired=true without them.",
)  # fmt: skip
@click.option("--pieces", metavar="P", help="Pieces of the sound: grid, superpixels, nmf x time.")
@click.option("--estimator", metavar="E", help="Estimator of weights: lime, kernel-shap, rise.")
@click.option(
    "--background",
    metavar="B",
    help="What replaces what a method removes, and the baseline of a method that has one: silence, "
    "noise-floor, mean, median or a file.  [default: mean for a regression, else silence]",
)
@click.option("--fill", hidden=True)
@click.option(
    "--target", metavar="C",
    help="Class or output to explain; default: predicted.  above:0.5 explains every label above "
    "this probability.",
)  # fmt: skip
@click.option("--versus", metavar="C", help="Explain the target against this class.")
@click.option(
    "--span", type=Finite("seconds"), nargs=2, metavar="S S",
    help="Explain the outputs between these seconds, of a model with outputs per frame.",
)  # fmt: skip
@click.option(
    "--direction", type=click.Choice(["up", "down"]), default="up", show_default=True,
    help="Explain what raises the value of a regression, or what lowers it.",
)  # fmt: skip
@click.option(
    "--keep", metavar="RULE",
    help="What the mask keeps: 80% of the positive attribution, area:10%, energy:50%, top:5%, "
    "minmax, threshold:0.5+ ... (see earwitness masks), file:mask.json that was drawn; then "
    ",smooth:1.5 or ,floor:-30dB.  [default: 80%, or the gains of a method that gives gains]",
)  # fmt: skip
@click.option(
    "--start",
    type=Finite("seconds"),
    metavar="S",
    help="Start of the part to explain, in seconds.",
)
@click.option(
    "--end",
    type=Finite("seconds"),
    metavar="S",
    help="End of the part to explain, in seconds.",
)
@click.option(
    "--pool", type=click.Choice(["mean", "max", "topk"]),
    help="How outputs for the windows of a long sound become one: their mean, the largest, or the "
    "mean of the three largest; of the latter two only the windows that decided are explained.  "
    "[default: what the model says, else mean]",
)  # fmt: skip
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    "--set", "settings", multiple=True, metavar="OPTION=VALUE",
    help="Option of a method, such as steps=128; see earwitness methods METHOD.",
)  # fmt: skip
@click.option(
    "--trust", type=click.Choice(["full", "light", "none"]), default="full", show_default=True,
    help="Scores of the trust card: 25 forward passes for each explanation, 7, or none.",
)  # fmt: skip
@click.option(
    "--curve/--no-curve", default=None,
    help="Score the mask at a dozen sizes, beside controls: 24 forward passes for each explanation "
    "and 48 for each sound.  [default: with a full trust card]",
)  # fmt: skip
@click.option(
    "--names", type=place, metavar="FILE",
    help="Your names of components, for l2i and its like: a CSV table, component,name.",
)  # fmt: skip
@click.option(
    "--data", type=place, metavar="FOLDER",
    help="The sounds that an interpreter was trained on: the page plays from there where each "
    "component is strongest.",
)  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option(
    "--jobs", type=whole(1, 1000), default=1, show_default=True,
    help="Number of processes.",
)  # fmt: skip
@click.option(
    "--files", callback=_names, default="", metavar="NAMES",
    help="Additional files, separated by commas: picture, pieces, gains, magnitude.",
)  # fmt: skip
@click.option(
    "--assets", metavar="NAME",
    help="Folder beside the page for sounds and maps, loaded when a sound is opened; by default "
    "they lie in the page.",
)  # fmt: skip
@click.option(
    "--no-audio", is_flag=True,
    help="Save no sound, and none in the page: maps, figures and a spectrogram only.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run.")
@click.option(
    "-o", "--output", default="earwitness-report", show_default=True, type=place, metavar="DIR",
    help="Folder for the report and its files.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON line per clip and method.")
def explain(
    clips: tuple[str, ...],
    model: str,
    model_settings: tuple[str, ...],
    trust_code: bool,
    methods: tuple[str, ...],
    compat: tuple[str, ...],
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
    curve: bool | None,
    names: str | None,
    pool: Pool | None,
    data: str | None,
    device: str,
    jobs: int,
    files: tuple[str, ...],
    assets: str | None,
    no_audio: bool,
    overwrite: bool,
    output: str,
    as_json: bool,
) -> int:
    """Explain a model's outputs for sound files and folders of them."""
    from earwitness.cli.run import Run, Settings, make_requests
    from earwitness.types import Request

    if fill is not None:
        say("--fill is now --background; the old name works in this version only")
    choices = {"pieces": pieces, "estimator": estimator, "background": background or fill}
    chosen = {name: text for name, text in choices.items() if text is not None}
    if not methods and not compat:
        methods = ("pieces",) if pieces or estimator else ("integrated-gradients",)
    for name in methods:
        if name in _PUBLISHED:
            raise click.UsageError(f"{name} repeats a published pipeline: --compat {name}")
    common = Request(
        target=target, versus=versus, span=span, direction=direction, keep=keep, start=start,
        end=end, seed=seed, trust=trust, curve=trust == "full" if curve is None else curve,
        names=names, pool=pool,
    )  # fmt: skip
    requests = make_requests(
        tuple(dict.fromkeys((*methods, *_each(compat)))),
        {**parse_settings(settings), **chosen},
        common,
    )
    if assets == "":
        raise click.UsageError("--assets takes the name of a folder")
    if no_audio and {"pieces", "magnitude"} & set(files):
        raise click.UsageError("--no-audio saves no sound: --files can be picture and gains")
    if data and no_audio:
        raise click.UsageError("--data is for sounds in the page, and --no-audio for none")
    if data and not Path(data).is_dir():
        raise click.UsageError(f"--data takes a folder of sounds, and {data} is none")
    named = model_name(model, model_settings, trust_code)
    how = Settings(
        named, device, output, overwrite, as_json, files, jobs, assets or "", not no_audio,
        data or "",
    )  # fmt: skip
    return Run(requests, how).over(clips)
