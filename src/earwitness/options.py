"""Options of methods and metrics, declared once: in the signature of their function.

An option is a keyword-only parameter. Its annotation gives the type and the range, and the
``Parameters`` section of the docstring says what it means::

    def fade(probe: Probe, *, steps: Annotated[int, Ge(1)] = 64, curve: Literal["a", "b"] = "a")

The check of a value, the listing of the command and the tables of the documents follow from this.
Types are ``int``, ``float``, ``bool``, ``str`` and ``Literal``, each also ``| None``. Constraints
are those of ``annotated_types``, which pydantic uses and which is quick to import, or pydantic's
``Field``.
"""

from __future__ import annotations

import inspect
import json
import math
import numbers
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from types import NoneType, SimpleNamespace, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt

from earwitness.errors import ParameterError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text"}
_MOST = 1_000_000  # of a number that declares no end; more takes all memory, or for ever
_ANNOTATED: Any = Annotated


@dataclass(frozen=True)
class Option:
    """One option and its constraints.

    Attributes
    ----------
    name : str
    type : int, float, bool or str
    default : object
        None is a valid value only if it is the default.
    low, high : float or None
        Ends of the interval of valid values.
    low_open, high_open : bool
        Whether the end itself is not valid.
    choices : tuple
        The valid values, if there are only some.
    description : str
    annotation : object
        What the signature says.
    """

    name: str
    type: type
    default: Any
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    choices: tuple[Any, ...] = ()
    description: str = ""
    annotation: Any = field(default=None, repr=False, compare=False)

    @property
    def range(self) -> str:
        """The valid interval in words, such as ``at least 1``; empty if there is none."""
        ends = []
        if self.low is not None and self.low_open:
            ends.append(f"above {self.low:g}" if self.low else "positive")
        elif self.low is not None:
            ends.append(f"at least {self.low:g}")
        if self.high is not None:
            ends.append(f"{'below' if self.high_open else 'at most'} {self.high:g}")
        return " and ".join(ends)

    @property
    def constraint(self) -> str:
        """The choices or the interval in words; empty if every value of the type is valid."""
        return f"one of {', '.join(map(str, self.choices))}" if self.choices else self.range

    @property
    def kind(self) -> str:
        """Type and constraint in words, such as ``whole number, at least 1``."""
        type_words = "" if self.choices else _WORDS[self.type]
        return ", ".join(part for part in (type_words, self.constraint) if part)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        from pydantic import ConfigDict, TypeAdapter  # takes a while to import

        core, rules = _unfold(self.annotation)
        exact = _ANNOTATED[(core, *rules)] if rules else core
        return TypeAdapter(exact, config=ConfigDict(strict=True, allow_inf_nan=False))


def options_of(function: Callable[..., Any]) -> dict[str, Option]:
    """Return the options of a function by name: its keyword-only parameters.

    Parameters
    ----------
    function : callable
        A parameter without annotation has the type of its default.

    Raises
    ------
    TypeError
        If the type of an option is not one of those of this module.
    """
    parameters = inspect.signature(function).parameters.values()
    own = [one for one in parameters if one.kind is one.KEYWORD_ONLY]
    # only those of options: the other annotations may name what is imported for type checking alone
    stated = {one.name: one.annotation for one in own if one.annotation is not one.empty}
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    hints = get_type_hints(SimpleNamespace(__annotations__=stated), scope, include_extras=True)
    meanings = read_parameters(inspect.getdoc(function) or "")
    options = {}
    for one in own:
        annotation = hints.get(one.name, type(one.default))
        options[one.name] = _read(one.name, annotation, one.default, meanings.get(one.name, ""))
    return options


def check(option: Option, value: Any) -> Any:
    """Return a valid value in the type of its option.

    Parameters
    ----------
    option : Option
    value : object
        Numbers of other libraries are valid numbers, and so is a whole float as an integer.

    Raises
    ------
    ParameterError
        If the value is not valid, or above a million where the option declares no end; the message
        says what is.
    """
    from pydantic import ValidationError

    if value is None and option.default is None:
        return None
    plain = _plain(value, option.type)
    if option.high is None and type(plain) in (int, float) and _MOST < abs(plain) < math.inf:
        raise ParameterError(f"{option.name} must be at most {_MOST:,}, got {value!r}")
    try:
        return option._adapter.validate_python(plain)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
    raise ParameterError(f"{option.name} {_complaint(option, plain, reason)} got {value!r}")


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


def read_parameters(text: str) -> dict[str, str]:
    """Return the description of each name in the ``Parameters`` section of a numpydoc docstring."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n---|\Z)", text, re.M | re.S)
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in section[1].splitlines() if section else ():
        if line[:1].strip():
            names = [name.strip() for name in line.partition(" :")[0].split(",")]
            found.update({name: [] for name in names})
        elif line.strip():
            for name in names:
                found[name].append(line.strip())
    return {name: " ".join(lines) for name, lines in found.items()}


def _read(name: str, annotation: Any, default: Any, description: str) -> Option:
    core, rules = _unfold(annotation)
    choices = get_args(core) if get_origin(core) is Literal else ()
    kind = type(choices[0]) if choices else core
    if kind is NoneType:
        raise TypeError(f"option {name} is None by default: annotate its type, as in int | None")
    if kind not in _WORDS:
        raise TypeError(
            f"option {name} is {annotation!r}; annotate it as int, float, bool, str or Literal, "
            "or one of these or None"
        )
    ends: dict[str, Any] = {}
    for rule in rules:
        if isinstance(rule, Ge | Gt):
            ends["low"] = rule.ge if isinstance(rule, Ge) else rule.gt
            ends["low_open"] = isinstance(rule, Gt)
        elif isinstance(rule, Le | Lt):
            ends["high"] = rule.le if isinstance(rule, Le) else rule.lt
            ends["high_open"] = isinstance(rule, Lt)
    return Option(
        name, kind, default, choices=choices, description=description, annotation=annotation, **ends
    )


def _unfold(annotation: Any) -> tuple[Any, list[Any]]:
    """Return the type that an annotation stands for, without ``None``, and its constraints."""
    rules: list[Any] = []
    while True:
        if get_origin(annotation) is Annotated:
            rules += _single(annotation.__metadata__)
            annotation = annotation.__origin__
        elif get_origin(annotation) in (Union, UnionType):
            kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
            if len(kinds) != 1:
                return annotation, rules
            annotation = kinds[0]
        else:
            return annotation, rules


def _single(rules: Iterable[Any]) -> Iterator[Any]:
    """Take apart what holds several constraints: ``Interval``, and pydantic's ``Field``."""
    for rule in rules:
        if isinstance(rule, GroupedMetadata):
            yield from rule
        else:
            yield from getattr(rule, "metadata", [rule])


def _plain(value: Any, kind: type) -> Any:
    """Return a number as ``int`` or ``float``, a whole one as ``int`` where that is the type."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    number = float(value)
    return int(number) if kind is int and number.is_integer() else number


def _complaint(option: Option, value: Any, reason: str) -> str:
    """Say what a value that is not valid should be, up to the mark before ``got``."""
    if option.choices:
        return f"must be {option.constraint};"
    if option.type is str and not isinstance(value, str):
        return "must be text,"
    if option.type is bool:
        return "must be true or false,"
    if option.type is not str:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "must be a number,"
        if not math.isfinite(value):
            return "must be finite,"
        if option.type is int and not isinstance(value, int):
            return "must be a whole number,"
    return f"must be {option.range}," if option.range else f"is not valid: {reason},"
