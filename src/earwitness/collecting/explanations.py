"""Explanations of many sounds: in memory, or in a folder from which they are read when needed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from earwitness.collecting.joined import (
    Entry,
    explanations_in,
    known_of,
    read_explanation_facts,
    write_joined,
)
from earwitness.collecting.table import COLUMNS, row
from earwitness.errors import NotApplicableError, OutputError, ParameterError
from earwitness.explanation import SCHEMA, Explanation
from earwitness.files import held, reachable
from earwitness.report.folder import ReportFolder
from earwitness.store import load

if TYPE_CHECKING:
    from pandas import DataFrame

_ROWS = 12  # that a notebook shows
_IN_NOTEBOOK = ("path", "method", "target", "output", "verdict", "effect")


class Explanations(Sequence[Explanation]):
    """Explanations in the order of their sounds, then of their methods.

    Those of a folder are read when they are asked for, one at a time.

    Parameters
    ----------
    entries : iterable of Explanation or path
        Explanations, or the folders that they were saved in.
    failures : iterable of str
        Why sounds have no explanation, a line each.

    Attributes
    ----------
    failures : list of str
    """

    def __init__(
        self, entries: Iterable[Explanation | str | os.PathLike[str]] = (),
        failures: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self._entries: list[Entry] = [
            one if isinstance(one, Explanation) else Path(one) for one in entries
        ]
        self.failures = list(failures)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Explanation: ...
    @overload
    def __getitem__(self, index: slice | Iterable[int]) -> Explanations: ...
    def __getitem__(self, index: int | slice | Iterable[int]) -> Explanation | Explanations:
        """Return one, or several: of a slice, of indices, or where a mask of bools is true."""
        if isinstance(index, slice):
            return Explanations(self._entries[index], self.failures)
        if isinstance(index, Iterable):
            wanted = list(index.tolist() if hasattr(index, "tolist") else index)
            if any(isinstance(k, bool) for k in wanted):
                if len(wanted) != len(self):
                    raise ParameterError(
                        f"a mask of {len(wanted)} is not one of {len(self)} explanations"
                    )
                wanted = [k for k, chosen in enumerate(wanted) if chosen]
            return Explanations((self._entries[k] for k in wanted), self.failures)
        entry = self._entries[index]
        return entry if isinstance(entry, Explanation) else load(entry, silent=True)

    def __add__(self, others: Explanations) -> Explanations:
        if not isinstance(others, Explanations):
            return NotImplemented
        own = [*self._entries, *others._entries]
        return Explanations(own, [*self.failures, *others.failures])

    def rows(self) -> list[dict[str, Any]]:
        """Return a row of plain values for each explanation: the columns of ``to_frame``."""
        return [row(self._facts(entry)) for entry in self._entries]

    def to_frame(self) -> DataFrame:
        """Return a pandas DataFrame with a row for each explanation.

        Its columns: ``path``, ``method``, ``model``, ``target``; ``output``, the target's score of
        the input; ``verdict``, the grade; ``effect``; the scores of ``evidence`` and ``remainder``
        alone, and on the masked spectrogram (``..._spectrogram``); ``random_effect`` and
        ``energy_effect`` of controls; ``area`` and ``energy`` of the mask; ``seconds``. None for
        what the trust card does not have.

        Raises
        ------
        NotApplicableError
            If pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise NotApplicableError(
                "to_frame() needs pandas: pip install 'earwitness[pandas]'; rows() does without"
            ) from error
        return DataFrame(self.rows(), columns=list(COLUMNS))

    def report(self, path: str | os.PathLike[str] = "earwitness-report.html") -> Path:
        """Write a page to listen at, one HTML file, and return its path.

        Explanations of one sound by one model are shown together. A page of earwitness that is
        there is replaced.

        Raises
        ------
        OutputError
            If there are no explanations, or the file is anything else or cannot be written.
        """
        page = reachable(path, OutputError)
        if page.suffix.lower() not in (".html", ".htm"):
            raise ParameterError(f"a page is a file with the ending .html, got {page}")
        return write_joined(page, self._entries, on_missing=self.failures.append)

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write all to a folder with a page, as ``earwitness explain`` does, and return its path.

        Parameters
        ----------
        folder : path
        overwrite : bool
            Whether the results of an earlier run there may be removed.

        Raises
        ------
        OutputError
            If there is none, or the folder is not empty, or cannot be written, or explanations are
            read from it.
        """
        if not self._entries:
            raise ParameterError("there are no explanations to save")
        root = reachable(folder, OutputError)
        places = [one.resolve() for one in self._entries if not isinstance(one, Explanation)]
        if any(one.is_relative_to(root.resolve()) for one in places):
            raise OutputError(
                f"{root}: explanations to save are read from there; choose another folder"
            )
        to = ReportFolder(root, overwrite=overwrite)
        with held(root):
            to.prepare()
            for entry, clip, part in self._places():
                one = entry if isinstance(entry, Explanation) else load(entry, silent=True)
                to.add(replace(one, clip=clip), part)
            to.finish(known_of(self._entries[0]).model, on_missing=self.failures.append)
        return root

    @classmethod
    def load(cls, *folders: str | os.PathLike[str]) -> Explanations:
        """Return the explanations in folders of results; they are read when they are asked for.

        Parameters
        ----------
        *folders : path
            What ``save``, ``explain(..., folder=...)`` or the command wrote, or folders around
            such.

        Raises
        ------
        OutputError
            If one of them holds no explanation.
        """
        places = [reachable(folder, OutputError) for folder in folders]
        return cls(one for place in places for one in explanations_in(place))

    def _places(self) -> list[tuple[Entry, str, str]]:
        """Return the entries, those of a sound together, with names of the sound and the folder.

        Of different sounds of one name, such as two parts of a recording, the second gets a number.
        """
        clips: dict[Any, str] = {}
        parts: dict[Any, list[tuple[Entry, str, str]]] = {}
        named: Counter[str] = Counter()
        for entry in self._entries:
            known = known_of(entry)
            if known.sound not in clips:
                named[known.clip] += 1
                path, again = Path(known.clip), named[known.clip]
                numbered = str(path.with_stem(f"{path.stem}-{again}"))
                clips[known.sound] = known.clip if again == 1 else numbered
            own = parts.setdefault(known.sound, [])
            part = known.method if isinstance(entry, Explanation) else entry.name
            taken = {name for _, _, name in own}
            free = (part, *(f"{part}-{number}" for number in range(2, len(own) + 2)))
            own.append((entry, clips[known.sound], next(one for one in free if one not in taken)))
        return [one for some in parts.values() for one in some]

    @staticmethod
    def _facts(entry: Entry) -> Mapping[str, Any]:
        if isinstance(entry, Explanation):
            return entry.facts()
        facts = read_explanation_facts(entry)
        return facts if facts["schema"] == SCHEMA else load(entry, silent=True).facts()

    def __repr__(self) -> str:
        rows = self.rows() if len(self) <= 1000 else []
        grades = Counter(str(one["verdict"]) for one in rows if one["verdict"])
        said = "".join(f", {count} {grade}" for grade, count in grades.most_common())
        sounds = len({one["path"] for one in rows})
        of = f" of {sounds} sound{'s' * (sounds > 1)}" if rows and sounds != len(rows) else ""
        failed = f", {len(self.failures)} failures" if self.failures else ""
        return f"<Explanations: {len(self)}{of}{said}{failed}>"

    def _repr_html_(self) -> str:
        """Show a table in a notebook."""
        from earwitness.render.notebook import table_html

        rows = [row(self._facts(entry)) for entry in self._entries[:_ROWS]]
        left = len(self) - len(rows)
        lines = [f"and {left} more"] if left else []
        lines += self.failures[:_ROWS]
        return table_html(repr(self), _IN_NOTEBOOK, rows, lines)
