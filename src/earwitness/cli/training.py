"""What the commands that train share: folds, readable sounds, and a bar of progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from earwitness.cli.options import (
    DEFAULT_MODEL,
    MODEL_HELP,
    SEED,
    Finite,
    Number,
    place,
    say,
    whole,
)
from earwitness.cli.results import emit

if TYPE_CHECKING:
    from earwitness.train.contamination import Contamination
    from earwitness.train.settings import LoopSettings

_BEGINNING = 0.1  # s, read of each sound to test whether it is readable
_EVERY = 5  # epochs between lines in the log
F = TypeVar("F", bound=Callable[..., int])
S = TypeVar("S", bound="LoopSettings")


def explained_options(layers: str) -> Callable[[F], F]:
    """Return a decorator that adds options: the explained model, its layers, and the sounds.

    Parameters
    ----------
    layers : str
        What ``--layer`` names.
    """
    return _options(
        click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP),
        click.option("--data", required=True, type=place, metavar="FOLDER",
                     help="Sounds; labels are not needed.  See below."),
        click.option("--folds", metavar="N,N",
                     help="Folds to train on, if there is a table of folds."),
        click.option("--valid-folds", metavar="N,N", help="Folds to validate on."),
        click.option("--layer", "layers", multiple=True, metavar="NAME",
                     help=f"{layers}; default: automatic."),
    )  # fmt: skip


def loop_options(product: str) -> Callable[[F], F]:
    """Return a decorator that adds options: contaminations, epochs and the like, and the output.

    Parameters
    ----------
    product : str
        What is trained, such as ``decoder``.
    """
    return _options(
        click.option("--contaminate", "kinds", multiple=True, metavar="KIND",
                     help="mixture, white, pink or a folder of sounds; may be given several times; "
                     "none for no contamination."),
        click.option("--snr", type=Finite("dB"), nargs=2, metavar="DB DB",
                     help="Range of SNRs of contaminations."),
        click.option("--epochs", type=whole(1), help="Passes over the sounds."),
        click.option("--batch", type=whole(2), help="Sounds per batch."),
        click.option("--crop", type=Number(0.1, 3600), help="Length of the crops in seconds."),
        click.option("--rate", type=Number(0, above=True), help="Peak learning rate."),
        click.option("--patience", type=whole(0),
                     help="Stop after so many epochs without progress; 0: never."),
        click.option("--amp", is_flag=True, help="Mixed precision in bfloat16."),
        click.option("--device", default="cpu", show_default=True, help="Torch device."),
        click.option("--seed", type=SEED, default=0, show_default=True),
        click.option("-o", "--output", required=True, type=place, metavar="DIR",
                     help=f"Folder for the {product}."),
    )  # fmt: skip


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def changed_settings(settings: S, given: Mapping[str, Any], *names: str) -> S:
    """Return settings updated by the options of ``loop_options`` and others of some names.

    Weights of the loss are updated by options of their names.
    """
    wanted = {name: value for name, value in given.items() if value is not None}
    plain = ("epochs", "batch", "crop", "rate", "patience", "seed", *names)
    changes = {name: wanted[name] for name in plain if name in wanted}
    weights = getattr(settings, "weights", None)
    if weights is not None:
        own = {name: wanted[name] for name in vars(weights) if name in wanted}
        changes["weights"] = replace(weights, **own)
    return replace(
        settings,
        contamination=contaminated(settings.contamination, wanted),
        mixed_precision=wanted["amp"],
        **changes,
    )


def train_explainer(
    train: Callable[..., Any], settings: LoopSettings, given: Mapping[str, Any], product: str
) -> int:
    """Train an explainer as a command asks for it, and print its validation and its folder.

    Parameters
    ----------
    train : callable
        ``train(model, sounds, held_out, settings, folder, *, layers, workers, on_epoch)``.
    given : mapping
        Options of ``explained_options`` and ``loop_options``.
    product : str
        What is trained, such as ``interpreter``.
    """
    from earwitness.models.registry import load_model
    from earwitness.train.progress import Workers

    workers, device = Workers.here(given["device"])
    folds = folds_of(given["folds"]), folds_of(given["valid_folds"])
    learn, held_out = sounds_of(Path(given["data"]), *folds, settings.seed)
    explained = load_model(given["model"], device=device)
    first = workers.rank == 0
    if first:
        say(f"{len(learn)} sounds to train on, {len(held_out)} to validate on")
    with progress("training", settings.epochs, shown=first) as on_epoch:
        found = train(explained, learn, held_out, settings, Path(given["output"]),
                      layers=given["layers"], workers=workers, on_epoch=on_epoch)  # fmt: skip
    if first:
        best = found.facts["validation"]
        emit(", ".join(f"{name} {value:.3g}" for name, value in best.items()))
        emit(f"{product}: {given['output']}")
    return 0


@contextmanager
def progress(
    title: str, epochs: int, *, shown: bool = True
) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Show a bar, and yield what is called with finished epochs and the figures of the last one.

    Every fifth epoch and the last one are also printed.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), TextColumn("{task.fields[now]}"),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True,
                  disable=not shown) as bar:  # fmt: skip
        task = bar.add_task(title, total=epochs, now="")

        def on_epoch(epoch: int, figures: dict[str, float]) -> None:
            text = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
            bar.update(task, completed=epoch, now=text)
            if shown and (epoch % _EVERY == 0 or epoch == epochs):
                say(f"epoch {epoch}: {text}")

        yield on_epoch


def contaminated(default: Contamination, given: Mapping[str, Any]) -> Contamination:
    """Return how training sounds are contaminated, by ``--contaminate`` and ``--snr``."""
    wanted: dict[str, Any] = {}
    if given.get("kinds"):
        wanted["kinds"] = () if given["kinds"] == ("none",) else given["kinds"]
    if "snr" in given:
        wanted["low"], wanted["high"] = given["snr"]
    return replace(default, **wanted)


def folds_of(text: str | None) -> set[int] | None:
    """Read numbers of folds separated by commas."""
    if text is None:
        return None
    try:
        return {int(part) for part in text.split(",")}
    except ValueError:
        raise click.UsageError(f"folds are numbers separated by commas, got {text!r}") from None


def sounds_of(
    data: Path, folds: set[int] | None, valid: set[int] | None, seed: int
) -> tuple[list[Path], list[Path]]:
    """Return paths to train on and to validate on."""
    from earwitness.clips import find_clips
    from earwitness.data.collection import read_collection
    from earwitness.errors import AudioError
    from earwitness.train.settings import split

    if not data.is_dir():
        raise AudioError(f"{data}: no such folder of sounds")
    if folds is None and valid is None:
        return split(readable(find_clips([data])), 0.1, seed)
    items = read_collection(data)
    known = {item.fold for item in items}
    missing = ((folds or set()) | (valid or set())) - known
    if missing:
        raise click.UsageError(f"{data} has no fold {min(missing)}")
    if (folds or set()) & (valid or set()):
        raise click.UsageError("a fold cannot be used for both training and validation")
    wanted = folds or known - (valid or set())
    learn = readable([item.path for item in items if item.fold in wanted])
    if not valid:
        return split(learn, 0.1, seed)
    return learn, readable([item.path for item in items if item.fold in valid])


def readable(paths: list[Path]) -> list[Path]:
    """Return the sounds whose beginning is readable, and print those left out."""
    from earwitness.audio import read_audio
    from earwitness.errors import AudioError

    good = []
    for path in paths:
        try:
            read_audio(path, end=_BEGINNING)
            good.append(path)
        except AudioError as error:
            say(f"left out: {error}")
    return good
