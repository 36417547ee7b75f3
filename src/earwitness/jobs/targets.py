"""Several explanations of one request: of every label above a threshold, ``above:0.5``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from earwitness.errors import NotApplicableError, ParameterError
from earwitness.files import folder_name
from earwitness.models.model import Model
from earwitness.models.target import (
    ABOVE,
    make_target,
    output_index,
    over,
    probabilities,
    refuse_numbers,
)
from earwitness.subject import Subject
from earwitness.types import Request


def check_target(model: Model, request: Request) -> None:
    """Raise if a model has no such output, or cannot have a threshold."""
    refuse_numbers(model, request.target, request.versus)
    threshold = threshold_of(model, request)
    labels = (request.versus,) if threshold is not None else (request.target, request.versus)
    for label in labels:
        if label is not None:
            output_index(model, label)
    if threshold is None:
        return
    if model.task == "regression":
        raise NotApplicableError(
            f"target {request.target}: {model.name} gives values and no labels; name an output"
        )
    if request.versus is not None:
        raise ParameterError(
            f"versus compares one target with another; target {request.target} has several"
        )


def threshold_of(model: Model, request: Request) -> float | None:
    """Return the threshold of ``above:0.5``, or None for any other target.

    Raises
    ------
    ParameterError
        If it is no number, or nothing can be above it.
    """
    text = request.target
    if not isinstance(text, str) or not text.startswith(ABOVE) or text in model.labels:
        return None
    try:
        threshold = float(text.removeprefix(ABOVE))
    except ValueError:
        threshold = math.nan
    lowest, highest = (-math.inf, math.inf) if model.output == "scores" else (0.0, 1.0)
    if not math.isfinite(threshold) or not lowest <= threshold < highest:
        what = "a number" if model.output == "scores" else "a probability below 1"
        raise ParameterError(f"target {text}: {ABOVE} is followed by {what}, as in {ABOVE}0.5")
    return threshold


def parts_of(model: Model, request: Request) -> tuple[str, ...]:
    """Return the names of the folders that explanations of a request can have.

    The method's name; with a threshold, one for each label: ``lime@rain``.
    """
    if threshold_of(model, request) is None:
        return (request.method,)
    return tuple(label_folders(model, request.method))


def each_target(
    model: Model, opened: Callable[[], Subject], request: Request
) -> list[tuple[str, Request]]:
    """Return a request for every label above the threshold, the largest score first.

    Each comes with the name of its folder. The sound is opened only if there is a threshold.

    Raises
    ------
    NoLabelError
        If no label is.
    """
    threshold = threshold_of(model, request)
    if threshold is None:
        return [(request.method, request)]
    subject = opened()
    target = make_target(
        model, subject.outputs, span=request.span, seconds=subject.audio.seconds
    )  # for its frames
    values = over(probabilities(model, subject.outputs.unsqueeze(0)), target.frames)[0].tolist()
    order = sorted(range(len(values)), key=lambda index: -values[index])
    found = [index for index in order if values[index] > threshold]
    if not found:
        raise NoLabelError(
            f"no label is above {threshold:g}; the largest is {model.labels[order[0]]}, "
            f"{values[order[0]]:.2g}"
        )
    folders = label_folders(model, request.method)
    return [(folders[index], replace(request, target=index)) for index in found]


class NoLabelError(NotApplicableError):
    """No label of a sound is above the threshold: there is nothing to explain."""


def label_folders(model: Model, prefix: str) -> list[str]:
    """Return the name of a folder for every label; names that differ in case only get a number.

    Parameters
    ----------
    prefix : str
        What stands before the label: the method, or a time.
    """
    names = [folder_name(label) for label in model.labels]
    count = Counter(name.lower() for name in names)
    taken = {name for name, times in count.items() if times == 1}
    for index, name in enumerate(names):
        if count[name.lower()] > 1:
            names[index] = f"{name}-{index}"
            while names[index].lower() in taken:  # the name of another label
                names[index] += f"-{index}"
            taken.add(names[index].lower())
    return [f"{prefix}@{name}" for name in names]
