"""The check of a model: all findings, and what to type next."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from earwitness.checking.finding import Finding
from earwitness.checking.gradients import check_gradients
from earwitness.checking.labelled import check_labelled
from earwitness.checking.lengths import (
    check_layers,
    check_lengths,
    check_plane,
    check_rate,
    check_routes,
    find_lengths,
)
from earwitness.checking.methods import Trial, plain_table, recommended, try_methods
from earwitness.checking.outputs import (
    check_batch,
    check_level,
    check_outputs,
    check_repeats,
    unchecked,
)
from earwitness.errors import EarwitnessError, ModelError, OutputShapeError, reason
from earwitness.models.adapters.registry import find_adapter
from earwitness.models.model import Model
from earwitness.models.registry import split_name
from earwitness.signals import scene
from earwitness.subject import Subject, load_clip
from earwitness.types import Audio

_MOST = 8  # sounds that are evaluated in every check; all labelled ones count for the accuracy
_LONGEST = 10.0  # s of a sound


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes
    ----------
    model : str
    findings : tuple of Finding
    methods : tuple of Trial
    first, reason : str
        The method to begin with, and why.
    command : str
        A command or call to copy.
    wrapping : str
        The call of ``wrap`` that would put right what was declared; empty if nothing is wrong.
    """

    model: str
    findings: tuple[Finding, ...]
    methods: tuple[Trial, ...]
    first: str
    reason: str
    command: str
    wrapping: str = ""

    @property
    def broken(self) -> bool:
        """Whether anything is."""
        return any(one.grade == "broken" for one in self.findings)

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "model": self.model,
            "broken": self.broken,
            "findings": [one.plain() for one in self.findings],
            "methods": plain_table(list(self.methods)),
            "first": self.first,
            "reason": self.reason,
            "command": self.command,
            "wrapping": self.wrapping,
        }


def check_model(
    model: Model,
    clips: Sequence[Path] = (),
    *,
    methods: bool = True,
    table: Mapping[Path, str] | None = None,
) -> Report:
    """Check a model on sounds, or on a synthesised one.

    Parameters
    ----------
    clips : sequence of Path
        Sound files; those in folders named as labels also give the accuracy.
    methods : bool
        Whether methods are tried.
    table : mapping of Path to str, optional
        Labels of sounds by absolute path, in the place of their folder's name.

    Raises
    ------
    EarwitnessError
        If the model cannot be evaluated on any of the sounds.
    """
    sounds, read = _sounds(model, clips)
    waves = [torch.from_numpy(one.samples).to(model.device).unsqueeze(0) for one in sounds]
    findings, model = _readable(model, waves[0])
    tried: list[Trial] = []
    if all(one.name != "outputs" for one in findings):
        findings += [check_rate(model), *check_outputs(model, waves)]
        if all(one.facts for one in findings if one.name in ("outputs", "labels")):
            findings += _rest(model, waves, [one.name for one in findings])
        findings += check_labelled(model, clips, table or {})
        if methods:
            try:
                tried = try_methods(Subject(model, sounds[0], 0))
            except EarwitnessError as error:
                findings.append(Finding("methods", "broken", str(error)))
    first, reason = recommended(tried)
    declare = {name: value for one in findings for name, value in one.declare.items()}
    command = _command(model, read, first or "lime", declare)
    wrapping = _wrapping(model, declare) if declare else ""
    return Report(model.name, tuple(findings), tuple(tried), first, reason, command, wrapping)


def _readable(model: Model, wave: Tensor) -> tuple[list[Finding], Model]:
    """Return what is wrong with lengths and the shape of outputs, and a model that goes on.

    It goes on without labels if there are too few or many, and with a length that it takes.

    Raises
    ------
    EarwitnessError
        If the network itself fails.
    """
    try:
        with model.undisturbed(), torch.no_grad():
            unchecked(model)(wave)
    except OutputShapeError as error:
        other = copy.copy(model)
        other.forget_labels()
        facts = {"labels": list(model.labels)}
        wrong = Finding("labels", "broken", str(error), "give one label for each output", facts)
        found, other = _readable(other, wave)
        return [wrong, *found], other
    except ModelError as error:
        if error.__cause__ is not None:  # the network's own
            lengths, other = find_lengths(model, error, wave.shape[-1])
            found, other = _readable(other, wave)
            return [lengths, *found], other
        return [Finding("outputs", "broken", str(error))], model
    return [], model


def _rest(model: Model, waves: Sequence[Tensor], done: Sequence[str]) -> list[Finding]:
    samples = min(waves[0].shape[-1], model.longest or waves[0].shape[-1])
    checks: dict[str, Callable[[], Finding | list[Finding]]] = {
        "gradients": lambda: check_gradients(model, waves[0]),
        "batch": lambda: check_batch(model, waves[0]),
        "repeatable": lambda: check_repeats(model, waves[0]),
        "level": lambda: check_level(model, waves),
        "routes": lambda: check_routes(model, waves[0]),
        "lengths": lambda: check_lengths(model, waves),
        "plane": lambda: check_plane(model),
        "layers": lambda: check_layers(model, max(samples, model.shortest or 0)),
    }
    findings: list[Finding] = []
    for name, check in checks.items():
        if name in done:
            continue
        try:
            found = check()
            findings += found if isinstance(found, list) else [found]
        except EarwitnessError as error:
            findings.append(Finding(name, "broken", str(error)))
        except Exception as error:  # of this check; the others still tell something
            text = f"could not be checked ({type(error).__name__}: {reason(error)})"
            findings.append(Finding(name, "broken", text))
    return findings


def _sounds(model: Model, clips: Sequence[Path]) -> tuple[list[Audio], list[Path]]:
    """Return sounds at the model's rate, spread over those given, and the files that were read.

    Without files, a synthesised sound.
    """
    if not clips:
        return [load_clip(scene(max(model.rate, 16000)).mixture, model.rate)], []
    step = max(1, len(clips) // _MOST)
    chosen = clips[::step][:_MOST]
    found: list[Audio] = []
    read: list[Path] = []
    for clip in chosen:
        try:
            found.append(load_clip(clip, model.rate, end=_LONGEST))
            read.append(clip)
        except EarwitnessError as error:
            last = error
    if not found:
        raise last
    return found, read


def _command(model: Model, clips: Sequence[Path], method: str, declare: Mapping[str, Any]) -> str:
    """Return what to type: the command, or for a model that was not named the call."""
    if not model.loaded:
        return f'earwitness.explain(model, sound, "{method}")'
    words = ["earwitness", "explain", str(clips[0]) if clips else "SOUND", "--model", model.loaded]
    adapter, _ = find_adapter(split_name(model.loaded)[0]) or (None, "")
    shortest, longest = declare.get("lengths", (None, None))
    limits = {"shortest": shortest, "longest": longest}
    found = {name: value for name, value in limits.items() if value is not None}
    for name, value in {**declare, **found}.items():
        option = "rate" if name == "sample_rate" else name
        if adapter and option in adapter.declared and adapter.name != "python":
            words += ["--model-set", f"{option}={value}"]
    return shlex.join([*words, "--method", method])


def _wrapping(model: Model, declare: Mapping[str, Any]) -> str:
    """Return the call of ``wrap`` that declares what was found."""
    facts = {"sample_rate": model.rate, "output": model.output, "task": model.task, **declare}
    given = ", ".join(f"{name}={value!r}" for name, value in facts.items())
    return f"earwitness.wrap(network, {given}, ...)"
