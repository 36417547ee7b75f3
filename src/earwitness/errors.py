"""Every error a user can meet, each with one line that says what to do about it."""


class EarwitnessError(Exception):
    """Root of all errors raised on purpose.

    The text says what was given, what is wanted and how to mend it, in one line: the command prints
    it as it is.
    """


class AudioError(EarwitnessError):
    """A sound cannot be read, or holds nothing that could be explained."""


class ModelError(EarwitnessError):
    """A model cannot be found or loaded, or answers in a shape or range it did not declare."""


class ParameterError(EarwitnessError, ValueError):
    """An argument is out of range or does not fit the others."""


class UnknownNameError(EarwitnessError, KeyError):
    """No method, model, class or option of that name; the text names the nearest one."""

    def __str__(self) -> str:
        return str(self.args[0])


class NotApplicableError(EarwitnessError):
    """The method cannot answer this question about this model; the text says why."""


class OutputError(EarwitnessError):
    """A result cannot be written where it was asked for."""
