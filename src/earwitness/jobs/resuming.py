"""What explanations depend on, by content: a run goes on only where all of it is the same."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from earwitness.files import digest_of
from earwitness.masks.keep import parse_keep
from earwitness.methods.registry import METHODS, named_files
from earwitness.models.fingerprint import changed, identity
from earwitness.models.model import Model
from earwitness.types import Request

_SHARED = [one.name for one in fields(Request) if one.name not in ("method", "options")]


def key_of(
    model: Model, requests: Iterable[Request], files: Collection[str], *, audio: bool = True
) -> dict[str, Any]:
    """Return what the explanations of a run depend on besides the sounds, as plain JSON values.

    Parameters
    ----------
    requests : iterable of Request
        Of one run: they differ in method and options only.
    files : collection of str
        What is saved besides the default.
    audio : bool
        Whether sounds are saved.

    Raises
    ------
    OutputError
        If a file that an option names cannot be read.
    """
    requests = list(requests)
    methods = {}
    for request in requests:
        options = METHODS.get(request.method).settle(request.options)
        methods[request.method] = {"options": options, "named": digest_of(named_files(options))}
    settings = {name: getattr(requests[0], name) for name in _SHARED}
    if settings["names"] is not None:
        settings["names"] = digest_of([Path(settings["names"])])
    keep = parse_keep(requests[0].keep) if requests[0].keep else None
    if keep and keep.file:
        settings["keep"] = str(replace(keep, file=digest_of([Path(keep.file)])))
    found = {
        "model": {"name": model.name, **identity(model)},
        "settings": settings,
        "files": sorted(files),
        "audio": audio,
        "methods": methods,
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Return what differs between the keys of two runs, in words; empty if nothing does.

    A method that only one of them has is no difference.
    """
    other = changed(there.get("model"), here["model"])
    if other:
        return f"another {other}" if other == "model" else f"other {other} of the model"
    settings = {"curve": False, **there.get("settings", {})}  # of an earlier version
    for name, value in here["settings"].items():
        before = settings.get(name)
        if before == value:
            continue
        if name == "keep" and all(str(one).startswith("file:") for one in (before, value)):
            return "another mask that was drawn"
        if name == "names":
            return "other names of components"
        return f"{name} {_text(before)}, not {_text(value)}"
    if there.get("files") != here["files"]:
        return f"files {_text(there.get('files'))}, not {_text(here['files'])}"
    if there.get("audio", True) != here["audio"]:
        return "sounds, not --no-audio" if there.get("audio", True) else "--no-audio, not sounds"
    for method, one in here["methods"].items():
        known = there.get("methods", {}).get(method)
        if known is None:
            continue
        for name, value in one["options"].items():
            if known["options"].get(name) != value:
                before = _text(known["options"].get(name))
                return f"{name} {before}, not {_text(value)}, for {method}"
        if known != one:
            return f"other files that the options of {method} name"
    return ""


def _text(value: Any) -> str:
    """Return a value as it is written on the command line, roughly."""
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "default" if value is None else str(value)
