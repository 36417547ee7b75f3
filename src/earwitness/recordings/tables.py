"""Events and scores as tables for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from earwitness.errors import ParameterError
from earwitness.files import replacing, write_text
from earwitness.recordings.events import Event
from earwitness.recordings.scoring import Scores
from earwitness.recordings.windows import Cut

RAVEN, AUDACITY, BIRDNET = "raven.txt", "audacity.txt", "birdnet.csv"
EVENTS = "events.csv"
SCORES_CSV, SCORES_JSONL, SCORES_PARQUET = "scores.csv", "scores.jsonl", "scores.parquet"
_ROWS = 4096  # windows of scores that are written together
_DIGITS = 6


@dataclass(frozen=True)
class Place:
    """A recording of a scan.

    Attributes
    ----------
    path : Path
        As it was given.
    name : str
        Relative to what was given, which tells recorders with equal file names apart.
    folder : Path
        Of its scores.
    """

    path: Path
    name: str
    folder: Path


@dataclass
class Tables:
    """Tables of events, which people edit: one that was edited is never written over.

    Attributes
    ----------
    root : Path
        Of the scan.
    written : dict of str to str
        Digests of the tables as they were written, by their path from the root.
    kept : list of Path
        Edited tables, which were renamed because the events are others now.
    """

    root: Path
    written: dict[str, str] = field(default_factory=dict)
    kept: list[Path] = field(default_factory=list)

    def write(self, path: Path, text: str) -> None:
        """Write a table, unless it is the one that was written there before."""
        digest = _digest(text.encode("utf-8", "backslashreplace"))
        if path.is_file() and self.written.get(self._name(path)) == digest:
            return
        self.keep(path)
        write_text(path, text)
        self.written[self._name(path)] = digest

    def keep(self, path: Path) -> None:
        """Rename a table if it was edited since it was written."""
        written = self.written.pop(self._name(path), None)
        if written is None or not path.is_file() or _digest(path.read_bytes()) == written:
            return
        number = 1
        while (to := path.with_name(f"{path.stem}-edited-{number}{path.suffix}")).exists():
            number += 1
        path.rename(to)
        self.kept.append(to)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def event_row(place: Place, event: Event, files: dict[str, Path]) -> dict[str, Any]:
    """Return an event as plain JSON values."""
    return {
        "recording": str(place.path),
        "label": event.label,
        "start": _seconds(event.start),
        "end": _seconds(event.end),
        "score": float(f"{event.score:.{_DIGITS}g}"),
        "peak_start": _seconds(event.peak_start),
        "peak_end": _seconds(event.peak_end),
        "files": {name: str(path) for name, path in files.items()},
    }


def write_events(tables: Tables, rows: Sequence[dict[str, Any]]) -> None:
    """Write all events as CSV, a line each; ``folder`` is that of the explanation, from here."""
    path = tables.root / EVENTS
    heads = ["recording", "label", "start", "end", "score", "peak_start", "peak_end", "folder"]
    lines = []
    for row in rows:
        file = row["files"].get("explanation")
        folder = Path(file).parent.relative_to(path.parent).as_posix() if file else ""
        lines.append([*(row[head] for head in heads[:-1]), folder])
    tables.write(path, _csv(heads, lines))


def write_labels(tables: Tables, place: Place, events: Sequence[Event], rate: int) -> None:
    """Write the events of a recording for Raven, for Audacity, and as BirdNET-Analyzer does."""
    raven = [
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\t"
        "Label\tScore\tBegin Path\tFile Offset (s)"
    ]
    audacity = []
    for number, one in enumerate(events, start=1):
        label = " ".join(one.label.split())  # a tab or a line break would end the cell
        times = f"{one.start:.6f}\t{one.end:.6f}"
        path = " ".join(str(place.path.absolute()).split("\t"))
        raven.append(
            f"{number}\tSpectrogram 1\t1\t{times}\t0\t{rate / 2:g}\t{label}\t{one.score:.4f}\t"
            f"{path}\t{one.start:.6f}"
        )
        audacity.append(f"{times}\t{label} {one.score:.2f}")
    tables.write(place.folder / RAVEN, "".join(line + "\n" for line in raven))
    tables.write(place.folder / AUDACITY, "".join(line + "\n" for line in audacity))
    heads = ["Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File"]
    lines = [
        [_seconds(e.start), _seconds(e.end), *_names(e.label), f"{e.score:.4f}", str(place.path)]
        for e in events
    ]
    tables.write(place.folder / BIRDNET, _csv(heads, lines))


def write_scores(place: Place, scores: Scores, cut: Cut, labels: Sequence[str], kind: str) -> Path:
    """Write the scores of every window, as a table or as JSON lines, and return the file.

    Columns are ``start`` and ``end`` in seconds, and one for each label. The cells of a window
    with NaN or infinite samples are empty. In JSON lines ``outputs`` is an object, label to score
    or null.

    Parameters
    ----------
    kind : {"csv", "jsonl", "parquet"}
    """
    if kind == "parquet":
        return _write_parquet(place.folder / SCORES_PARQUET, scores, cut, labels)
    if kind == "jsonl":
        return _write_lines(place.folder / SCORES_JSONL, scores, cut, labels)
    path = place.folder / SCORES_CSV
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["start", "end", *labels])
        for starts, ends, values in _blocks(scores, cut):
            for start, end, row in zip(starts, ends, values.tolist(), strict=True):
                cells = ["" if value != value else f"{value:.{_DIGITS}g}" for value in row]
                table.writerow([_seconds(start), _seconds(end), *cells])
    return path


def require_tables() -> None:
    """Raise ``ParameterError`` if Parquet cannot be written here."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ParameterError(
            "Parquet needs pyarrow: pip install 'earwitness[tables]', or use --scores jsonl"
        ) from None


