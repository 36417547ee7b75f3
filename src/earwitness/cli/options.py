"""Options shared by several subcommands."""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from earwitness.options import Option

MODEL_HELP = (
    "A built-in name, cnn14:FILE.pth, a folder written by train, or python:FILE.py:FUNCTION."
)
DEFAULT_MODEL = "esc10"


SEED = click.IntRange(0, 2**63 - 1)


class Number(click.FloatRange):
    """A finite number of a unit, from -1e9 to 1e9 if nothing else is given."""

    def __init__(
        self, least: float = -1e9, most: float = 1e9, *, above: bool = False, unit: str = ""
    ) -> None:
        super().__init__(least, most, min_open=above)
        self.unit = unit and f" of {unit}"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number that is neither infinite nor nan, which no range excludes."""
        found = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is no finite number{self.unit}", param, ctx)
        return float(super().convert(value, param, ctx))


def whole(least: int, most: int = 1_000_000) -> click.IntRange:
    """Return the type of a whole number."""
    return click.IntRange(least, most)


def place(text: str) -> str:
    """Return a path that can be looked up; the empty text is none (``.`` is the current folder)."""
    from earwitness.errors import OutputError
    from earwitness.files import reachable

    reachable(text, OutputError)
    return text


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read ``NAME=VALUE`` pairs."""
    from earwitness.methods.registry import FORMER

    settings = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--set takes NAME=VALUE, got {pair!r}")
        name = name.replace("-", "_")
        if name in FORMER:
            say(f"option {name} is now {FORMER[name]}; the old name works in this version only")
        settings[FORMER.get(name, name)] = text
    return settings


def read_value(text: str, option: Option) -> Any:
    """Return the text itself for an option of type ``str``, and its JSON value otherwise.

    ``none``, ``true`` and ``false`` are written as in JSON or as in Python.
    """
    if option.default is None and text.lower() in ("none", "null"):
        return None
    if option.type is bool:
        text = text.lower()
    if option.type is str:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or more digits than Python reads
        return text


def say(text: str) -> None:
    """Print to standard error, if it can be written; standard output is for results."""
    with suppress(OSError):
        click.echo(printable(text), err=True)


def unexpected(error: Exception, place: str = "") -> str:
    """Return one line for an error that no check foresaw; raise it if a traceback is wanted."""
    if os.environ.get("EARWITNESS_DEBUG"):
        raise error
    text = " ".join(str(error).split("\n")[:1])
    return f"{place}: " * bool(place) + (
        f"unexpected {type(error).__name__}: {text}; this is a bug in earwitness, set "
        "EARWITNESS_DEBUG=1 for the traceback"
    )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, ``1 sound`` or ``2 sounds``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text: str) -> str:
    """Return text on one line, with unprintable characters replaced by ``?``."""
    return "".join(c if c.isprintable() else "?" for c in text)
