"""The page of a scan: whole recordings with score curves and events, and the explained events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earwitness.files import replacing
from earwitness.models.model import Model
from earwitness.recordings.events import Event
from earwitness.recordings.explaining import Explained
from earwitness.recordings.overview import FLOOR
from earwitness.recordings.plan import Plan
from earwitness.recordings.scoring import FINE, Scores, read_scores
from earwitness.recordings.tables import Place
from earwitness.recordings.windows import Cut
from earwitness.report.clip import anchor
from earwitness.report.packing import pack
from earwitness.report.page import Form, summary, write_page
from earwitness.report.sections import SECTION
from earwitness.types import FloatArray

MOST_ROWS = 1000  # events in the table of the page; the CSV has all
_POINTS = 2400  # of a curve, and columns of an overview; more are seen on no screen
_FEWEST = 240
_BUDGET = 400_000  # points of all curves on the page
_MOST_CURVES = 12  # of a recording: the labels of largest scores


Found = list[tuple[Place, list[Event]]]


def write_scan_page(
    page: Path, root: Path, model: Model, cut: Cut, plan: Plan, found: Found,
    explained: Mapping[tuple[Path, int], Explained], on_missing: Callable[[str], None],
) -> None:  # fmt: skip
    """Write the page of a scan.

    Parameters
    ----------
    found : sequence of (Place, list of Event)
        Recordings with their events.
    explained : mapping of (Path, int) to Explained
        By the folder of the recording and the number of the event in it, in order of the page.
    on_missing : callable
        Called with a line on each explanation that cannot be read.
    """
    anchors = {key: anchor(root, one.task.folder) for key, one in explained.items()}
    low, facts = plan.low(model), []
    for place, events in found:
        scores = read_scores(place.folder, len(model.labels))
        own = {number: name for (folder, number), name in anchors.items() if folder == place.folder}
        facts.append(_recording(model, place, scores, cut, events, own, len(found), low=low))
    count, minutes = sum(len(events) for _, events in found), sum(r["seconds"] for r in facts) / 60
    note = (
        f"{count} event{'' if count == 1 else 's'} in {len(found)} recording"
        f"{'' if len(found) == 1 else 's'} of {minutes:.1f} min"
    )
    kind = "value" if model.task == "regression" else "probability"
    form = Form(
        title=f"Scan by {model.name}", models=summary(model), note=note,
        timeline={"kind": kind, "recordings": facts}, events=_table(facts, low=low),
    )  # fmt: skip
    folders = [one.task.folder / one.task.request.method for one in explained.values()]
    with replacing(page) as partial:
        write_page(partial, root, folders, model, form, former=(page, ""), on_missing=on_missing)
    for folder in folders:
        (folder.parent / SECTION).unlink(missing_ok=True)


def _recording(
    model: Model, place: Place, scores: Scores, cut: Cut, events: Sequence[Event],
    anchors: Mapping[int, str], recordings: int, *, low: bool,
) -> dict[str, Any]:  # fmt: skip
    """Return what the page holds of one recording, as plain JSON values.

    Parameters
    ----------
    anchors : mapping of int to str
        Of the events that are explained, by number, as the page names them.
    recordings : int
        On the page, which share its room.
    low : bool
        Whether low scores are strong.
    """
    labels = _curves(scores, events, low=low)
    most = max(_FEWEST, min(_POINTS, _BUDGET // max(1, recordings * (len(labels) + 1))))
    count = len(scores.state)
    step = max(1, -(-count // most))
    curves = [_grouped(scores.values[:, index], step, low=low) for index in labels]
    return {
        "name": place.name,
        "seconds": scores.samples / cut.rate,
        "window": cut.window / cut.rate,
        "step": step * cut.hop / cut.rate,
        "rate": cut.rate,
        "notes": list(scores.notes),
        "overview": pack(_columns(scores, step)),
        "floor": FLOOR,
        "curves": [
            {"label": model.labels[index], "values": values}
            for index, values in zip(labels, curves, strict=True)
        ],
        "events": [
            {
                "label": one.label, "start": round(one.start, 3), "end": round(one.end, 3),
                "score": float(f"{one.score:.6g}"), "anchor": anchors.get(number),
            }
            for number, one in enumerate(events)
        ],
    }  # fmt: skip


def _curves(scores: Scores, events: Sequence[Event], *, low: bool) -> list[int]:
    """Return the outputs that are drawn: those with events, or else the most extreme one."""
    best: dict[int, float] = {}
    for one in events:
        score = -one.score if low else one.score
        best[one.index] = max(best.get(one.index, -np.inf), score)
    if best:
        return sorted(sorted(best, key=lambda index: -best[index])[:_MOST_CURVES])
    if not len(scores.values) or np.isnan(scores.values).all():
        return []
    extreme = np.nanmin(scores.values, axis=0) if low else np.nanmax(scores.values, axis=0)
    return [int(np.nanargmin(extreme) if low else np.nanargmax(extreme))]


def _grouped(values: FloatArray, step: int, *, low: bool) -> list[float | None]:
    """Return the largest (or lowest) value of every group of windows; None without one."""
    edge = np.inf if low else -np.inf
    plain = np.where(np.isnan(values), np.float32(edge), values)
    starts = np.arange(0, len(plain), step)
    found = (np.minimum if low else np.maximum).reduceat(plain, starts)
    return [float(f"{one:.3g}") if np.isfinite(one) else None for one in found.tolist()]


def _columns(scores: Scores, step: int) -> NDArray[np.uint8]:
    """Return the overview (band, column), the loudest of every group of windows."""
    levels = np.where((scores.state == FINE)[:, None], scores.levels, np.uint8(0))
    starts = np.arange(0, len(levels), step)
    found: NDArray[np.uint8] = np.maximum.reduceat(levels, starts, axis=0).T
    return np.ascontiguousarray(found)


def _table(recordings: Sequence[Mapping[str, Any]], *, low: bool) -> dict[str, Any]:
    """Return the rows of the table of events, the strongest if there are many, and the others.

    Parameters
    ----------
    recordings : sequence of mapping
        As ``_recording`` returns them.
    low : bool
        Whether low scores are strong.
    """
    rows = [
        {**event, "recording": number}
        for number, one in enumerate(recordings)
        for event in one["events"]
    ]
    sign = 1 if low else -1
    order = sorted(range(len(rows)), key=lambda k: sign * rows[k]["score"])[:MOST_ROWS]
    return {"table": [rows[k] for k in sorted(order)], "left_out": len(rows) - len(order)}
