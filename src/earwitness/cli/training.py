"""What the commands that train share: folds, readable sounds, and a bar of progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from earwitness.cli.options import say

if TYPE_CHECKING:
    from earwitness.train.contamination import Contamination

_BEGINNING = 0.1  # s, read of each sound to test whether it is readable
_EVERY = 5  # epochs between lines in the log


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
    from earwitness.audio import find_clips
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
