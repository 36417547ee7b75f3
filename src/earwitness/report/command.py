"""The line of the command that repeats an explanation."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from earwitness.explanation import Explanation
from earwitness.methods.registry import METHODS


def command_line(one: Explanation) -> str | None:
    """Return the command that repeats an explanation, as a shell reads it.

    Paths are as they were given. None if the model was not loaded by its name, or the sound is not
    a file.
    """
    model = one.provenance.get("model")
    if not model:
        return None
    compared = one.attribution.details.get("comparison")
    clips = [one.clip] if compared is None else [one.clip, compared["b"]]
    if not all(Path(clip).is_file() for clip in clips):
        return None
    verb = "explain" if compared is None else "compare"
    clips = [f"./{clip}" if clip.startswith("-") else clip for clip in clips]
    spec, target = METHODS.get(one.method), one.target
    kind = "--compat" if spec.published else "--method"
    words = ["earwitness", verb, *clips, "--model", model, kind, one.method]
    for name, value in one.options.items():
        if name == "background" and compared is not None:
            continue
        if name in spec.declared and value != spec.declared[name].default:
            words += ["--set", f"{name}={_text(value)}"]
    if not target.decided:
        words += ["--target", target.label]
    if target.versus_label is not None:
        words += ["--versus", target.versus_label]
    if target.span is not None:
        words += ["--span", *map(str, target.span)]
    if target.sign < 0 and compared is None:
        words += ["--direction", "down"]
    if one.provenance.get("names"):
        words += ["--names", one.provenance["names"]]
    if one.provenance.get("pool"):
        words += ["--pool", one.provenance["pool"]]
    if one.mask.rule != spec.keep:
        words += ["--keep", one.mask.rule]
    for name in ("start", "end"):
        if one.provenance.get(name) is not None:
            words += [f"--{name}", str(one.provenance[name])]
    if one.provenance["seed"]:
        words += ["--seed", str(one.provenance["seed"])]
    trust = one.provenance.get("trust", "full")
    if trust != ("full" if compared is None else "light"):
        words += ["--trust", trust]
    if compared is None and (one.curve is not None) != (trust == "full"):
        words += ["--curve" if one.curve is not None else "--no-curve"]
    if one.provenance["device"] != "cpu":
        words += ["--device", one.provenance["device"]]
    return shlex.join(words)


def _text(value: Any) -> str:
    """Return the value of an option as ``--set`` takes it."""
    return value if isinstance(value, str) else json.dumps(value)
