"""``earwitness predict``: a model's outputs for sounds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from earwitness.cli.options import (
    DEFAULT_MODEL,
    MODEL_HELP,
    model_name,
    model_options,
    printable,
    say,
    unexpected,
)
from earwitness.cli.results import Verb, emit

if TYPE_CHECKING:
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
@click.option("--json", "as_json", is_flag=True, help="One JSON line per clip.")
def predict(
    clips: tuple[str, ...],
    model: str,
    model_settings: tuple[str, ...],
    trust_code: bool,
    device: str,
    pool: Pool | None,
    as_json: bool,
) -> int:
    """Print a model's outputs for sound files and folders of them."""
    from earwitness.clips import find_clips
    from earwitness.errors import EarwitnessError
    from earwitness.jobs.predicting import predict as outputs_of
    from earwitness.models.registry import load_model

    loaded = load_model(model_name(model, model_settings, trust_code), device=device)
    done = failed = 0
    for place in clips:
        try:
            found = find_clips([place])
        except EarwitnessError as error:
            say(f"earwitness: {error}")
            failed += 1
            continue
        for clip in found:
            try:
                found_outputs = outputs_of(loaded, clip, pool=pool)
            except EarwitnessError as error:
                say(f"earwitness: {error}")
                failed += 1
                continue
            except Exception as error:  # of this sound; the others are still to come
                say(f"earwitness: {unexpected(error, str(clip))}")
                failed += 1
                continue
            done += 1
            if as_json:
                emit(json.dumps(found_outputs))
                continue
            leading = list(found_outputs["outputs"].items())
            if found_outputs["task"] != "regression":  # whose outputs do not compete
                leading = sorted(leading, key=lambda pair: -pair[1])[:3]
            text = ", ".join(f"{label} {value:.3f}" for label, value in leading)
            emit(printable(f"{clip}: {text}"))
            if "windows" in found_outputs:
                emit(printable(f"  {_strongest(leading[0][0], found_outputs['windows'])}"))
            for note in found_outputs["notes"]:
                emit(printable(f"  {note}"))
    return 0 if not failed else 1 if done else 2


def _strongest(label: str, windows: Sequence[Mapping[str, Any]]) -> str:
    """Return in words where a label is largest."""
    best = max(windows, key=lambda one: float(one["outputs"][label]))
    return (
        f"{label} is largest from {best['start']:.2f} to {best['end']:.2f} s: "
        f"{best['outputs'][label]:.3f}; earwitness scan finds the others"
    )
