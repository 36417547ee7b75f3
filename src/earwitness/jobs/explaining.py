"""Explanations of many sounds: cut into one task for each sound, each saved as it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from earwitness.errors import EarwitnessError, ModelError, unforeseen
from earwitness.evaluation.verdict import sentence
from earwitness.explanation import Explanation
from earwitness.jobs.targets import NoLabelError, each_target
from earwitness.models.model import Model
from earwitness.pipeline import explain_subject
from earwitness.store import files_in, finished, save, save_input
from earwitness.subject import Subject, open_subject
from earwitness.types import Request

_STRONGEST = 3  # pieces that are printed


@dataclass(frozen=True)
class Task:
    """One sound and everything to explain about it.

    Attributes
    ----------
    clip : Path
    folder : Path
        Where its explanations go, each in a folder called as its method (and label, if the target
        is several); the input lies beside them.
    requests : tuple of Request
    files : tuple of str
        What to save besides the default (``Explanation.save``).
    others : tuple of str
        Folders of explanations of the sound that are there already, in order of the page.
    shown : bool
        Whether what is there is in a report: the sounds of overlapping pieces are saved nowhere
        else, unless ``files`` says so.
    audio : bool
        Whether sounds are saved.
    """

    clip: Path
    folder: Path
    requests: tuple[Request, ...]
    files: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    shown: bool = False
    audio: bool = True

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.clip)


@dataclass(frozen=True)
class Outcome:
    """What became of one request: where the explanation is, or why there is none.

    Attributes
    ----------
    clip : Path
    method : str
    folder : Path or None
    lines : tuple of str
        What to tell: scores, verdict and notes; or the reason.
    summary : dict or None
        The same as plain JSON values.
    made : bool
        Whether it was made now; otherwise it was there.
    share : float
        Of the request: less than 1 where it has several targets.
    empty : bool
        Whether there is nothing to explain, which is no failure.
    """

    clip: Path
    method: str
    folder: Path | None
    lines: tuple[str, ...]
    summary: dict[str, Any] | None = None
    made: bool = False
    share: float = 1.0
    empty: bool = False


Saved = list[tuple[Path, Explanation]]


def explain_task(
    model: Model,
    task: Task,
    on_passes: Callable[[int], None],
    *,
    finish: Callable[[Task, Saved], None],
) -> Iterator[Outcome]:
    """Yield the outcome of every request of a task, saving each explanation as it is made.

    Explanations that are there already are not made again, and their files are not touched. The
    caller knows that they are of the same model, sound and options.

    Parameters
    ----------
    finish : callable
        Called once at the end, or when interrupted, with all explanations of the sound, if one of
        them was made.
    """
    saved: Saved = []
    made = False

    @cache
    def subject() -> Subject:
        first = task.requests[0]  # they differ in method and options only
        return open_subject(
            model, task.clip, start=first.start, end=first.end, seed=first.seed, pool=first.pool
        )

    def explained(part: str, request: Request, share: float) -> Outcome:
        nonlocal made
        folder = task.folder / part
        one = finished(folder, task.files)
        if one is not None and _lacks_pieces(one) and task.audio and not task.shown:
            one = None
        new = one is None
        if one is None:
            one = explain_subject(subject(), request, on_passes=on_passes)
            save(one, folder, overwrite=True, files=task.files, own_input=False, audio=task.audio)
            if not saved and task.audio:
                save_input(task.folder, one.input)
        made = made or new
        saved.append((folder, one))
        said = [sentence(one.verdict), *surrogate_lines(one), *one.notes]
        lines = (str(one), *(f"  {line}" for line in said))
        facts = summary(one, files_in(folder))
        return Outcome(task.clip, request.method, folder, lines, facts, new, share)

    try:
        for request in task.requests:
            try:
                several = each_target(model, subject, request)
            except Exception as error:
                yield _failure(task, request, error)
                continue
            for part, one in several:
                try:
                    outcome = explained(part, one, 1 / len(several))
                except Exception as error:
                    outcome = _failure(task, request, error, 1 / len(several))
                yield outcome
    finally:
        if made:
            finish(task, saved)


def lost_task(task: Task, reason: str) -> list[Outcome]:
    """Return the outcome of every request of a sound whose worker ended, with the reason."""
    line = f"{task.clip}: {reason}"
    return [Outcome(task.clip, one.method, None, (line,)) for one in task.requests]


def _failure(task: Task, request: Request, error: Exception, share: float = 1.0) -> Outcome:
    empty = isinstance(error, NoLabelError)
    name = str(task.clip)
    lines = (f"{name}: {error}" if empty else reason(name, request, error),)
    return Outcome(task.clip, request.method, None, lines, share=share, empty=empty)


def _lacks_pieces(one: Explanation) -> bool:
    """Return whether an explanation by overlapping pieces lacks their sounds."""
    return bool(one.pieces) and not one.piece_sounds and one.piece_map is None


def reason(name: str, request: Request, error: Exception) -> str:
    """Return one line that says why there is no explanation of a sound of this name."""
    if isinstance(error, ModelError):
        return str(error)
    if isinstance(error, EarwitnessError):
        text = str(error).removeprefix(f"{request.method}: ")
        return text if name in text else f"{name}: {request.method}: {text}"
    return f"{name}: {request.method}: {unforeseen(error)}"


def surrogate_lines(explanation: Explanation) -> list[str]:
    """Return how well an additive model of pieces fits, and its strongest pieces."""
    details, pieces = explanation.attribution.details, explanation.pieces
    if "r2" not in details:
        return []
    count, error = details["pieces"], details.get("error")
    state = "settled" if details["settled"] else "not settled"
    state += "" if error is None else f", estimated error {error:.0%} of their norm"
    lines = [
        f"R^2 {details['r2']:.3f} of the additive model of {count} pieces, from "
        f"{details['evaluations']} evaluations; weights {state}"
    ]
    strongest = sorted(pieces, key=lambda one: -abs(one.weight))[:_STRONGEST]
    for one in strongest:
        among = f" ({one.low:+.3g} to {one.high:+.3g})" if one.low < one.high else ""
        lines.append(f"{one.weight:+.3g}{among}: {one.name}")
    return lines


def summary(explanation: Explanation, files: dict[str, Path]) -> dict[str, Any]:
    """Return one explanation as plain JSON values, without maps and sounds."""
    facts = explanation.facts()
    trust, target = facts["trust"], explanation.target
    scored: dict[str, Any] = {"score": None, "effect": None, "controls": {}}
    if trust is not None:
        scored = {
            "score": {"kind": trust["kind"], "input": trust["input"], **trust["outcome"]},
            "effect": trust["effect"],
            "controls": {
                name: {
                    "score": control["mean"],
                    "low": control["low"],
                    "high": control["high"],
                    "draws": control["draws"],
                    "effect": control["effect"],
                    "mask": {
                        "area": control["area"],
                        "effective_area_audio": control["effective_area"],
                        "energy": control["energy"],
                    },
                }
                for name, control in trust["controls"].items()
            },
        }
    return {
        "clip": explanation.clip,
        "method": explanation.method,
        "model": explanation.model,
        "target": str(target),
        "label": target.label,
        "versus": target.versus_label,
        "span": target.span,
        "direction": "up" if target.sign > 0 else "down",
        **scored,
        "verdict": facts["verdict"],
        "mask": facts["mask"],
        "effective_area_audio": None if trust is None else trust["effective_area"],
        "details": facts["details"],
        "pieces": [
            {name: value for name, value in one.items() if name != "file"}
            for one in facts["pieces"]
        ],
        "notes": facts["notes"],
        "files": {name: str(path) for name, path in files.items()},
        "seconds": round(explanation.seconds, 3),
    }
