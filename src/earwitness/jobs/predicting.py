"""A model's outputs for sounds, without an explanation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from earwitness.errors import EarwitnessError, unforeseen
from earwitness.evaluation.notes import length_notes
from earwitness.models.calling.windowed import pooled
from earwitness.models.declared import declaration_notes, outputs_for
from earwitness.models.model import Model
from earwitness.models.target import probabilities
from earwitness.pipeline import loaded
from earwitness.subject import Clip, Subject, load_clip
from earwitness.types import Pool


@dataclass(frozen=True)
class PredictTask:
    """A sound file, and how outputs for the windows of a long one are pooled (``predict``)."""

    clip: Path
    pool: Pool | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.clip)


@dataclass(frozen=True)
class Predicted:
    """What became of a sound file.

    Attributes
    ----------
    task : PredictTask
    outputs : dict or None
        As ``predict`` returns it.
    error : str
        Why there is none.
    """

    task: PredictTask
    outputs: dict[str, Any] | None
    error: str = ""


def predict_task(
    model: Model, task: PredictTask, _on_passes: Callable[[int], None]
) -> Iterator[Predicted]:
    """Yield what a model makes of a sound file."""
    try:
        yield Predicted(task, predict(model, task.clip, pool=task.pool))
    except EarwitnessError as error:
        yield Predicted(task, None, str(error))
    except Exception as error:
        yield Predicted(task, None, f"{task.clip}: {unforeseen(error)}")


def lost_prediction(task: PredictTask, reason: str) -> list[Predicted]:
    """Return what became of a sound file whose worker ended."""
    return [Predicted(task, None, f"{task.clip}: {reason}")]


def predict(model: Model | str, clip: Clip, *, pool: Pool | None = None) -> dict[str, Any]:
    """Return what a model makes of a sound: probabilities of a classifier, values otherwise.

    Parameters
    ----------
    model : Model or str
        What ``wrap`` or ``load_model`` returned, or a name for the latter.
    clip : path, Audio, (samples, rate) or mapping
        As ``explain`` takes it.
    pool : {"mean", "max", "topk"}, optional
        How outputs for the windows of a long sound become one; the model's own way by default.

    Returns
    -------
    dict
        ``clip``, ``task``, ``outputs`` (label to value), ``notes``, for classifiers ``label``
        and ``probability`` of the largest, and for a sound read in windows ``windows``: ``start``
        and ``end`` in seconds and ``outputs`` of each.
    """
    model = pooled(loaded(model), pool)
    audio = load_clip(clip, model.rate)
    subject = Subject(model, audio, seed=0)
    windows = model.windows(len(audio.samples))
    several = len(windows) > 1 and not model.per_frame
    with model.undisturbed(), torch.no_grad():
        outputs = subject.outputs if several else outputs_for(model, subject.wave)
        found = probabilities(model, outputs.unsqueeze(0))
    values = (found.mean(dim=-1) if model.per_frame else found)[0].tolist()
    answer: dict[str, Any] = {"clip": audio.name, "task": model.task}
    answer["outputs"] = dict(zip(model.labels, values, strict=True))
    if model.task != "regression":
        answer["label"], answer["probability"] = max(
            answer["outputs"].items(), key=lambda pair: pair[1]
        )
    if several:
        answer["windows"] = [
            {
                "start": start / model.rate,
                "end": (start + length) / model.rate,
                "outputs": dict(zip(model.labels, part, strict=True)),
            }
            for (start, length), part in zip(
                windows, probabilities(model, subject.window_outputs).tolist(), strict=True
            )
        ]
    notes = [
        *audio.notes,
        *model.notes,
        *length_notes(model, len(audio.samples)),
        *declaration_notes(model),
    ]
    return {**answer, "notes": notes}
