"""The progress of a collection: a bar at a terminal, a line in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[float, str], None]


@contextmanager
def watching(total: float, shown: bool | None) -> Iterator[Tell]:
    """Show how far a run is; gives the function that is told the passes done and what is done.

    Parameters
    ----------
    total : float
        Forward passes of the whole run.
    shown : bool or None
        None to show it at a terminal and in a notebook.
    """
    from rich.console import Console

    console = Console(stderr=True, force_jupyter=False)
    notebook = "ipykernel" in sys.modules
    if shown is False or (shown is None and not (console.is_terminal or notebook)):
        yield lambda _done, _text: None
    elif console.is_terminal:
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
            TimeRemainingColumn(), console=console, transient=True,
        )  # fmt: skip
        with bar:
            task = bar.add_task("explaining", total=total)
            yield lambda done, text: bar.update(task, completed=done, description=text)
    else:
        yield lambda done, text: _line(done / max(total, 1), text)
        sys.stderr.write("\n")


def _line(share: float, text: str) -> None:
    """Write over the line that is there."""
    sys.stderr.write(f"\r{min(share, 1):4.0%} {text[:60]:60}")
    sys.stderr.flush()
