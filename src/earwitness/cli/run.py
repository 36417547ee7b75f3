"""A run of explanations over many sounds: progress, failures, files and the report."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from earwitness.audio import find_clips
from earwitness.cli.options import printable, read_value, say
from earwitness.errors import AudioError, EarwitnessError, ModelError
from earwitness.evaluation.trust import verdict
from earwitness.explanation import Explanation
from earwitness.masks.keep import parse_keep
from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.target import output_index
from earwitness.pipeline import count_passes, load_clip
from earwitness.pipeline import explain as explain_one
from earwitness.registry import unknown
from earwitness.report.folder import ReportFolder
from earwitness.types import Direction

_WORTH_AN_ESTIMATE = 60.0


@dataclass(frozen=True)
class Question:
    """What is asked about every sound."""

    methods: tuple[str, ...]
    target: str | None
    versus: str | None
    span: tuple[float, float] | None
    direction: Direction
    keep: str | None
    start: float | None
    end: float | None
    seed: int
    options: dict[str, str]

    def options_of(self, method: str) -> dict[str, Any]:
        """Return those of the options that this method knows."""
        known = METHODS.get(method).options
        return {
            name: read_value(text, known[name])
            for name, text in self.options.items()
            if name in known
        }

    def check(self, model: Model) -> None:
        """Raise for anything that would fail on every sound."""
        for method in self.methods:
            parse_keep(METHODS.get(method).keep if self.keep is None else self.keep)
        known = set().union(*(METHODS.get(method).options for method in self.methods))
        for name in self.options:
            if name not in known:
                raise unknown(f"option of {', '.join(self.methods)}", name, known or {"none"})
        for method in self.methods:
            METHODS.get(method).settle(self.options_of(method))
        for label in (self.target, self.versus):
            if label is not None:
                output_index(model, label)


class Run:
    """One call of ``explain``: every pair of a sound and a method, whatever happens to the others.

    Parameters
    ----------
    question : Question
    model, device : str
    output : str
        Folder of the report.
    overwrite, as_json : bool
    """

    def __init__(
        self,
        question: Question,
        model: str,
        device: str,
        output: str,
        overwrite: bool,
        as_json: bool,
    ) -> None:
        for method in question.methods:
            METHODS.get(method)
        self.question = question
        self.model_name = model
        self.model = load_model(model, device=device)
        question.check(self.model)
        self.folder = ReportFolder(Path(output), overwrite=overwrite)
        self.as_json = as_json
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
            say("earwitness: stopped; what was finished is kept")
        finally:
            signal.signal(signal.SIGTERM, before)
        repeated = sum(count - 1 for count in self._said.values())
        if repeated:
            say(f"earwitness: and {repeated} more times the same")
        if not self.folder.entries:
            self.folder.discard()
            return 2
        page = self.folder.finish(self.model)
        say(f"report: {page}")
        return 1 if self.failed or stopped else 0

    def _clips(self, places: Sequence[str]) -> list[Path]:
        clips: list[Path] = []
        for place in places:
            try:
                found = find_clips([place])
                missing = [clip for clip in found if not clip.exists()]
                if missing:
                    raise AudioError(f"{missing[0]}: no such file or folder")
                clips += found
            except EarwitnessError as error:
                self._fail(str(error))
        return list(dict.fromkeys(clips))

    def _all(self, clips: list[Path]) -> None:
        console = Console(stderr=True)
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        with progress if console.is_terminal else nullcontext():
            passes = sum(self._passes().values()) * len(clips)
            task = progress.add_task("explaining", total=passes)
            for clip in clips:
                for method, expected in self._passes().items():
                    before = progress.tasks[0].completed
                    progress.update(task, description=f"{clip.name}: {method}")
                    self._one(clip, method, progress, task)
                    progress.update(task, completed=before + expected)

    def _one(self, clip: Path, method: str, progress: Progress, task: TaskID) -> None:
        question = self.question
        try:
            with redirect_stdout(sys.stderr):  # a model that prints must not get into the results
                explanation = explain_one(
                    self.model,
                    clip,
                    method,
                    target=question.target,
                    versus=question.versus,
                    span=question.span,
                    direction=question.direction,
                    keep=question.keep,
                    start=question.start,
                    end=question.end,
                    seed=question.seed,
                    on_passes=lambda count: progress.update(task, advance=count),
                    **question.options_of(method),
                )
            files = self.folder.add(explanation)
        except ModelError as error:
            self._fail(str(error))
            return
        except EarwitnessError as error:
            text = str(error).removeprefix(f"{method}: ")
            self._fail(text if str(clip) in text else f"{clip}: {method}: {text}")
            return
        except Exception as error:
            if os.environ.get("EARWITNESS_DEBUG"):
                raise
            text = str(error).strip().split("\n")[0]
            self._fail(f"{clip}: {method}: unexpected {type(error).__name__}: {text}")
            return
        self._tell(explanation, files)

    def _tell(self, explanation: Explanation, files: dict[str, Path]) -> None:
        lines = [str(explanation), f"  {verdict(explanation.trust, explanation.mask)}"]
        lines += [f"  {note}" for note in explanation.notes]
        if self.as_json:
            lines = [json.dumps(summary(explanation, files), allow_nan=False)]
        try:
            for line in lines:
                click.echo(printable(line))
        except OSError:  # nobody listens any more
            raise KeyboardInterrupt from None

    def _fail(self, text: str) -> None:
        """Say what failed; the same line only once."""
        self.failed += 1
        self._said[text] = self._said.get(text, 0) + 1
        if self._said[text] == 1:
            say(f"earwitness: {text}")

    def _passes(self) -> dict[str, int]:
        question = self.question
        return {name: count_passes(name, question.options_of(name)) for name in question.methods}

    def _estimate(self, clips: Iterable[Path]) -> None:
        """Time one pass on the first sound that can be read, and say so if all will take long."""
        question, clips = self.question, list(clips)
        for clip in clips:
            try:
                audio = load_clip(clip, self.model.rate, start=question.start, end=question.end)
                wave = torch.from_numpy(audio.samples).to(self.model.device).unsqueeze(0)
                with self.model.undisturbed(), torch.no_grad():
                    self.model(wave)
                    began = time.perf_counter()
                    self.model(wave)
                    seconds = time.perf_counter() - began
            except EarwitnessError:
                continue
            whole = seconds * sum(self._passes().values()) * len(clips)
            if whole > _WORTH_AN_ESTIMATE:
                say(
                    f"about {whole / 60:.0f} min for {len(clips)} sounds and "
                    f"{len(question.methods)} methods"
                )
            return


def summary(explanation: Explanation, files: dict[str, Path]) -> dict[str, Any]:
    """Return what ``--json`` prints for one sound and method."""
    facts = explanation.facts()
    trust = facts["trust"]

    def scores(outcome: dict[str, Any]) -> dict[str, Any]:
        return {side: outcome[side] for side in ("evidence", "remainder")}

    controls = {
        name: {
            "score": scores(control["mean"]),
            "low": scores(control["low"]),
            "high": scores(control["high"]),
            "draws": control["draws"],
            "mask": {"area": control["area"], "energy": control["energy"]},
        }
        for name, control in trust["controls"].items()
    }
    return {
        "clip": explanation.clip,
        "method": explanation.method,
        "model": explanation.model,
        "target": str(explanation.target),
        "label": explanation.target.label,
        "versus": explanation.target.versus_label,
        "span": explanation.target.span,
        "direction": "up" if explanation.target.sign > 0 else "down",
        "score": {"kind": trust["kind"], "input": trust["input"], **scores(trust["outcome"])},
        "mask": facts["mask"],
        "controls": controls,
        "details": facts["details"],
        "notes": facts["notes"],
        "files": {name: str(path) for name, path in files.items()},
        "seconds": round(explanation.seconds, 3),
    }
