"""The score of the input over time, where a model gives outputs for frames, or reads windows."""

from __future__ import annotations

from earwitness.models.target import reported_values
from earwitness.subject import Subject
from earwitness.types import Course, Target

_DIGITS = 5  # significant, of a value


def score_course(subject: Subject, target: Target) -> Course | None:
    """Return the score of a target over time; None for a model with one output for the sound.

    Frames divide the sound evenly. Windows overlap, and lie where the model reads them.
    """
    model, seconds = subject.model, subject.audio.seconds
    if model.per_frame:
        values = reported_values(model, subject.outputs.unsqueeze(0), target)[0]
        step = seconds / len(values)
        starts = [k * step for k in range(len(values))]
        ends = [*starts[1:], seconds]
    else:
        windows = model.windows(len(subject.audio.samples))
        if len(windows) < 2:
            return None
        values = reported_values(model, subject.window_outputs, target)
        starts = [start / model.rate for start, _ in windows]
        ends = [min((start + length) / model.rate, seconds) for start, length in windows]
    return Course(
        tuple(round(one, 6) for one in starts),
        tuple(round(one, 6) for one in ends),
        tuple(float(f"{one:.{_DIGITS}g}") for one in values.tolist()),
    )
