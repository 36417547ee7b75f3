"""The progress of a scan at the terminal, with the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from earwitness.cli.stopping import line_a_minute
from earwitness.recordings.plan import Progress as Reached


@contextmanager
def watching() -> Iterator[Callable[[Reached], None]]:
    """Show a bar for each stage, or a line a minute where there is no terminal.

    Gives the function that is called with the progress.
    """
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        TimeRemainingColumn(), console=console, transient=True,
    )  # fmt: skip
    bars = {}

    def tell(reached: Reached) -> None:
        if reached.stage not in bars:
            bars[reached.stage] = progress.add_task(reached.stage, total=reached.total or None)
        progress.update(bars[reached.stage], completed=reached.done)

    def line() -> str:
        if not progress.tasks:
            return "starting"
        task = progress.tasks[-1]
        left = task.time_remaining
        rest = "" if left is None else f", about {left / 60:.0f} min left"
        return f"{task.description}: {task.percentage:.0f} %{rest}"

    with progress if console.is_terminal else line_a_minute(line):
        yield tell
