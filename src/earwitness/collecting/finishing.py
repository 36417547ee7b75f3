"""What is written beside the explanations of a sound once all of them are made."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from earwitness.errors import EarwitnessError
from earwitness.jobs.explaining import Task
from earwitness.report.clip import Saved
from earwitness.report.sections import write_section
from earwitness.store import load


def finish_sound(root: Path, data: str, task: Task, saved: Saved) -> None:
    """Write the report's section of a sound beside its explanations, old and new."""
    found = {folder.name: one for folder, one in saved}
    for name in task.others:
        if name not in found:
            with suppress(EarwitnessError):  # it cannot be read, and is not shown
                found[name] = load(task.folder / name, silent=True)
    order = dict.fromkeys([*task.others, *found])
    some = [(task.folder / name, found[name]) for name in order if name in found]
    write_section(root, some, audio=task.audio, data=data)
