"""``earwitness train mosnet``: train a model of speech quality on rated sounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from earwitness.cli.options import SEED, Number, place, say, whole
from earwitness.cli.results import Verb, emit
from earwitness.cli.training import progress


@click.command(cls=Verb)
@click.option("--data", required=True, type=place, metavar="FILE",
              help="A CSV table of names and scores; see below.")  # fmt: skip
@click.option("--sounds", type=place, metavar="FOLDER",
              help="Folder of the sounds.  [default: that of the table]")  # fmt: skip
@click.option("--variant", type=click.Choice(["cnn", "blstm", "cnn-blstm"]), default="cnn-blstm",
              show_default=True, help="The network.")  # fmt: skip
@click.option("--epochs", type=whole(1), help="Passes over the sounds, at most.")
@click.option("--batch", type=whole(1), help="Sounds per batch.")
@click.option("--rate", type=Number(0, above=True), help="Learning rate.")
@click.option("--patience", type=whole(0),
              help="Stop after so many epochs without progress; 0: never.")  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("-o", "--output", required=True, type=place, metavar="DIR",
              help="Folder for the model.")  # fmt: skip
def mosnet(data: str, sounds: str | None, device: str, output: str, **given: Any) -> int:
    """Train MOSNet, which predicts the opinion score of speech, frame by frame.

    FILE has the columns filename, score and, if wanted, system and split (train, valid, test); or
    it is the list of VCC 2018, lines of a name and a score. Without splits, a tenth of the sounds
    is used for validation. Correlations (lcc, srcc) and errors (mse) are those of sounds and, with
    systems, of the means of systems. An interrupted training resumes when the command is repeated
    with the same arguments.
    """
    from dataclasses import replace

    from earwitness.data.ratings import read_ratings
    from earwitness.models.registry import check_device
    from earwitness.train.mosnet import MOSNetSettings, train_mosnet
    from earwitness.train.settings import split

    rated = read_ratings(Path(data), Path(sounds) if sounds else None)
    settings = replace(
        MOSNetSettings(), **{name: one for name, one in given.items() if one is not None}
    )
    parts = {name: [one for one in rated if one.split == name] for name in ("valid", "test")}
    learn = [one for one in rated if one.split in ("", "train")]
    if not parts["valid"]:
        learn, parts["valid"] = split(learn, 0.1, settings.seed)
    counts = f"{len(learn)} sounds to train on, {len(parts['valid'])} to validate on"
    say(f"{counts}, {len(parts['test'])} to test on")
    check_device(device)
    with progress("training", settings.epochs) as on_epoch:
        facts = train_mosnet(learn, parts["valid"], settings, Path(output), test=parts["test"],
                             device=device, on_epoch=on_epoch)  # fmt: skip
    for title, name in (("validation", "validation"), ("test", "test_figures")):
        figures = facts.get(name, {})
        if figures:
            some = (f"{key} {value:.3g}" for key, value in figures.items() if value is not None)
            emit(f"{title}: {', '.join(some)}")
    emit(f"model: {output}")
    return 0
