"""One call: from recordings of any length to events, explanations of the strongest, and a page."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from earwitness.clips import find_with_roots
from earwitness.errors import AudioError, EarwitnessError, OutputError, ParameterError
from earwitness.files import held, reachable
from earwitness.jobs.pool import ModelName, Pool
from earwitness.jobs.resuming import key_of
from earwitness.jobs.targets import label_folders
from earwitness.models.model import Model
from earwitness.models.target import refuse_numbers
from earwitness.pipeline import check_request, count_passes, loaded
from earwitness.recordings.events import Rule, find_events
from earwitness.recordings.explaining import (
    EventTask,
    Explained,
    explain_event,
    lost_event,
)
from earwitness.recordings.folder import ScanFolder
from earwitness.recordings.plan import Plan, Progress, Scan, recommended
from earwitness.recordings.scoring import (
    ScoreTask,
    lost_recording,
    read_scores,
    score_recording,
)
from earwitness.recordings.tables import (
    Place,
    event_row,
    require_tables,
    write_events,
    write_labels,
    write_scores,
)
from earwitness.recordings.timeline import Found, write_scan_page
from earwitness.recordings.windows import Cut, make_cut
from earwitness.stream import Stream
from earwitness.types import Direction, Request, Trust, plain_number

_SHOWN = 3  # recordings that failed, in one line


def scan(
    model: Model | str,
    recordings: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    output: str | os.PathLike[str] = "earwitness-scan",
    target: str | int | Iterable[str | int] | None = None,
    window: float | None = None,
    hop: float | None = None,
    on: float | None = None,
    off: float | None = None,
    direction: Direction = "down",
    top: int = 5,
    method: str | None = None,
    trust: Trust = "full",
    seed: int = 0,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Scan:
    """Find events in recordings of any length, and explain the strongest.

    Recordings are read in blocks, so that memory does not grow with their length. Scores lie in
    ``output`` as they are made: the same call goes on where an interrupted one was.

    Parameters
    ----------
    model : Model or str
        What ``wrap`` or ``load_model`` returned, or a name for the latter.
    recordings : path or several
        Sound files, and folders of them.
    output : path
        Folder for scores, tables, explanations and the page.
    target : label or index, or several, optional
        Labels to look for; all by default.
    window, hop : float, optional
        Seconds; by default the model's length, and half a window.
    on, off : float, optional
        An event is a run of windows that score ``off`` (0.3) or more, one of them ``on`` (0.5) or
        more. Of a regression, the values that 5 % and 10 % of the windows reach by default.
    direction : {"down", "up"}
        Whether low or high values of a regression are events.
    top : int >= 0
        Events of each label that are explained, the strongest of all recordings.
    method : str, optional
        One of ``list_methods()``; integrated gradients, or LIME for a model without gradients.
    trust : {"full", "light", "none"}
        Scores of the trust cards.
    seed : int
    overwrite : bool
        Whether to remove an earlier scan in ``output`` that differs.
    on_progress : callable, optional
        Called with ``Progress``.
    **options
        Options of the method.

    Returns
    -------
    Scan

    Raises
    ------
    EarwitnessError
        If nothing can be scanned; recordings that fail beside others are in ``Scan.failed``.
    """
    model = loaded(model)
    if hasattr(recordings, "columns"):
        raise ParameterError("give the column of paths of a table: scan(model, table['path'])")
    if isinstance(recordings, str) or not isinstance(recordings, Iterable):
        recordings = [recordings]
    target = plain_number(target)
    given = [target] if isinstance(target, str) or not isinstance(target, Iterable) else target
    targets = tuple(plain_number(one) for one in given if one is not None)
    refuse_numbers(model, *targets)
    numbers = {"window": window, "hop": hop, "on": on, "off": off, "top": top}
    for name, value in numbers.items():
        if value is not None and not isinstance(plain_number(value), int | float):
            raise ParameterError(f"{name} is a number, got {value!r}")
    request = Request(
        recommended(model) if method is None else method, options,
        direction=direction if model.task == "regression" else "up", seed=seed, trust=trust,
    )  # fmt: skip
    plan = Plan(Rule(targets, on, off, direction), window, hop, top, request)
    return run_scan(model, recordings, plan, output, overwrite=overwrite, on_progress=on_progress)


def run_scan(
    model: Model,
    recordings: Iterable[str | os.PathLike[str]],
    plan: Plan,
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    named: ModelName | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Scan:
    """Scan recordings by a plan; see ``scan``.

    Parameters
    ----------
    named : ModelName, optional
        How workers load the model, if there are several.
    """
    check_request(plan.request)
    plan.rule.check(model)
    if plan.top < 0:
        raise ParameterError(f"top is a number of events from 0 on, got {plan.top}")
    if plan.scores == "parquet":
        require_tables()
    cut = make_cut(model, plan.window, plan.hop)
    failed: list[str] = []
    root = reachable(output, OutputError)
    clips = find_with_roots(recordings, failed.append)
    if not clips:
        more = f"; and {len(failed) - _SHOWN:,} more" if len(failed) > _SHOWN else ""
        raise AudioError("; ".join(failed[:_SHOWN]) + more or "no recordings given")
    several = None if plan.workers == 1 else named
    workers = 1 if several is None else plan.workers
    with held(root), Pool(several or model, workers) as pool:
        work = _Work(model, plan, cut, root, on_progress or _ignore, failed, pool)
        return work.over(clips, overwrite=overwrite)


class _Work:
    """One scan, in a folder that is held."""

    def __init__(
        self, model: Model, plan: Plan, cut: Cut, root: Path,
        on_progress: Callable[[Progress], None], failed: list[str], pool: Pool,
    ) -> None:  # fmt: skip
        self.model, self.plan, self.cut, self.root = model, plan, cut, root
        self.tell, self.failed, self.pool = on_progress, failed, pool

    def over(self, clips: Mapping[Path, Path], *, overwrite: bool) -> Scan:
        cut, request = self.cut, self.plan.request
        seconds = {"window": cut.window / cut.rate, "hop": cut.hop / cut.rate}
        key = {**key_of(self.model, [request], ()), "cut": seconds}
        folder = ScanFolder(self.root, key, overwrite=overwrite)
        folder.prepare()
        places = folder.places(clips)
        scored = self._score(places)
        if not scored:
            folder.discard()
            raise AudioError("; ".join(self.failed))
        found: Found = []
        for place in scored:
            scores = read_scores(place.folder, len(self.model.labels))
            write_scores(place, scores, cut, self.model.labels, self.plan.scores)
            found.append((place, find_events(self.model, scores, cut, self.plan.rule)))
            write_labels(folder.tables, *found[-1], self.model.rate)
        tasks = self._tasks(found)
        folder.expect(task.folder for task in tasks.values())
        explained = self._explain(tasks)
        rows = [
            event_row(place, event, explained[place.folder, number].files
                      if (place.folder, number) in explained else {})
            for place, events in found
            for number, event in enumerate(events)
        ]  # fmt: skip
        write_events(folder.tables, rows)
        write_scan_page(folder.page, self.root, self.model, cut, self.plan, found, explained,
                        self.failed.append)  # fmt: skip
        folder.finish()
        verdicts = {str(one.task.folder): one.verdict for one in explained.values()}
        return Scan(rows, verdicts, self.failed, folder.page, folder.tables.kept)

    def _run(
        self, work: Any, tasks: list[Any], tick: Callable[[int], None], lost: Any
    ) -> Iterator[Any]:
        with closing(self.pool.run(work, tasks, on_passes=tick, lost=lost)) as found:
            yield from found

    def _score(self, places: list[Place]) -> list[Place]:
        """Score all recordings, and return those that could be."""
        hop = self.cut.hop / self.cut.rate
        lengths = {place.path: _length(place.path, self.cut.rate) for place in places}
        total, done = sum(lengths.values()), 0.0

        def tick(windows: int) -> None:
            nonlocal done
            done += windows * hop
            self.tell(Progress("scanning", min(done, total), total))

        tasks = [ScoreTask(place.path, place.folder, self.cut) for place in places]
        fine, ended = set(), 0.0
        for one in self._run(score_recording, tasks, tick, lost_recording):
            ended += lengths[one.task.recording]
            done = ended
            self.tell(Progress("scanning", ended, total))
            if one.error:
                self.failed.append(one.error)
            else:
                fine.add(one.task.folder)
        return [place for place in places if place.folder in fine]

    def _tasks(self, found: Found) -> dict[tuple[Path, int], EventTask]:
        """Return the strongest events of each label, in order of the page."""
        model, plan = self.model, self.plan
        sign = -1 if plan.low(model) else 1
        ranked: dict[int, list[tuple[float, int, int]]] = defaultdict(list)
        for position, (_, events) in enumerate(found):
            for number, event in enumerate(events):
                ranked[event.index].append((-sign * event.score, position, number))
        chosen = sorted(
            (position, number)
            for some in ranked.values()
            for _, position, number in sorted(some)[: plan.top]
        )
        tasks = {}
        for position, number in chosen:
            place, events = found[position]
            event = events[number]
            samples = read_scores(place.folder, len(model.labels)).samples
            names = label_folders(model, f"{event.peak_start:.2f}s")
            folder = place.folder / names[event.index]
            text = f"{place.name} {event.peak_start:.2f}\u2013{event.peak_end:.2f} s"
            tasks[place.folder, number] = EventTask(
                place.path, self.root, folder, text, event, samples, self.cut, plan.request,
            )  # fmt: skip
        return tasks

    def _explain(
        self, tasks: dict[tuple[Path, int], EventTask]
    ) -> dict[tuple[Path, int], Explained]:
        each = count_passes(self.plan.request)
        total, done = float(each * len(tasks)), 0.0

        def tick(passes: int) -> None:
            nonlocal done
            done += passes
            self.tell(Progress("explaining", min(done, total), total))

        places = {task.folder: key for key, task in tasks.items()}
        found = {}
        some = self._run(explain_event, list(tasks.values()), tick, lost_event)
        for count, one in enumerate(some, start=1):
            done = float(each * count)
            self.tell(Progress("explaining", done, total))
            if one.files:
                found[places[one.task.folder]] = one
            else:
                self.failed.append(one.verdict)
        return {key: found[key] for key in tasks if key in found}


def _length(path: Path, rate: int) -> float:
    """Return the seconds of a recording by its header; 0 if it cannot be read."""
    try:
        return Stream(path, rate).seconds or 0.0
    except EarwitnessError:
        return 0.0


def _ignore(_progress: Progress) -> None:
    """Tell nothing."""
