"""``earwitness bench l2i-page``: interpretations of mixtures, noise and errors on one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from earwitness.cli.options import DEFAULT_MODEL, MODEL_HELP, SEED, place, say, whole
from earwitness.cli.results import Verb

if TYPE_CHECKING:
    from earwitness.cli.l2i_cases import Case
    from earwitness.models.model import Model
    from earwitness.report.folder import ReportFolder

_FOLDER: dict[str, Any] = {"type": place, "metavar": "DIR"}


@click.command("l2i-page", cls=Verb)
@click.option("--data", required=True, type=place, metavar="DIR",
              help="ESC-10 or ESC-50, or the folder that holds esc10.")  # fmt: skip
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@click.option("--interpreter", help="Interpreter of the model (train l2i); default: the one "
              "shipped with it.", **_FOLDER)  # fmt: skip
@click.option("--flint", help="Trained by train flint, for the model.", **_FOLDER)
@click.option("--tagger", help="Classifier of several labels (train classifier --multi-label).",
              **_FOLDER)  # fmt: skip
@click.option("--tagger-interpreter", help="Interpreter of the tagger.", **_FOLDER)
@click.option("--clips", type=whole(1, 100), default=3, show_default=True,
              help="Sounds of every case.")  # fmt: skip
@click.option("--fold", type=whole(0), help="Fold of the sounds.  [default: 4, or 1 of ESC-50]")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run.")
@click.option("-o", "--output", type=place, metavar="DIR", default="earwitness-l2i-page",
              show_default=True, help="Folder for the page and its files.")  # fmt: skip
def l2i_page(
    data: str,
    model: str,
    interpreter: str | None,
    flint: str | None,
    tagger: str | None,
    tagger_interpreter: str | None,
    clips: int,
    fold: int | None,
    seed: int,
    overwrite: bool,
    output: str,
) -> int:
    """Make a page of interpretations (l2i) to listen to.

    Cases: (a) mixtures with a sound of another class, beside both sounds alone, (b) white noise at
    0 dB, (c) the mixtures explained by iba and flint, (d) misclassified sounds, (e) a tagger's
    mixtures, with one interpretation for every label that it decides. An interrupted run resumes
    when the command is repeated with the same arguments.
    """
    from earwitness.cli.l2i_cases import items_of, pairs, several_labels
    from earwitness.files import digest_of, held
    from earwitness.models.fingerprint import fingerprint, identity
    from earwitness.models.registry import load_model
    from earwitness.report.folder import ReportFolder
    from earwitness.report.page import Form

    if (tagger is None) != (tagger_interpreter is None):
        raise click.UsageError("--tagger and --tagger-interpreter are given together")
    explained = load_model(model)
    if explained.task != "single-label":
        raise click.UsageError(f"{model} does not decide one class of many; see --tagger")
    several = None if tagger is None else load_model(tagger)
    if several is not None and several.task != "multi-label":
        raise click.UsageError(f"{tagger} is no classifier of several labels")
    items = items_of(Path(data), fold, explained.labels)
    pairs(items, clips, seed)  # refuses too few
    shared = [] if several is None else [one for one in items if one.label in several.labels]
    if several is not None:
        if len({one.label for one in shared}) < 2:
            raise click.UsageError(f"{tagger} has fewer than two classes of the sounds in {data}")
        pairs(shared, clips, seed)
    notes = []
    if flint is None:
        notes.append("flint: left out, since no folder was given (--flint DIR)")
    if tagger is None:
        notes.append("(e), several labels: left out, since no tagger was given (--tagger DIR)")
    for note in notes:
        say(note)
    named = [Path(one) for one in (interpreter, flint, tagger_interpreter) if one]
    facts = {"files": digest_of(named), "sounds": digest_of(item.path for item in items)}
    facts |= {"tagger": "" if several is None else fingerprint(several)}
    facts |= {"clips": str(clips), "seed": str(seed), "flint": str(bool(flint))}
    key = {"model": identity(explained), "request": facts, "methods": {}}
    folder = ReportFolder(
        Path(output), overwrite=overwrite, key=key,
        difference=_difference,
        form=Form(
            title="Listen to Interpret, case by case", models=_models(explained, several),
            note="; ".join(notes),
        ),
    )  # fmt: skip
    made = chain(
        _cases(explained, interpreter, flint, items, clips, seed),
        () if several is None else several_labels(
            several, shared, clips, seed, {"interpreter": tagger_interpreter}
        ),
    )  # fmt: skip
    with held(folder.root):
        folder.prepare()
        return _explain(folder, explained, made)


def _models(model: Model, tagger: Model | None) -> str:
    """Return which models decided the sounds of the page."""
    from earwitness.report.page import summary

    if tagger is None:
        return summary(model)
    return f"(a) to (d) by a {summary(model)}, (e) by a {summary(tagger)}"


def _difference(there: Any, here: Mapping[str, Any]) -> str:
    """Return what differs between two runs in words; empty if nothing does."""
    from earwitness.models.fingerprint import changed

    other = changed(there["model"], here["model"])
    if other:
        return f"another {other} of the model"
    return "" if there["request"] == here["request"] else "other options, sounds or folders"


def _cases(
    model: Model,
    interpreter: str | None,
    flint: str | None,
    items: list[Any],
    clips: int,
    seed: int,
) -> Iterator[Case]:
    from earwitness.cli.l2i_cases import misclassified, with_noise, with_others
    from earwitness.types import Request

    def request(method: str, folder: str | None) -> Request:
        options = {"interpreter": folder} if folder else {}
        return Request(method, options, seed=seed, trust="light")

    own = {"l2i": request("l2i", interpreter)}
    every = {**own, "iba": request("iba", None)}
    if flint is not None:
        every["flint"] = request("flint", flint)
    return chain(
        with_others(model, items, clips, seed, every, own),
        with_noise(model, items, clips, seed, own),
        misclassified(model, items, clips, seed, own),
    )


def _explain(folder: ReportFolder, model: Model, cases: Iterator[Case]) -> int:
    """Explain what is not on the page yet, write the page, and return the exit code."""
    from earwitness.cli.stopping import stoppable

    sounds, heading = folder.root / "sounds", ""
    try:
        with stoppable():
            shown = folder.shown()
            for case in cases:
                if case.heading != heading:
                    heading = case.heading
                    say(heading)
                _one(folder, sounds, case, shown)
    except (KeyboardInterrupt, OSError) as error:
        reason = f" ({error.strerror})" if isinstance(error, OSError) else ""
        say(f"earwitness: stopped{reason}; repeat the command to go on")
        return 1
    finally:
        if folder.explained:
            folder.finish(model)
        else:
            folder.discard()
    say(f"page: {folder.page}")
    return 0


def _one(folder: ReportFolder, sounds: Path, case: Case, shown: set[Path]) -> None:
    """Explain one sound with all its requests, unless it is finished."""
    from earwitness.audio import write_audio
    from earwitness.cli.results import emit
    from earwitness.cli.scene import against_truth
    from earwitness.pipeline import explain_subject
    from earwitness.store import finished
    from earwitness.subject import open_subject
    from earwitness.types import Audio

    clip = sounds / case.heading / f"{case.name}.wav"
    there = folder.place_of(str(clip), sounds)
    if there in shown and all(finished(there / part, ()) for part in case.requests):
        return
    clip.parent.mkdir(parents=True, exist_ok=True)
    write_audio(clip, case.audio)
    sources = {label: Audio(one, case.model.rate, label) for label, one in case.sources.items()}
    subject = None
    for part, request in case.requests.items():
        subject = subject or open_subject(case.model, clip, seed=request.seed)
        found = explain_subject(subject, request)
        if found.target.label in sources:
            label = found.target.label
            source = clip.with_name(f"{case.name}, true {label}.wav")
            write_audio(source, sources[label])
            name = source.relative_to(folder.root).as_posix()
            found = against_truth(found, case.model, sources, label, name)
        folder.add(found, part)
        emit(f"{case.name}: {found}")
