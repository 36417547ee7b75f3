"""Options shared by several subcommands."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import click

from earwitness.errors import unforeseen

MODEL_HELP = (
    "A built-in name, cnn14:FILE.pth, a folder written by train, python:FILE.py:FUNCTION, or "
    "another kind that earwitness models lists."
)
DEFAULT_MODEL = "esc10"
_LARGEST = 1e9  # of any number: no time, weight or score is larger

SEED = click.IntRange(0, 2**63 - 1)


class Finite(click.types.FloatParamType):
    """A finite number of a unit, of a magnitude of at most 1e9."""

    def __init__(self, unit: str = "") -> None:
        self.unit = unit and f" of {unit}"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number that is neither infinite nor nan, which no range excludes."""
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value!r} is no finite number{self.unit}", param, ctx)
        if abs(found) > _LARGEST:
            self.fail(f"{value!r} is too large a number{self.unit}", param, ctx)
        return found


class Number(click.FloatRange):
    """A finite number of a unit in a range; without an end, up to 1e9."""

    def __init__(
        self, least: float, most: float | None = None, *, above: bool = False, unit: str = ""
    ) -> None:
        super().__init__(least, most, min_open=above)
        self._finite = Finite(unit)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a finite number in the range."""
        return float(super().convert(self._finite.convert(value, param, ctx), param, ctx))


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
    """Read ``NAME=VALUE`` pairs of ``--set``."""
    from earwitness.methods.registry import FORMER

    settings = {}
    for name, text in _pairs(pairs, "--set").items():
        if name in FORMER:
            say(f"option {name} is now {FORMER[name]}; the old name works in this version only")
        settings[FORMER.get(name, name)] = text
    return settings


def _pairs(pairs: tuple[str, ...], option: str) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or not name:
            raise click.UsageError(f"{option} takes NAME=VALUE, got {pair!r}")
        settings[name.replace("-", "_")] = text
    return settings


def model_options(command: Any) -> Any:
    """Give a subcommand the options of how a model is loaded; ``model_name`` joins them."""
    trust = click.option(
        "--trust-code", is_flag=True,
        help="Load a model from a file that is a program, such as a pickle.",
    )  # fmt: skip
    settings = click.option(
        "--model-set", "model_settings", multiple=True, metavar="OPTION=VALUE",
        help="Option of the model's kind, such as rate=16000; see earwitness models KIND.",
    )  # fmt: skip
    return settings(trust(command))


def model_name(model: str, settings: tuple[str, ...], trust_code: bool) -> str:
    """Return the name of a model with its options, as ``load_model`` takes it."""
    from earwitness.models.registry import join_name

    trusted = {"trust_code": "true"} if trust_code else {}
    return join_name(model, {**_pairs(settings, "--model-set"), **trusted})


def say(text: str) -> None:
    """Print to standard error, if it can be written; standard output is for results."""
    with suppress(OSError):
        click.echo(printable(text), err=True)


def unexpected(error: Exception, place: str = "") -> str:
    """Return one line for an error that no check foresaw; raise it if a traceback is wanted."""
    return f"{place}: " * bool(place) + (
        f"{unforeseen(error)}; this is a bug in earwitness, set EARWITNESS_DEBUG=1 for the "
        "traceback"
    )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, ``1 sound`` or ``2 sounds``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text: str) -> str:
    """Return text on one line, with unprintable characters replaced by ``?``."""
    return "".join(c if c.isprintable() else "?" for c in text)
