"""``earwitness evaluate``: compare methods for a model on a folder of sounds."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import click

from earwitness.cli.options import MODEL_HELP, SEED, model_name, model_options, place, say, whole
from earwitness.cli.results import Verb, emit

_METHODS = ("integrated-gradients", "gradcam", "lime")
_METRICS = (
    *("faithfulness", "faithfulness-logit", "average-drop", "average-gain", "fidelity"),
    *("log-odds", "sparseness", "level", "clicks"),
)


@click.command(
    cls=Verb, help=f"Compare methods for MODEL on the sounds in FOLDER.\n\nMODEL: {MODEL_HELP}"
)
@click.argument("model", metavar="MODEL")
@click.argument("folder", type=place, metavar="FOLDER")
@model_options
@click.option(
    "--method", "methods", multiple=True, default=_METHODS, show_default=True, metavar="NAME",
    help="See earwitness methods; may be given several times.",
)  # fmt: skip
@click.option("--target", metavar="C", default="", help="Class or output to explain.")
@click.option(
    "--keep", "masks", multiple=True, default=("area:10%", "80%"), show_default=True,
    metavar="RULE", help="Masks of every method; see earwitness masks.",
)  # fmt: skip
@click.option(
    "--match",
    type=click.Choice(["effective-area"]),
    help="Cut masks like area:10% so that the evidence as heard has that effective area.",
)
@click.option(
    "--metric", "metrics", multiple=True, default=_METRICS, metavar="NAME",
    help="See earwitness metrics; stability, sanity, transfer and stoi cost more.",
)  # fmt: skip
@click.option("--other", metavar="MODEL", help="Another classifier, for --metric transfer.")
@click.option("--seed", "seeds", type=SEED, multiple=True, default=(0,),
              show_default=True, help="May be given several times.")  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option(
    "--jobs", type=whole(1, 1000), default=1, show_default=True,
    help="Number of processes.",
)  # fmt: skip
@click.option("--no-listening", is_flag=True, help="Omit the players.")
@click.option(
    "-o", "--output", default="earwitness-evaluation", show_default=True, type=place, metavar="DIR",
    help="Folder for the results.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON line per method and mask.")
def evaluate(
    model: str,
    folder: str,
    model_settings: tuple[str, ...],
    trust_code: bool,
    methods: tuple[str, ...],
    target: str,
    masks: tuple[str, ...],
    match: str | None,
    metrics: tuple[str, ...],
    other: str | None,
    seeds: tuple[int, ...],
    device: str,
    jobs: int,
    no_listening: bool,
    output: str,
    as_json: bool,
) -> int:
    """Run a grid of one model and one folder."""
    from earwitness.benchmark.grid import Grid, Part, choose
    from earwitness.benchmark.reruns import check_metrics, cost, fields_of
    from earwitness.benchmark.rows import Row
    from earwitness.benchmark.tables import markdown
    from earwitness.cli.grids import run
    from earwitness.data.clips import folder as clips_in
    from earwitness.errors import AudioError
    from earwitness.jobs.pool import ModelName
    from earwitness.matching import matched_rule
    from earwitness.models.fingerprint import identity
    from earwitness.models.registry import load_model
    from earwitness.models.target import output_index

    model = model_name(model, model_settings, trust_code)
    found = load_model(model, device=device)
    if target:
        output_index(found, target)
    regression = found.task == "regression"
    part = Part(model, lambda _: found, tuple(clips_in(paths=[folder], target=target)),
                ModelName(model, device))  # fmt: skip
    second = None if other is None else load_model(other, device=device)
    facts = {"target": target} | ({"other": identity(second)} if second else {})
    grid = Grid(
        name="evaluation",
        parts=(part,),
        methods=tuple(choose(name) for name in dict.fromkeys(methods)),
        masks=tuple(dict.fromkeys(map(matched_rule, masks) if match else masks)),
        metrics=tuple(dict.fromkeys(metrics)),
        seeds=tuple(dict.fromkeys(seeds)),
        rank="faithfulness-logit" if regression else "faithfulness",
        facts=facts,
        other=second,
    )
    check_metrics(grid, found)
    if fields_of(grid):
        with suppress(AudioError):  # a sound that cannot be read is reported by the run
            for line in cost(grid, found, part.clips[0].make(found.rate).input):
                say(line)

    def show(rows: list[Row]) -> None:
        if not as_json:
            emit(markdown(rows, grid.metrics), nl=False)
            return
        for row in rows:
            emit(json.dumps(row.facts(), allow_nan=False))

    return run(grid, Path(output), listen=not no_listening, show=show, workers=jobs)
