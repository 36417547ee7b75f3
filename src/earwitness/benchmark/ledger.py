"""Results on disk, one JSON line per cell; the file is consistent after a kill at any moment.

The lines of one sound are written together, and each holds the number of lines that follow. A sound
whose last line is missing or incomplete does not count: its lines are removed when the run resumes,
so that no cell is lost or duplicated.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from earwitness.errors import OutputError
from earwitness.files import write_text

Line = dict[str, Any]


class Ledger:
    """The file of results of one run, open for writing; its folder is ``held``.

    Parameters
    ----------
    path : Path
        Created if it does not exist.

    Attributes
    ----------
    done : dict
        The digest of every sound whose lines are complete, by model and sound; None for a sound
        that could not be made.

    Raises
    ------
    OutputError
        If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("ab+")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
        self.done: dict[tuple[str, str], str | None] = {}
        end = 0
        for line, place in _whole(path):
            if line["left"] == 0:
                self.done[line["model"], line["clip"]] = line.get("sound")
                end = place
        self._file.truncate(end)

    def add(self, lines: Sequence[Line]) -> None:
        """Write all lines of one sound, and flush them to disk."""
        text = "".join(
            json.dumps({**line, "left": len(lines) - 1 - k}, allow_nan=False) + "\n"
            for k, line in enumerate(lines)
        )
        try:
            self._file.write(text.encode("utf-8"))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(
                f"{self._file.name}: cannot be written ({error.strerror}); the sounds before are "
                "kept, repeat the command to resume"
            ) from error
        self.done[lines[0]["model"], lines[0]["clip"]] = lines[0].get("sound")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # what a full disk did not take
            self._file.close()


def read_lines(path: Path) -> list[Line]:
    """Return the lines of all sounds that are complete."""
    lines: list[Line] = []
    pending: list[Line] = []
    for line, _ in _whole(path):
        pending.append(line)
        if line["left"] == 0:
            lines += pending
            pending = []
    return lines


def arrange(path: Path, order: Sequence[tuple[str, str]]) -> None:
    """Put the lines of sounds, given by model and name, in an order, in the file of results.

    Raises
    ------
    OutputError
        If it cannot be written; the file is as it was then.
    """
    lines = read_lines(path)
    place = {key: number for number, key in enumerate(order)}
    ordered = sorted(lines, key=lambda line: place[line["model"], line["clip"]])
    if ordered != lines:
        write_text(path, "".join(json.dumps(line, allow_nan=False) + "\n" for line in ordered))


def _whole(path: Path) -> Iterator[tuple[Line, int]]:
    """Yield lines up to the first damaged one, with the position in the file where each ends."""
    place = 0
    with path.open("rb") as file:
        for text in file:
            place += len(text)
            try:
                line = json.loads(text)
                line["left"], line["model"], line["clip"]
            except (ValueError, TypeError, KeyError):
                return
            if not text.endswith(b"\n"):
                return
            yield line, place


def pack(value: float) -> float | str:
    """Return a number as a JSON value: nan and infinities as text."""
    return float(value) if math.isfinite(value) else str(float(value))
