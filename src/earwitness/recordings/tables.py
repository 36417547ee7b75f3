"""Events and scores as tables for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


def write_events(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write all events as CSV, a line each; ``folder`` is that of the explanation, from here."""
    heads = ["recording", "label", "start", "end", "score", "peak_start", "peak_end", "folder"]
    lines = []
    for row in rows:
        file = row["files"].get("explanation")
        folder = Path(file).parent.relative_to(path.parent).as_posix() if file else ""
        lines.append([*(row[head] for head in heads[:-1]), folder])
    _write_csv(path, heads, lines)


def write_labels(place: Place, events: Sequence[Event], rate: int) -> None:
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
    write_text(place.folder / RAVEN, "".join(line + "\n" for line in raven))
    write_text(place.folder / AUDACITY, "".join(line + "\n" for line in audacity))
    heads = ["Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File"]
    lines = [
        [_seconds(e.start), _seconds(e.end), *_names(e.label), f"{e.score:.4f}", str(place.path)]
        for e in events
    ]
    _write_csv(place.folder / BIRDNET, heads, lines)


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


def _write_csv(path: Path, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(heads)
    table.writerows(rows)
    write_text(path, text.getvalue())
