"""Values that several verbs read the same way."""

from __future__ import annotations

import json
from typing import Any

import click

MODEL_HELP = "A built-in name, a folder that train wrote, or python:FILE.py:FUNCTION."
DEFAULT_MODEL = "esc10"


def parse_settings(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` pairs; values are numbers, true, false or text."""
    settings = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--set wants NAME=VALUE, got {pair!r}")
        try:
            settings[name.replace("-", "_")] = json.loads(text)
        except json.JSONDecodeError:
            settings[name.replace("-", "_")] = text
    return settings


def say(text: str) -> None:
    """Tell the person at the terminal something, leaving standard output to results."""
    click.echo(text, err=True)
