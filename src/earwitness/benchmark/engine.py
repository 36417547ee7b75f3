"""Run a grid sound by sound; results are lines of a file, and an interrupted run resumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from earwitness.benchmark.cells import failed_line, measure_clip
from earwitness.benchmark.grid import Grid, Part
from earwitness.benchmark.ledger import Ledger, Line, arrange, read_lines
from earwitness.benchmark.reruns import check_metrics
from earwitness.data.clips import Clip
from earwitness.errors import EarwitnessError, OutputError
from earwitness.files import held, write_json
from earwitness.jobs.pool import ModelName, Pool
from earwitness.models.fingerprint import changed, identity
from earwitness.models.model import Model
from earwitness.provenance import commit, versions

LINES = "cells.jsonl"
_KEY = "run.json"


class Keyed(Protocol):
    """A run, with a key of everything that its results depend on."""

    def key(self) -> dict[str, Any]:
        """Return all settings on which the results depend, as plain JSON values."""


class Planned(Keyed, Protocol):
    """A run of models on their sounds."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Models and their sounds."""


G = TypeVar("G", bound=Planned)
Tick = Callable[[int], None]
Measure = Callable[[Model, str, Clip, G, Tick | None], list[Line]]


@dataclass(frozen=True)
class SoundTask(Generic[G]):
    """A sound to measure.

    Attributes
    ----------
    model : str
        Name of the model in the results.
    clip : Clip
    grid : Planned
    measure : callable
        Returns its lines.
    """

    model: str
    clip: Clip
    grid: G
    measure: Measure[G]

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.clip.name


def measure_task(model: Model, task: SoundTask[G], on_passes: Tick) -> Iterator[list[Line]]:
    """Yield the lines of a sound."""
    yield task.measure(model, task.model, task.clip, task.grid, on_passes)


def run_grid(
    grid: Grid,
    folder: Path,
    *,
    workers: int = 1,
    on_start: Callable[[int], None] | None = None,
    on_clip: Callable[[str], None] | None = None,
    on_passes: Tick | None = None,
) -> list[Line]:
    """Run the missing sounds of a grid, and return the lines of all sounds; see ``run``.

    Parameters
    ----------
    workers : int >= 1
        Processes; several load the models of the grid, and the one it compares with, by name.
    """
    sent = grid
    measure: Measure[Grid] = measure_clip
    if workers > 1:  # models are not sent
        sent = replace(grid, parts=(), other=None)
        if grid.other is not None:
            other = ModelName(grid.other.loaded, str(grid.other.device))
            measure = partial(_measure_beside, other)
    return run(
        grid, folder, measure, check_metrics, workers=workers, sent=sent,
        on_start=on_start, on_clip=on_clip, on_passes=on_passes,
    )  # fmt: skip


def _measure_beside(
    other: ModelName, model: Model, name: str, clip: Clip, grid: Grid, tick: Tick | None
) -> list[Line]:
    """Return the lines of a sound in a worker, with another model to compare with."""
    return measure_clip(model, name, clip, replace(grid, other=_other_model(other)), tick)


@cache
def _other_model(named: ModelName) -> Model:
    return named.load()


