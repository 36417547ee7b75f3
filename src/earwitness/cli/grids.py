"""A run of a grid at the terminal: progress, results, and how to resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from earwitness.benchmark.engine import run_grid
from earwitness.benchmark.grid import Grid
from earwitness.benchmark.ledger import Line
from earwitness.benchmark.page import FIGURES, PAGE, TABLE, write_results
from earwitness.benchmark.rows import Row
from earwitness.cli.options import counted, printable, say
from earwitness.cli.stopping import line_a_minute, stoppable

T = TypeVar("T")


def run(
    grid: Grid,
    folder: Path,
    *,
    listen: bool,
    show: Callable[[list[Row]], None] | None = None,
    workers: int = 1,
) -> int:
    """Run a grid, write its tables and print their paths; return 1 if it was stopped.

    Parameters
    ----------
    show : callable, optional
        Called with the rows, to print them.
    workers : int >= 1
        Processes.
    """

    def work() -> tuple[list[Line], list[Row]]:
        with progress("measuring") as (start, step):
            lines = run_grid(grid, folder, workers=workers, on_start=start, on_clip=step)
        with progress("players") as (start, step):
            return lines, write_results(grid, folder, lines, listen=listen, on_clip=step)

    found = resumable(folder, work)
    if found is None:
        return 1
    lines, rows = found
    failed = [line["failed"] for line in lines if line["method"] is None]
    for text in dict.fromkeys(failed):
        say(f"earwitness: {text}")
    if show:
        show(rows)
    for name in (PAGE, TABLE, FIGURES):
        say(f"{folder / name}")
    return (1 if rows else 2) if failed else 0


def resumable(folder: Path, work: Callable[[], T]) -> T | None:
    """Return what work on a folder gives; None, with a line on how to resume, if it was stopped."""
    try:
        with stoppable():
            return work()
    except (KeyboardInterrupt, OSError):  # the latter when a terminal was closed
        say(f"earwitness: stopped; results are kept in {folder}, repeat the command to resume")
        return None


@contextmanager
def progress(
    what: str, noun: str = "sound"
) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """Show a progress bar at a terminal, and a line a minute elsewhere; a noun says of what."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    bar = Progress(
        TextColumn("{task.description}", markup=False), *columns, console=console, transient=True,
    )  # fmt: skip
    task = bar.add_task(what, total=None)
    begun = total = 0

    def start(number: int) -> None:
        nonlocal total
        total = number
        bar.update(task, total=total)
        say(f"{what}: {counted(total, noun)} left")

    def step(name: str) -> None:
        nonlocal begun
        bar.update(task, completed=begun, description=printable(name))
        begun += 1

    def line() -> str:
        if not total and not begun:
            return f"{what}: preparing models"
        done = max(begun - 1, 0)
        return f"{what}: {done} of {counted(total, noun)}" if total else f"{what}: {done} done"

    with bar if console.is_terminal else line_a_minute(line):
        yield start, step
