"""``earwitness predict``: a model's outputs for sounds."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from earwitness.cli.options import (
    DEFAULT_MODEL,
    MODEL_HELP,
    model_name,
    model_options,
    printable,
    say,
    whole,
)
from earwitness.cli.results import Verb, emit
from earwitness.cli.stopping import stoppable

if TYPE_CHECKING:
    from earwitness.jobs.predicting import Predicted, PredictTask
    from earwitness.types import Pool


@click.command(cls=Verb)
@click.argument("clips", nargs=-1, required=True, metavar="CLIP...")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@model_options
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option(
    "--pool", type=click.Choice(["mean", "max", "topk"]),
    help="How outputs for the windows of a long sound become one: their mean, the largest, or the "
    "mean of the three largest.  [default: what the model says, else mean]",
)  # fmt: skip
@click.option(
    "--jobs", type=whole(1, 1000), default=1, show_default=True,
    help="Number of processes.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON line per clip.")
def predict(
    clips: tuple[str, ...],
    model: str,
    model_settings: tuple[str, ...],
    trust_code: bool,
    device: str,
    pool: Pool | None,
    jobs: int,
    as_json: bool,
) -> int:
    """Print a model's outputs for sound files and folders of them."""
    from earwitness.clips import find_clips
    from earwitness.errors import EarwitnessError
    from earwitness.jobs.pool import ModelName, run
    from earwitness.jobs.predicting import PredictTask, lost_prediction, predict_task

    named = ModelName(model_name(model, model_settings, trust_code), device)
    loaded = named.load()
    tasks = []
    done = failed = 0
    for place in clips:
        try:
            tasks += [PredictTask(clip, pool) for clip in find_clips([place])]
        except EarwitnessError as error:
            say(f"earwitness: {error}")
            failed += 1
    found = run(predict_task, tasks, loaded if jobs == 1 else named, workers=jobs,
                lost=lost_prediction)  # fmt: skip
    with stoppable(), closing(found):
        for one in found if jobs == 1 else _in_order(tasks, found):
            if one.outputs is None:
                say(f"earwitness: {one.error}")
                failed += 1
                continue
            done += 1
            emit(json.dumps(one.outputs) if as_json else _text(one.task.clip, one.outputs))
    return 0 if not failed else 1 if done else 2


def _in_order(tasks: Sequence[PredictTask], found: Iterator[Predicted]) -> Iterator[Predicted]:
    """Yield what comes from several workers in the order of the sounds."""
    there: dict[PredictTask, deque[Predicted]] = defaultdict(deque)
    for task in tasks:  # a file may be named twice
        while not there[task]:
            one = next(found)
            there[one.task].append(one)
        yield there[task].popleft()


def _text(clip: Path, answer: Mapping[str, Any]) -> str:
    """Return the largest outputs of a sound, and its notes, on lines."""
    leading = list(answer["outputs"].items())
    if answer["task"] != "regression":  # whose outputs do not compete
        leading = sorted(leading, key=lambda pair: -pair[1])[:3]
    lines = [f"{clip}: " + ", ".join(f"{label} {value:.3f}" for label, value in leading)]
    if "windows" in answer:
        lines.append(f"  {_strongest(leading[0][0], answer['windows'])}")
    lines += [f"  {note}" for note in answer["notes"]]
    return "\n".join(map(printable, lines))


def _strongest(label: str, windows: Sequence[Mapping[str, Any]]) -> str:
    """Return in words where a label is largest."""
    best = max(windows, key=lambda one: float(one["outputs"][label]))
    return (
        f"{label} is largest from {best['start']:.2f} to {best['end']:.2f} s: "
        f"{best['outputs'][label]:.3f}; earwitness scan finds the others"
    )
