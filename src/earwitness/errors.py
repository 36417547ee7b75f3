"""The errors raised to users. Each message has one line that says how to fix the problem."""


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
