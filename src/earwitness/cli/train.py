"""``earwitness train``: train a classifier, or a decoder or interpreter that explains one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from earwitness.cli.options import SEED, Number, place, say, whole
from earwitness.cli.results import Verbs, emit
from earwitness.cli.train_flint import flint
from earwitness.cli.train_l2i import l2i
from earwitness.cli.train_mosnet import mosnet
from earwitness.cli.train_piq import piq
from earwitness.cli.training import (
    changed_settings,
    explained_options,
    folds_of,
    loop_options,
    readable,
    train_explainer,
)


@click.group(cls=Verbs)
def train() -> None:
    """Train a model, or a decoder or an interpreter that explains one."""


for explainer in (l2i, flint, piq, mosnet):
    train.add_command(explainer)


@train.command()
@click.option(
    "--data", required=True, type=place, metavar="FOLDER", help="Sounds with labels; see below."
)
@click.option("--folds", metavar="N,N", help="Folds to train on; default: all but test folds.")
@click.option("--test-folds", metavar="N,N", help="Folds to test on; not used in training.")
@click.option("--multi-label", is_flag=True, help="Each sound has any number of labels, separated "
              "by ; in the category.")  # fmt: skip
@click.option("--front-end", type=click.Choice(["log-mel", "mel-db", "stft-db"]),
              default="log-mel", show_default=True,
              help="Features: the default ones, or published ones in dB (Pak and Teryokhina 2025).",
              )  # fmt: skip
@click.option("--architecture", type=click.Choice(["compact", "cnn14"]), default="compact",
              show_default=True, help="The compact CNN, or CNN14 of PANNs (80 million weights)."
              )  # fmt: skip
@click.option("--start", type=place, metavar="FILE.pth", help="With cnn14: begin with the weights "
              "that PANNs published; the last layer is new.")  # fmt: skip
@click.option("--epochs", type=whole(1), help="Passes over the data.")
@click.option("--batch", type=whole(2), help="Sounds per batch.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option(
    "-o", "--output", required=True, type=place, metavar="DIR", help="Folder for the model."
)
def classifier(
    data: str,
    folds: str | None,
    test_folds: str | None,
    multi_label: bool,
    front_end: str,
    architecture: Any,
    start: str | None,
    epochs: int | None,
    batch: int | None,
    seed: int,
    device: str,
    output: str,
) -> int:
    """Train a compact CNN, or CNN14, on labelled sounds.

    FOLDER holds either a CSV table with columns filename, category and fold (the layout of ESC-50,
    sounds in audio/), or one sub-folder per class. An interrupted training resumes when the command
    is repeated with the same arguments.
    """
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import track

    from earwitness.data.collection import read_collection
    from earwitness.models.registry import check_device
    from earwitness.models.zoo.checkpoint import default_recipe
    from earwitness.train.classifier import CNN14_SETTINGS, Settings, train_classifier, work_of

    if start is not None and architecture != "cnn14":
        raise click.UsageError("--start is of --architecture cnn14")
    held_out, wanted = folds_of(test_folds) or set(), folds_of(folds)
    items = read_collection(Path(data))
    learn = wanted or {item.fold for item in items} - held_out
    if learn & held_out:
        raise click.UsageError("a fold cannot be used for both training and test")
    missing = (learn | held_out) - {item.fold for item in items}
    if missing:
        raise click.UsageError(f"{data} has no fold {min(missing)}")
    used = [item.path for item in items if item.fold in learn | held_out]
    bad = set(used) - set(readable(used))
    items = [item for item in items if item.path not in bad]
    chosen = [item for item in items if item.fold in learn]
    test = [item for item in items if item.fold in held_out]
    if multi_label:
        tags = {one for item in items for one in item.labels}
        recipe = default_recipe(sorted(tags), "multi-label", front_end, architecture)
    else:
        names = sorted({item.label for item in items})
        recipe = default_recipe(names, front_end=front_end, architecture=architecture)
    settings = replace(CNN14_SETTINGS if architecture == "cnn14" else Settings(), seed=seed)
    given: dict[str, Any] = {"epochs": epochs, "batch": batch}
    settings = replace(settings, **{name: one for name, one in given.items() if one is not None})
    say(f"{len(chosen)} sounds of {len(recipe.labels)} classes to train on, {len(test)} to test on")
    if architecture == "cnn14":
        say(work_of(recipe, settings, len(chosen)))
    ticks = iter(
        track(range(settings.epochs), "training", console=Console(stderr=True), transient=True)
    )

    def on_epoch(epoch: int, loss: float) -> None:
        next(ticks, None)
        if epoch % 10 == 0:
            say(f"epoch {epoch}: loss {loss:.3f}")

    check_device(device)
    facts = train_classifier(
        chosen, recipe, settings, Path(output), test=test, device=device,
        start=None if start is None else Path(start), on_epoch=on_epoch,
    )  # fmt: skip
    if test:
        figures = facts["test"]
        written = {key: "-" if one is None else f"{one:.3f}" for key, one in figures.items()}
        emit(
            f"macro AUPRC {written['macro_auprc']}, micro AUPRC {written['micro_auprc']}, "
            f"largest F1 {written['max_f1']} on {figures['sounds']} sounds"
            if multi_label
            else f"accuracy {written['accuracy']}, calibration error {written['ece']} on "
            f"{figures['sounds']} sounds"
        )
    emit(f"model: {output}")
    return 0


@train.command()
@explained_options("Layer whose activations the decoder takes")
@click.option("--from", "start", type=place, metavar="DIR", help="Decoder to fine-tune.")
@click.option("--guidance", type=Number(0),
              help="Weight of the distance to the true source of mixtures.")  # fmt: skip
@click.option("--alike", type=Number(0, 1),
              help="Least cosine of evidence and source for guidance (CCT).")  # fmt: skip
@click.option("--inside", type=Number(0), help="Weight of the evidence's loss.")
@click.option("--outside", type=Number(0), help="Weight of the remainder's loss.")
@click.option("--size", type=Number(0), help="Weight of the mean gain.")
@click.option("--compat", type=click.Choice(["lmac"]),
              help="Use the published decoder, domain and weights of the loss; its mask can "
              "become a comb along frequency.")  # fmt: skip
@loop_options("decoder")
def lmac(start: str | None, **given: Any) -> int:
    """Train L-MAC's decoder, which explains a model in one forward pass.

    FOLDER holds sounds of any kind, in sub-folders or not; a tenth of them is used for validation.
    If it holds a CSV table with columns filename, category and fold (the layout of ESC-50), folds
    can be chosen. An interrupted training resumes when the command is repeated with the same
    arguments.

    Several GPUs, or several processes: torchrun --nproc-per-node 2 -m earwitness train lmac ...
    """
    from functools import partial

    from earwitness.decoders.folder import load_explainer
    from earwitness.train.lmac import train_lmac

    train = partial(train_lmac, start=load_explainer(Path(start)) if start else None)
    return train_explainer(train, lmac_settings(given), given, "decoder")


def lmac_settings(given: dict[str, Any]) -> Any:
    """Return the default settings, updated by the given options."""
    from dataclasses import replace

    from earwitness.train.settings import Settings, published

    settings = Settings()
    if given["batch"] is not None:
        settings = replace(settings, batch=given["batch"])
    return changed_settings(published(settings) if given["compat"] else settings, given)
