"""``earwitness train``: a classifier on one's own labelled sounds."""

from __future__ import annotations

from pathlib import Path

import click

from earwitness.cli.options import say


@click.group()
def train() -> None:
    """Train a model that the other verbs can use."""


def _folds(text: str | None) -> set[int] | None:
    if text is None:
        return None
    try:
        return {int(part) for part in text.split(",")}
    except ValueError:
        raise click.UsageError(f"folds are numbers with commas between, got {text!r}") from None


@train.command()
@click.option("--data", required=True, metavar="FOLDER", help="Sounds with labels; see below.")
@click.option("--folds", metavar="N,N", help="Folds to train on; all that are not tested if none.")
@click.option("--test-folds", metavar="N,N", help="Folds to report on and never train on.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the data.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder for the model.")
def classifier(
    data: str,
    folds: str | None,
    test_folds: str | None,
    epochs: int | None,
    seed: int,
    output: str,
) -> int:
    """Train a compact CNN on labelled sounds.

    FOLDER holds either a CSV table with columns filename, category and fold (as ESC-50 is shipped,
    sounds in audio/), or one sub-folder per class. An interrupted training goes on when called
    again with the same words.
    """
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import track

    from earwitness.data.collection import read_collection
    from earwitness.models.checkpoint import default_recipe
    from earwitness.train.classifier import Settings, train_classifier

    held_out, wanted = _folds(test_folds) or set(), _folds(folds)
    items = read_collection(Path(data))
    learn = wanted or {item.fold for item in items} - held_out
    if learn & held_out:
        raise click.UsageError("a fold cannot be trained on and tested on")
    missing = (learn | held_out) - {item.fold for item in items}
    if missing:
        raise click.UsageError(f"{data} has no fold {min(missing)}")
    chosen = [item for item in items if item.fold in learn]
    test = [item for item in items if item.fold in held_out]
    recipe = default_recipe(sorted({item.label for item in items}))
    settings = replace(Settings(), seed=seed)
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    say(f"{len(chosen)} sounds of {len(recipe.labels)} classes to train on, {len(test)} to test on")
    ticks = iter(
        track(range(settings.epochs), "training", console=Console(stderr=True), transient=True)
    )

    def on_epoch(epoch: int, loss: float) -> None:
        next(ticks, None)
        if epoch % 10 == 0:
            say(f"epoch {epoch}: loss {loss:.3f}")

    facts = train_classifier(chosen, recipe, settings, Path(output), test=test, on_epoch=on_epoch)
    if test:
        figures = facts["test"]
        click.echo(
            f"accuracy {figures['accuracy']:.3f}, calibration error {figures['ece']:.3f} on "
            f"{figures['sounds']} sounds"
        )
    click.echo(f"model: {output}")
    return 0
