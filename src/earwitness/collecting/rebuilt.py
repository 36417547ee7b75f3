"""The page of a folder of results, written again from what is saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from earwitness.collecting.joined import explanations_in, known_of, write_joined
from earwitness.errors import OutputError
from earwitness.files import held
from earwitness.report.folder import ReportFolder
from earwitness.report.record import PAGE, RECORD

_SCAN = "scan.json"


def rebuild(folder: Path, *, on_missing: Callable[[str], None] | None = None) -> Path:
    """Write the page of a folder of results again, and return its path.

    Sections of a page that is there are kept; others are rendered from the saved explanations.

    Parameters
    ----------
    folder : Path
        What ``explain`` or ``Explanation.save`` wrote.
    on_missing : callable, optional
        Called with a line on each explanation that cannot be read.

    Raises
    ------
    OutputError
        If it holds no results, or those of a scan, whose page has more than explanations.
    """
    if (folder / _SCAN).is_file():
        raise OutputError(
            f"{folder}: the page of a scan is written by earwitness scan, which makes nothing "
            "again; for a page of its explanations alone name the page: -o PAGE.html"
        )
    found = explanations_in(folder)
    if not (folder / RECORD).is_file():
        return write_joined(folder / PAGE, found, on_missing=on_missing)
    report = ReportFolder.reopened(folder)
    with held(folder):
        return report.finish(report.model or known_of(found[0]).model, on_missing=on_missing)
