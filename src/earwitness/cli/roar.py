"""``earwitness bench roar``: remove what methods find important, and train anew."""

from __future__ import annotations

import json
from pathlib import Path

import click

from earwitness.cli.options import DEFAULT_MODEL, MODEL_HELP, SEED, Number, place, say, whole
from earwitness.cli.randomisation import method_options, method_settings
from earwitness.cli.results import Verb, emit
from earwitness.cli.training import folds_of

_METHODS = ("gradcam", "input-x-gradient", "integrated-gradients")


@click.command(cls=Verb)
@click.argument("folder", type=place, metavar="FOLDER")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@method_options(_METHODS)
@click.option("--share", "shares", multiple=True, type=Number(0, 100, above=True),
              default=(10, 30, 50, 70, 90), show_default=True,
              help="Of the cells, in %; may be given several times.")  # fmt: skip
@click.option("--folds", default="1,2,3", show_default=True, metavar="N,N",
              help="Folds to train on.")  # fmt: skip
@click.option("--test-folds", default="4", show_default=True, metavar="N,N",
              help="Folds to test on.")  # fmt: skip
@click.option("--seconds", type=Number(0.1, 60), default=5.0, show_default=True,
              help="Length of the sounds, cut at the loudest segment.")  # fmt: skip
@click.option("--crop", type=Number(0.1, 60), help="Length of training examples in seconds, at "
              "most that of the sounds.  [default: that of train classifier]")  # fmt: skip
@click.option("--epochs", type=whole(1), help="Of every training.  [default: that of train "
              "classifier]")  # fmt: skip
@click.option("--seed", "seeds", type=SEED, multiple=True, default=(0, 1, 2), show_default=True,
              help="Of the trainings; may be given several times.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON line per method.")
@click.option("-o", "--output", type=place, metavar="DIR", default="earwitness-roar",
              show_default=True, help="Folder of the results.")  # fmt: skip
def roar(
    folder: str,
    model: str,
    methods: tuple[str, ...],
    settings: tuple[str, ...],
    shares: tuple[float, ...],
    folds: str,
    test_folds: str,
    seconds: float,
    crop: float | None,
    epochs: int | None,
    seeds: tuple[int, ...],
    as_json: bool,
    output: str,
) -> int:
    """Remove what methods find important, and train a classifier anew (ROAR).

    FOLDER holds labelled sounds with folds. The cells that a method ranks highest are replaced in
    every sound, and the default classifier is trained and tested on what is left; with the controls
    random and energy beside. There is a training for every method, share and seed: hours at the
    default size, and it is said first how many. An interrupted run resumes when the command is
    repeated with the same arguments.
    """
    from dataclasses import replace

    from earwitness.benchmark.grid import choose
    from earwitness.benchmark.ledger import Line
    from earwitness.benchmark.sanity.roar import Roar, run_roar
    from earwitness.benchmark.sanity.roar_tables import markdown, write_results
    from earwitness.cli.grids import progress, resumable
    from earwitness.data.collection import read_collection
    from earwitness.models.registry import load_model
    from earwitness.train.classifier import Settings

    options = method_settings(methods, settings)
    learn, held_out = folds_of(folds) or set(), folds_of(test_folds) or set()
    if learn & held_out:
        raise click.UsageError("a fold cannot be used for both training and test")
    items = read_collection(Path(folder))
    missing = (learn | held_out) - {item.fold for item in items}
    if missing:
        raise click.UsageError(f"{folder} has no fold {min(missing)}")
    base = Settings() if epochs is None else replace(Settings(), epochs=epochs)
    base = replace(base, crop=min(crop or base.crop, seconds))
    plan = Roar(
        model=load_model(model),
        train=tuple(item for item in items if item.fold in learn),
        test=tuple(item for item in items if item.fold in held_out),
        methods=tuple(choose(name, **options.get(name, {})) for name in dict.fromkeys(methods)),
        shares=tuple(dict.fromkeys(share / 100 for share in shares)),
        seconds=seconds,
        settings=base,
        seeds=tuple(dict.fromkeys(seeds)),
    )
    place = Path(output)

    def work() -> list[Line]:
        with progress("trainings", noun="training") as (start, step):
            return run_roar(plan, place, on_start=start, on_training=step)

    lines = resumable(place, work)
    if lines is None:
        return 1
    about = (
        f"{len(plan.train)} sounds to train on (folds {folds}) and {len(plan.test)} to test on "
        f"(folds {test_folds}), {seconds:g} s each, {base.epochs} epochs of examples of "
        f"{base.crop:g} s, {len(plan.seeds)} seeds; {model} is explained, the default classifier "
        "is trained."
    )
    rows, files = write_results(place, lines, about)
    for row in rows:
        if as_json:
            emit(json.dumps(row.facts(), allow_nan=False))
    if not as_json:
        emit(markdown(rows), nl=False)
    for path in files:
        say(str(path))
    return 0
