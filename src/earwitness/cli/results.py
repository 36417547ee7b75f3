"""Standard output of a subcommand: its results and nothing else.

Models, plug-ins and the libraries below them print while they load and run, from Python or straight
to descriptor 1. Meanwhile both lead to standard error, and results go to the standard output that
the command was started with.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, TextIO

import click

_streams: list[TextIO | None] = []  # of the subcommands that run, the innermost last


class Verb(click.Command):
    """A subcommand that prints its results with ``emit``."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it with standard output reserved for results."""
        with _reserved():
            return super().invoke(ctx)


class Verbs(click.Group):
    """A group of such subcommands."""

    command_class = Verb


@contextmanager
def _reserved() -> Iterator[None]:
    with _moved(sys.stdout) as stream, redirect_stdout(sys.stderr):
        _streams.append(stream)
        try:
            yield
        finally:
            _streams.pop()


@contextmanager
def _moved(out: TextIO | None) -> Iterator[TextIO | None]:
    """Give a stream to standard output, and let descriptor 1 lead to standard error meanwhile."""
    try:
        plain = out is not None and out.fileno() == 1
    except (OSError, ValueError):  # a stream in memory
        plain = False
    if out is None or not plain:
        yield out
        return
    with suppress(OSError):  # a full disk is found by the first result
        out.flush()
    kept = os.dup(1)
    stream = open(kept, "w", encoding=out.encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115 - closing may fail
    try:
        _lead(1, 2)
        yield stream
    finally:
        with suppress(OSError, TypeError, AttributeError):  # not on Windows
            ctypes.CDLL(None).fflush(None)  # what libraries in C still keep belongs to the others
        _lead(1, kept)
        with suppress(OSError):
            stream.close()
        os.close(kept)


def _lead(number: int, to: int) -> None:
    """Let a descriptor lead where another one does, or nowhere if that is closed."""
    try:
        os.dup2(to, number)
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), number)


def emit(text: str, *, nl: bool = True) -> None:
    """Print a result to standard output.

    Raises
    ------
    OSError
        If it cannot be written: a disk is full, or nobody reads it any more.
    """
    stream = _streams[-1] if _streams else sys.stdout
    if stream is None:  # closed
        return
    click.echo(text, file=stream, nl=nl)
