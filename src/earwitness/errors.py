"""The errors raised to users. Each message has one line that says how to fix the problem."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

_LONGEST = 500  # characters of another library's message


class EarwitnessError(Exception):
    """Root of all errors that the library raises itself.

    The message says in one line what was given, what is needed and how to fix it; the command line
    prints it unchanged.
    """


class AudioError(EarwitnessError):
    """A sound cannot be read, or is too short or invalid."""


class ModelError(EarwitnessError):
    """A model cannot be found or loaded, or its outputs contradict its declaration."""


class OutputShapeError(ModelError):
    """A model's outputs are not as many as its labels, or depend on the length of the sound."""


class ParameterError(EarwitnessError, ValueError):
    """An argument is out of range or inconsistent with others."""


class UnknownNameError(EarwitnessError, KeyError):
    """No method, model, class or option has this name; the message suggests the nearest one."""

    def __str__(self) -> str:
        return str(self.args[0])


class NotApplicableError(EarwitnessError):
    """The method does not support this model or target; the message says why."""


class OutputError(EarwitnessError):
    """A result cannot be written to the given path."""


class DownloadError(EarwitnessError):
    """A data set cannot be obtained, or is damaged."""


def unforeseen(error: Exception) -> str:
    """Return one line for an error that no check foresaw; raise it if a traceback is wanted."""
    if os.environ.get("EARWITNESS_DEBUG"):
        raise error
    return f"unexpected {type(error).__name__}: {reason(error)}"


def reason(error: BaseException) -> str:
    """Return the message of another library's exception on one line.

    Of TorchScript, which repeats its code, the last line; of an exception without a message, the
    line of code that raised it.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        trace = error.__traceback__
        last = traceback.extract_tb(trace)[-1] if trace is not None else None
        if last is None:
            return "without a message"
        return f"at line {last.lineno} of {Path(last.filename).name}, {last.line}"
    if any("TorchScript" in line for line in lines):
        return lines[-1].removeprefix("RuntimeError: ")
    text = " ".join(lines)
    return text if len(text) <= _LONGEST else f"{lines[0][:_LONGEST]} ... {lines[-1][:_LONGEST]}"