def _write_lines(path: Path, scores: Scores, cut: Cut, labels: Sequence[str]) -> Path:
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
        for starts, ends, values in _blocks(scores, cut):
            for start, end, row in zip(starts, ends, values.tolist(), strict=True):
                cells = [None if value != value else float(f"{value:.{_DIGITS}g}") for value in row]
                outputs = dict(zip(labels, cells, strict=True))
                window = {"start": _seconds(start), "end": _seconds(end), "outputs": outputs}
                file.write(json.dumps(window, allow_nan=False) + "\n")
    return path


def _write_parquet(path: Path, scores: Scores, cut: Cut, labels: Sequence[str]) -> Path:
    require_tables()
    import pyarrow
    from pyarrow import parquet

    fields = [(name, pyarrow.float64()) for name in ("start", "end")]
    fields += [(label, pyarrow.float32()) for label in labels]
    schema = pyarrow.schema(fields)
    with replacing(path) as partial, parquet.ParquetWriter(partial, schema) as writer:
        for starts, ends, values in _blocks(scores, cut):
            columns = [pyarrow.array(starts), pyarrow.array(ends)]
            columns += [pyarrow.array(column) for column in values.T]
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))
    return path


def _blocks(scores: Scores, cut: Cut) -> Iterator[tuple[list[float], list[float], Any]]:
    starts, ends = cut.spans(scores.samples)
    for at in range(0, len(starts), _ROWS):
        part = slice(at, at + _ROWS)
        yield starts[part], ends[part], scores.values[part]


def _seconds(value: float) -> float:
    return round(value, 6)


def _names(label: str) -> tuple[str, str]:
    """Return the scientific and the common name: both are in the labels of BirdNET's models."""
    scientific, sign, common = label.partition("_")
    latin = sign and " " in scientific and scientific[:1].isupper()
    return (scientific, common) if latin else (label, label)


def _digest(data: bytes) -> str:
    """Return a digest that does not depend on how lines end."""
    return blake2b(data.replace(b"\r\n", b"\n"), digest_size=8).hexdigest()


def _csv(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(heads)
    table.writerows(rows)
    return text.getvalue()
