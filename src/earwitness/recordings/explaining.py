"""Explanations of events: the strongest window of each, in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from earwitness.audio import read_audio, shown_name, write_audio
from earwitness.errors import EarwitnessError, unforeseen
from earwitness.evaluation.verdict import sentence
from earwitness.files import replacing
from earwitness.models.model import Model
from earwitness.pipeline import explain_subject
from earwitness.recordings.events import Event
from earwitness.recordings.windows import Cut
from earwitness.report.sections import write_section
from earwitness.store import files_in, finished, save, save_input
from earwitness.stream import read_stretch
from earwitness.subject import Subject
from earwitness.types import Audio, Request

CLIP = "clip.wav"
_LONGEST_CLIP = 60.0  # s, about the strongest window


@dataclass(frozen=True)
class EventTask:
    """An event to explain.

    Attributes
    ----------
    recording, root, folder : Path
        The file, the folder of the page, and the folder of the event.
    name : str
        On the page.
    event : Event
    samples : int
        Length of the recording at the model's rate.
    cut : Cut
    request : Request
        Its target, start and end are those of the event.
    """

    recording: Path
    root: Path
    folder: Path
    name: str
    event: Event
    samples: int
    cut: Cut
    request: Request


@dataclass(frozen=True)
class Explained:
    """What became of an event.

    Attributes
    ----------
    task : EventTask
    files : dict of str to Path
        Of its explanation and its clip; empty if there is none.
    verdict : str
        In a sentence; or why there is no explanation.
    made : bool
        Whether it was made now.
    """

    task: EventTask
    files: dict[str, Path]
    verdict: str
    made: bool = False


def explain_event(
    model: Model, task: EventTask, on_passes: Callable[[int], None]
) -> Iterator[Explained]:
    """Yield what became of an event; an explanation that is there already is not made again."""
    try:
        yield _explained(model, task, on_passes)
    except EarwitnessError as error:
        yield Explained(task, {}, f"{task.name}: {task.request.method}: {error}")
    except OSError:
        raise
    except Exception as error:
        yield Explained(task, {}, f"{task.name}: {unforeseen(error)}")


def lost_event(task: EventTask, reason: str) -> list[Explained]:
    """Return what became of an event whose worker ended."""
    return [Explained(task, {}, f"{task.name}: {task.request.method}: {reason}")]


def _explained(model: Model, task: EventTask, on_passes: Callable[[int], None]) -> Explained:
    folder = task.folder / task.request.method
    there = finished(folder, ())
    if there is None:
        start = task.cut.start(task.event.peak, task.samples)
        samples = read_stretch(task.recording, model.rate, start, task.cut.window)
        audio = Audio(samples, model.rate, shown_name(task.recording))
        request = replace(
            task.request, target=task.event.index, start=task.event.peak_start,
            end=task.event.peak_end,
        )  # fmt: skip
        one = explain_subject(Subject(model, audio, request.seed), request, on_passes=on_passes)
        save(one, folder, overwrite=True, own_input=False)
        save_input(task.folder, one.input)
    else:
        one = there
    _save_clip(task)  # other thresholds give the same peak another beginning and end
    write_section(task.root, [(folder, one)], name=task.name)  # maybe of another method before
    files = {**files_in(folder), "clip": task.folder / CLIP}
    return Explained(task, files, sentence(one.verdict), there is None)


def _save_clip(task: EventTask) -> None:
    """Write the event as it is in the file, at the file's rate."""
    start, end = task.event.start, task.event.end
    if end - start > _LONGEST_CLIP:
        start = max(start, task.event.peak_start - _LONGEST_CLIP / 2)
        end = min(end, start + _LONGEST_CLIP)
    sound = read_audio(task.recording, start=start, end=end, longest=_LONGEST_CLIP + 1)
    with replacing(task.folder / CLIP) as partial:
        write_audio(partial, sound)
