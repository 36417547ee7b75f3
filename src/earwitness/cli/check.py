"""``earwitness check``: what a model is, what is wrong with it, and which methods apply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earwitness.cli.options import MODEL_HELP, model_name, model_options, printable
from earwitness.cli.results import Verb, emit

if TYPE_CHECKING:
    from earwitness.checking.report import Report

_MARKS = {"ok": "ok", "note": "note", "broken": "BROKEN"}
_REASON = 90  # characters of the reason why a method does not apply


@click.command(
    cls=Verb,
    help="Check MODEL: what its outputs are, whether gradients reach the sound, which methods "
    "apply.\n\nWith labelled sounds (folders named as labels, or a folder with a CSV table of "
    "filename and category), also its accuracy, and whether labels look permuted. Exit code 0 if "
    "all holds, 1 if something is broken, 2 if the model cannot be run."
    f"\n\nMODEL: {MODEL_HELP}",
)
@click.argument("model", metavar="MODEL")
@click.argument("clips", nargs=-1, metavar="[SOUND-OR-FOLDER]...")
@model_options
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@click.option("--no-methods", is_flag=True, help="Do not try the methods.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line.")
def check(
    model: str,
    clips: tuple[str, ...],
    model_settings: tuple[str, ...],
    trust_code: bool,
    device: str,
    no_methods: bool,
    as_json: bool,
) -> int:
    """Load a model and check it."""
    from earwitness.checking.report import check_model
    from earwitness.clips import find_clips
    from earwitness.data.collection import table_labels
    from earwitness.models.registry import load_model

    loaded = load_model(model_name(model, model_settings, trust_code), device=device)
    found: list[Path] = find_clips(clips) if clips else []
    labels = table_labels(Path(one) for one in clips)
    report = check_model(loaded, found, methods=not no_methods, table=labels)
    emit(json.dumps(report.plain()) if as_json else table(report))
    return 1 if report.broken else 0


def table(report: Report) -> str:
    """Return a report as a table."""
    lines = [f"{report.model}: {'something is broken' if report.broken else 'all holds'}", ""]
    width = max(len(one.name) for one in report.findings)
    for one in report.findings:
        lines.append(f"{_MARKS[one.grade]:7}{one.name:{width}}  {one.text}")
        if one.advice:
            lines.append(f"{'':7}{'':{width}}  -> {one.advice}")
    if report.methods:
        lines += ["", f"{'method':22}{'seconds':>8}{'MB':>7}"]
    for row in report.plain()["methods"]:
        if row["applies"]:
            memory = "" if row["megabytes"] is None else f"{row['megabytes']:.0f}"
            lines.append(f"{row['method']:22}{row['seconds']:8.1f}{memory:>7}")
        else:
            reason = row["reason"]
            short = reason if len(reason) <= _REASON else f"{reason[:_REASON]}..."
            lines.append(f"{row['method']:22}{'-':>8}{'':7}  {short}")
    if report.first:
        lines += ["", f"begin with {report.first}: {report.reason}"]
    lines += [one for one in (report.wrapping, report.command) if one]
    return "\n".join(printable(line) for line in lines)
