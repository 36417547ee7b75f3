"""A run of explanations over many sounds: progress, failures, results and the report."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from earwitness.audio import find_clips
from earwitness.cli.options import printable, read_value, say
from earwitness.cli.results import emit
from earwitness.errors import AudioError, EarwitnessError, OutputError
from earwitness.jobs.explaining import Outcome, Task, explain_task
from earwitness.jobs.pool import ModelName, run
from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.models.target import output_index
from earwitness.pipeline import check_request, count_passes, load_clip
from earwitness.registry import unknown
from earwitness.report.folder import ReportFolder
from earwitness.report.sections import Saved, write_section
from earwitness.types import Request

_PROBED = 30.0  # s of the first sound, on which a forward pass is timed
_WORTH_AN_ESTIMATE = 60.0  # s; shorter runs print no estimate of the time


def _finish(root: Path, _task: Task, saved: Saved) -> None:
    """Write the report's section of a sound beside its explanations."""
    write_section(root, saved)


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
    """

    model: str
    device: str
    output: str
    overwrite: bool
    as_json: bool
    files: tuple[str, ...] = ()
    workers: int = 1


def make_requests(
    methods: Sequence[str], options: dict[str, str], common: Request
) -> tuple[Request, ...]:
    """Return a request for each method, with the options that the method has.

    Raises
    ------
    UnknownNameError
        If there is no such method, or an option that none of them has.
    """
    known = {method: METHODS.get(method).declared for method in methods}
    everything: set[str] = set().union(*known.values())
    for name in options:
        if name not in everything:
            raise unknown(f"option of {', '.join(methods)}", name, everything or {"none"})

    def own(method: str) -> dict[str, Any]:
        declared = known[method]
        return {n: read_value(t, declared[n]) for n, t in options.items() if n in declared}

    return tuple(replace(common, method=method, options=own(method)) for method in methods)


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
        for label in (requests[0].target, requests[0].versus):
            if label is not None:
                output_index(self.model, label)
        self.folder = ReportFolder(Path(settings.output), overwrite=settings.overwrite)
        self.failed = 0
        self._said: dict[str, int] = {}

    def over(self, places: Sequence[str]) -> int:
        """Explain all sounds, write the report and return the exit code."""
        clips = self._clips(places)
        if not clips:
            return 2
        self.folder.prepare()
        with redirect_stdout(sys.stderr):
            self._estimate(clips)
        stopped = False
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self._all(clips)
        except KeyboardInterrupt:
            stopped = True
            say("earwitness: stopped; finished explanations are kept")
        finally:
            signal.signal(signal.SIGTERM, before)
        repeated = sum(count - 1 for count in self._said.values())
        if repeated:
            say(f"earwitness: the same for {repeated} more sounds or methods")
        if not self.folder.entries:
            self.folder.discard()
            return 2
        page = self.folder.finish(self.model)
        say(f"report: {page}")
        return 1 if self.failed or stopped else 0

    def _clips(self, places: Sequence[str]) -> dict[Path, Path]:
        """Return the sounds, each with the folder that was searched or holds it."""
        clips: dict[Path, Path] = {}
        for place in places:
            try:
                found = find_clips([place])
                missing = [clip for clip in found if not os.path.exists(clip)]
                if missing:
                    raise AudioError(f"{missing[0]}: no such file or folder")
                root = Path(place) if os.path.isdir(place) else Path(place).parent
                clips |= {clip: root for clip in found if clip not in clips}
            except EarwitnessError as error:
                self._fail(str(error))
        return clips

    def _all(self, clips: Mapping[Path, Path]) -> None:
        console = Console(stderr=True)
        progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
            TimeRemainingColumn(), console=console, transient=True,
        )  # fmt: skip
        tasks = [
            Task(
                clip, self.folder.place_of(str(clip), root), self.requests, self.settings.files,
                self.settings.overwrite,
            )
            for clip, root in clips.items()
        ]  # fmt: skip
        with progress if console.is_terminal else nullcontext():
            passes = {request.method: count_passes(request) for request in self.requests}
            bar = progress.add_task("explaining", total=sum(passes.values()) * len(clips))
            done = 0
            outcomes = self._outcomes(tasks, lambda count: progress.update(bar, advance=count))
            for outcome in outcomes:
                done += passes[outcome.method]
                text = f"{outcome.clip.name}: {outcome.method}"
                progress.update(bar, completed=done, description=printable(text))
                self._print(outcome)

    def _outcomes(self, tasks: list[Task], tick: Any) -> Iterator[Outcome]:
        work = partial(explain_task, finish=partial(_finish, self.folder.root))
        several = self.settings.workers > 1
        model = self.named if several else self.model
        with closing(
            run(work, tasks, model, workers=self.settings.workers, on_passes=tick)
        ) as found:
            while True:
                with redirect_stdout(sys.stderr):  # keeps a model's prints out of results
                    outcome = next(found, None)
                if outcome is None:
                    return
                yield outcome

    def _print(self, outcome: Outcome) -> None:
        if outcome.folder is None:
            self._fail(outcome.lines[0])
            return
        self.folder.note(str(outcome.clip), outcome.method, outcome.folder)
        lines = list(outcome.lines)
        if self.settings.as_json:
            lines = [json.dumps(outcome.summary, allow_nan=False)]
        try:
            for line in lines:
                emit(printable(line))
        except (OSError, OutputError) as error:
            if isinstance(error, OutputError):  # else nobody reads the pipe
                say(f"earwitness: {error}")
            raise KeyboardInterrupt from None

    def _fail(self, text: str) -> None:
        """Print a failure; equal lines only once."""
        self.failed += 1
        self._said[text] = self._said.get(text, 0) + 1
        if self._said[text] == 1:
            say(f"earwitness: {text}")

    def _estimate(self, clips: Iterable[Path]) -> None:
        """Time one forward pass on the first readable sound; print the total if it is long."""
        clips, first = list(clips), self.requests[0]
        for clip in clips:
            try:
                end = (first.start or 0.0) + _PROBED
                end = end if first.end is None else min(first.end, end)
                audio = load_clip(clip, self.model.rate, start=first.start, end=end)
                wave = torch.from_numpy(audio.samples).to(self.model.device).unsqueeze(0)
                with self.model.undisturbed(), torch.no_grad():
                    self.model(wave)
                    began = time.perf_counter()
                    self.model(wave)
                    seconds = time.perf_counter() - began
            except Exception:  # told when it is this sound's turn
                continue
            passes = sum(count_passes(request) for request in self.requests)
            whole = seconds * passes * len(clips) / self.settings.workers
            if whole > _WORTH_AN_ESTIMATE:
                say(
                    f"about {whole / 60:.0f} min for {len(clips)} sounds and "
                    f"{len(self.requests)} methods"
                )
            return