def run(
    grid: G,
    folder: Path,
    measure: Measure[G],
    check: Callable[[G, Model], None] = lambda _grid, _model: None,
    *,
    workers: int = 1,
    sent: G | None = None,
    on_start: Callable[[int], None] | None = None,
    on_clip: Callable[[str], None] | None = None,
    on_passes: Tick | None = None,
) -> list[Line]:
    """Measure the missing sounds of a plan, and return the lines of all sounds.

    A run is resumed only if models, sounds and files named by options are still the same, by
    content. It may be killed at any moment; called again, it ends with the lines of an
    uninterrupted run, except for the times in them.

    Parameters
    ----------
    folder : Path
        Made with its parents; holds the lines (``cells.jsonl``) and the grid (``run.json``).
    measure : callable
        Returns the lines of one sound: ``measure(model, name, clip, grid, on_passes)``.
    check : callable, optional
        Raises if a model cannot be measured, before anything is run: ``check(grid, model)``.
    workers : int >= 1
        Processes. A sound that ends its worker twice has a failure among the lines that are
        returned, and is tried again when the run is repeated.
    sent : optional
        The plan as workers get it, without what cannot be sent to another process.
    on_start : callable, optional
        Called with the number of sounds left.
    on_clip : callable, optional
        Called with the name of each sound, before it is run.
    on_passes : callable, optional
        Called with the number of forward passes, as they are made in this process.

    Raises
    ------
    OutputError
        If the folder holds a run of another grid, or of a model or a sound that has changed, cannot
        be written, or is in use by another run.
    """
    facts = {"versions": versions(), "commit": commit()}
    with held(folder), open_ledger(grid, folder) as ledger:
        models = {part.model: part.load(folder) for part in grid.parts}
        for model in models.values():
            check(grid, model)
        _check_models(folder, models, fresh=not ledger.done)
        for part in grid.parts:
            _check_sounds(folder, part, models[part.model], ledger.done)
        todo = [
            (part, [clip for clip in part.clips if (part.model, clip.name) not in ledger.done])
            for part in grid.parts
        ]
        if on_start:
            on_start(sum(len(clips) for _, clips in todo))
        lost: list[Line] = []

        def leave(task: SoundTask[G], reason: str) -> list[list[Line]]:
            names = {"model": task.model, "clip": task.name, "group": task.clip.group}
            lost.append(
                {
                    **names,
                    "sound": None,
                    "left": 0,
                    **failed_line(f"{task.name}: {reason}"),
                    **facts,
                }
            )
            return []

        for part, clips in todo:
            tasks = [SoundTask(part.model, clip, sent or grid, measure) for clip in clips]
            several = None if workers == 1 else part.named or _Loaded(part, folder)
            with Pool(several or models[part.model], workers) as pool, closing(
                pool.run(
                    measure_task, tasks, on_passes=on_passes, lost=leave,
                    on_begin=lambda task: on_clip(task.name) if on_clip else None,
                )
            ) as found:  # fmt: skip
                for lines in found:
                    ledger.add([{**line, **facts} for line in lines])
        arrange(
            folder / LINES, [(part.model, clip.name) for part in grid.parts for clip in part.clips]
        )
    return [*read_lines(folder / LINES), *lost]


@dataclass(frozen=True)
class _Loaded:
    """The model of a part, for a worker."""

    part: Part
    folder: Path

    def load(self) -> Model:
        """Return the model."""
        return self.part.load(self.folder)


def _check_models(folder: Path, models: Mapping[str, Model], *, fresh: bool) -> None:
    """Note what the models are, or raise if they are others than those of the run so far."""
    path = folder / _KEY
    run = json.loads(path.read_text(encoding="utf-8"))
    here = {name: identity(model) for name, model in models.items()}
    if fresh:
        write_json(path, {**run, "models": here})
        return
    for name, one in here.items():
        difference = changed(run.get("models", {}).get(name), one)
        if difference:
            raise OutputError(
                f"{folder}: holds results of {name} with other {difference}; choose another folder"
            )


def _check_sounds(
    folder: Path, part: Part, model: Model, done: Mapping[tuple[str, str], str | None]
) -> None:
    """Raise if a sound has changed since it was measured."""
    for clip in part.clips:
        if (part.model, clip.name) not in done:
            continue
        try:
            digest = clip.make(model.rate).digest
        except EarwitnessError:
            digest = None
        if digest != done[part.model, clip.name]:
            raise OutputError(
                f"{folder}: holds results of another {clip.name}, which has changed since; choose "
                "another folder"
            )


def open_ledger(grid: Keyed, folder: Path) -> Ledger:
    """Write the key of a run to its folder, which is ``held``, and open its results.

    A grid without any result is replaced: it may have named a model that does not exist.

    Raises
    ------
    OutputError
        If the folder holds results of another grid.
    """
    path, key = folder / _KEY, json.loads(json.dumps(grid.key()))
    try:
        there = None
        if path.exists():
            there = json.loads(path.read_text(encoding="utf-8"))
        elif any(folder.iterdir()):
            raise OutputError(f"{folder}: is not empty and holds no run; choose another folder")
        else:
            write_json(path, key)
        lines = folder / LINES
        different = [name for name in key if there is not None and there.get(name) != key[name]]
        if different and lines.exists() and read_lines(lines):
            raise OutputError(
                f"{folder}: holds a run with other {different[0]}; choose another folder"
            )
        if different:
            write_json(path, key)
        return Ledger(lines)
    except (ValueError, RecursionError, AttributeError) as error:
        raise OutputError(f"{path}: damaged; choose another folder") from error
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
