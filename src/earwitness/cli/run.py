"""A run of explanations over many sounds: progress, failures, results and the report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from earwitness.cli.estimate import estimate, said
from earwitness.cli.options import printable, say
from earwitness.cli.results import emit
from earwitness.cli.stopping import line_a_minute, stoppable
from earwitness.clips import find_with_roots
from earwitness.collecting.finishing import finish_sound
from earwitness.collecting.requests import requests_for
from earwitness.files import held
from earwitness.jobs.explaining import Outcome, Task, explain_task, lost_task
from earwitness.jobs.pool import ModelName, run
from earwitness.jobs.resuming import difference, key_of
from earwitness.jobs.targets import check_target, parts_of
from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.options import read_value
from earwitness.pipeline import check_request, count_passes
from earwitness.report.components import sounds_by_name
from earwitness.report.folder import ReportFolder
from earwitness.report.page import Form
from earwitness.store import is_ours
from earwitness.types import Request

_WORTH_AN_ESTIMATE = 60.0  # s; shorter runs print no estimate of the time


@dataclass(frozen=True)
class Settings:
    """Settings of a run that do not depend on the request.

    Attributes
    ----------
    model, device : str
    output : str
        Folder of the report.
    overwrite, as_json : bool
    files : tuple of str
        Additional files to save.
    workers : int
    assets : str
        Folder beside the page for the data of each sound; empty to hold them in the page.
    audio : bool
        Whether sounds are saved and lie in the page.
    data : str
        Folder of the training sounds that the page links to; empty for none.
    """

    model: str
    device: str
    output: str
    overwrite: bool
    as_json: bool
    files: tuple[str, ...] = ()
    workers: int = 1
    assets: str = ""
    audio: bool = True
    data: str = ""


def make_requests(
    methods: Sequence[str], options: dict[str, str], common: Request
) -> tuple[Request, ...]:
    """Return a request for each method, with the options that the method has (``requests_for``).

    Raises
    ------
    UnknownNameError
        If there is no such method, or an option that none of them has.
    """

    def read(request: Request) -> dict[str, Any]:
        declared = METHODS.get(request.method).declared
        return {name: read_value(text, declared[name]) for name, text in request.options.items()}

    some = requests_for(methods, options, common)
    return tuple(replace(one, options=read(one)) for one in some)


class Run:
    """One call of ``explain``: all pairs of a sound and a request; failures do not stop the rest.

    Parameters
    ----------
    requests : sequence of Request
    settings : Settings
    """

    def __init__(self, requests: Sequence[Request], settings: Settings) -> None:
        self.requests, self.settings = tuple(requests), settings
        self.named = ModelName(settings.model, settings.device)
        self.model: Model = self.named.load()
        for request in requests:
            check_request(request)
        if settings.data:
            sounds_by_name(settings.data)
        check_target(self.model, requests[0])
        key = key_of(self.model, self.requests, settings.files, audio=settings.audio,
                     data=settings.data)  # fmt: skip
        self.folder = ReportFolder(
            Path(settings.output), overwrite=settings.overwrite, key=key,
            form=Form(settings.assets, settings.audio, settings.data), difference=difference,
        )  # fmt: skip
        self.failed = self.done = self.made = self.empty = 0
        self._said: dict[str, int] = {}

    def over(self, places: Sequence[str]) -> int:
        """Explain all sounds, write the report and return the exit code."""
        clips = find_with_roots(places, self._fail)
        if not clips:
            return 2
        with held(self.folder.root), stoppable():
            self.folder.prepare()
            return self._over(clips)

    def _over(self, clips: Mapping[Path, Path]) -> int:
        parts = [part for one in self.requests for part in parts_of(self.model, one)]
        places = self.folder.expect(clips, parts)
        shown = self.folder.shown()
        tasks = [
            Task(clip, place, self.requests, self.settings.files, self.folder.parts(place),
                 place in shown, self.settings.audio)
            for clip, place in zip(clips, places, strict=True)
        ]  # fmt: skip
        stopped = False
        try:
            self._estimate(tasks)
            self._all(tasks)
        except (KeyboardInterrupt, OSError) as error:  # the latter if results cannot be written
            stopped = True
            reason = f" ({error.strerror})" if isinstance(error, OSError) else ""
            say(
                f"earwitness: stopped{reason}; finished explanations are kept, repeat the command "
                "to go on"
            )
        repeated = sum(count - 1 for count in self._said.values())
        if repeated:
            some = "sound or method" if repeated == 1 else "sounds or methods"
            say(f"earwitness: the same for {repeated} more {some}")
        if not self.folder.explained:
            self.folder.discard()
            return self._without()
        if self.made or not self.folder.complete:
            self.folder.finish(self.model, on_missing=self._fail)
        if not self.done:
            return self._without()
        say(f"report: {self.folder.page}")
        return 1 if self.failed or stopped else 0

    def _without(self) -> int:
        """Return the exit code where nothing was explained: 0 if there was nothing to explain."""
        return 0 if self.empty and not self.failed else 2

    def _estimate(self, tasks: Sequence[Task]) -> None:
        """Print how long the run will take, if it is long."""
        parts = [parts_of(self.model, one) for one in self.requests]
        left = [
            t.clip for t in tasks if not all(any(is_ours(t.folder / n) for n in p) for p in parts)
        ]
        seconds = estimate(self.model, left, self.requests) / self.settings.workers
        if seconds > _WORTH_AN_ESTIMATE:
            say(said(seconds, len(left), len(parts)))

    def _all(self, tasks: list[Task]) -> None:
        console = Console(stderr=True)
        progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
            TimeRemainingColumn(), console=console, transient=True,
        )  # fmt: skip
        passes = {
            request.method: count_passes(request, first=not number)
            for number, request in enumerate(self.requests)
        }
        bar = progress.add_task("explaining", total=sum(passes.values()) * len(tasks))
        total, ended = len(tasks) * len(passes), 0.0

        def line() -> str:
            return f"{progress.tasks[0].percentage:.0f} %: {round(ended)} of {total} explanations"

        with progress if console.is_terminal else line_a_minute(line):
            outcomes = self._outcomes(tasks, lambda count: progress.update(bar, advance=count))
            reached = 0.0
            for outcome in outcomes:
                reached += outcome.share * passes[outcome.method]
                ended += outcome.share
                text = f"{outcome.clip.name}: {outcome.method}"
                progress.update(bar, completed=reached, description=printable(text))
                self._print(outcome)

    def _outcomes(self, tasks: list[Task], tick: Any) -> Iterator[Outcome]:
        work = partial(
            explain_task, finish=partial(finish_sound, self.folder.root, self.settings.data)
        )
        several = self.settings.workers > 1
        model = self.named if several else self.model
        with closing(
            run(work, tasks, model, workers=self.settings.workers, on_passes=tick, lost=lost_task)
        ) as found:
            yield from found

    def _print(self, outcome: Outcome) -> None:
        if outcome.empty:
            self.empty += 1
            self._tell(outcome.lines[0])
            return
        if outcome.folder is None:
            self._fail(outcome.lines[0])
            return
        self.done += 1
        self.made += outcome.made
        lines = list(outcome.lines)
        if self.settings.as_json:
            lines = [json.dumps(outcome.summary, allow_nan=False)]
        for line in lines:
            emit(printable(line))

    def _fail(self, text: str) -> None:
        """Count and print a failure."""
        self.failed += 1
        self._tell(text)

    def _tell(self, text: str) -> None:
        """Print why there is no explanation; equal lines only once."""
        self._said[text] = self._said.get(text, 0) + 1
        if self._said[text] == 1:
            say(f"earwitness: {text}")
