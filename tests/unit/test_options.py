"""Options: what a signature declares, and what is said of a value that is not valid."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt, MultipleOf
from pydantic import Field

from earwitness.cli.listing import option_text
from earwitness.errors import ParameterError
from earwitness.options import Option, check, options_of, read_parameters, read_value

if TYPE_CHECKING:
    from earwitness.probe import Probe


def example(
    probe: Probe,  # a name that exists for type checking only
    *,
    steps: Annotated[int, Ge(1)] = 64,
    noise: Annotated[float, Gt(0), Le(2)] = 0.5,
    share: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    level: Annotated[float, Field(gt=-80, le=0)] = -20.0,
    size: Annotated[int, Ge(0)] | None = None,
    width: Annotated[Optional[float], Lt(3)] = None,  # noqa: UP045
    even: Annotated[int, MultipleOf(2)] = 2,
    kind: Literal["a", "b"] = "a",
    layer: str = "",
    whole: bool = False,
    plain=1.5,
) -> None:
    """Do nothing.

    Parameters
    ----------
    probe : Probe
    steps : int
        How many,
        over two lines.

        And a paragraph.
    noise, share : float
        Two of them.

    Returns
    -------
    kind : str
        Not this.
    """


OPTIONS = options_of(example)


def test_options_are_read_from_the_signature() -> None:
    assert list(OPTIONS) == [
        "steps", "noise", "share", "level", "size", "width", "even", "kind", "layer", "whole",
        "plain",
    ]  # fmt: skip
    text = "How many, over two lines. And a paragraph."
    assert OPTIONS["steps"] == Option("steps", int, 64, low=1, description=text)
    assert OPTIONS["noise"] == Option(
        "noise", float, 0.5, low=0, high=2, low_open=True, description="Two of them."
    )
    assert OPTIONS["share"] == Option(
        "share", float, 0.0, low=0, high=1, high_open=True, description="Two of them."
    )
    assert OPTIONS["level"] == Option("level", float, -20.0, low=-80, high=0, low_open=True)
    assert OPTIONS["size"] == Option("size", int, None, low=0)
    assert OPTIONS["width"] == Option("width", float, None, high=3, high_open=True)
    assert OPTIONS["kind"] == Option("kind", str, "a", choices=("a", "b"))
    assert OPTIONS["layer"] == Option("layer", str, "")
    assert OPTIONS["whole"] == Option("whole", bool, False)
    assert OPTIONS["plain"] == Option("plain", float, 1.5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("steps", "whole number, at least 1"),
        ("noise", "number, positive and at most 2"),
        ("share", "number, at least 0 and below 1"),
        ("level", "number, above -80 and at most 0"),
        ("kind", "one of a, b"),
        ("layer", "text"),
        ("whole", "true or false"),
    ],
)
def test_constraints_in_words(name: str, words: str) -> None:
    assert OPTIONS[name].kind == words


def test_options_as_the_command_shows_them() -> None:
    assert option_text(OPTIONS["steps"]) == "steps=64 (at least 1)"
    assert option_text(OPTIONS["kind"]) == "kind=a (one of a, b)"
    assert option_text(OPTIONS["layer"]) == "layer="


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("steps", 0, "steps must be at least 1, got 0"),
        ("steps", 2.5, "steps must be a whole number, got 2.5"),
        ("steps", "3", "steps must be a number, got '3'"),
        ("steps", True, "steps must be a number, got True"),
        ("steps", None, "steps must be a number, got None"),
        ("steps", [1], "steps must be a number, got [1]"),
        ("steps", float("inf"), "steps must be finite, got inf"),
        ("noise", "x", "noise must be a number, got 'x'"),
        ("noise", False, "noise must be a number, got False"),
        ("noise", float("nan"), "noise must be finite, got nan"),
        ("noise", 0, "noise must be positive and at most 2, got 0"),
        ("noise", 2.1, "noise must be positive and at most 2, got 2.1"),
        ("share", 1.0, "share must be at least 0 and below 1, got 1.0"),
        ("level", -80, "level must be above -80 and at most 0, got -80"),
        ("size", -1, "size must be at least 0, got -1"),
        ("width", 3.0, "width must be below 3, got 3.0"),
        ("width", "x", "width must be a number, got 'x'"),
        ("even", 3, "even is not valid: Input should be a multiple of 2, got 3"),
        ("kind", "c", "kind must be one of a, b; got 'c'"),
        ("kind", 1, "kind must be one of a, b; got 1"),
        ("layer", 3, "layer must be text, got 3"),
        ("layer", None, "layer must be text, got None"),
        ("whole", 1, "whole must be true or false, got 1"),
        ("plain", "x", "plain must be a number, got 'x'"),
        ("plain", float("nan"), "plain must be finite, got nan"),
        ("plain", float("-inf"), "plain must be finite, got -inf"),
    ],
)
def test_values_that_are_not_valid(name: str, value: Any, words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        check(OPTIONS[name], value)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("steps", 1, 1),
        ("steps", 1e3, 1000),
        ("steps", np.int64(7), 7),
        ("steps", np.float32(7), 7),
        ("noise", 2, 2.0),
        ("noise", np.float32(0.5), 0.5),
        ("noise", Fraction(1, 4), 0.25),
        ("share", 0, 0.0),
        ("level", 0, 0.0),
        ("size", None, None),
        ("size", 0, 0),
        ("width", None, None),
        ("even", 4, 4),
        ("kind", "b", "b"),
        ("layer", "3", "3"),
        ("whole", True, True),
    ],
)
def test_valid_values_get_the_type_of_the_option(name: str, value: Any, wanted: Any) -> None:
    found = check(OPTIONS[name], value)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("steps", "128", 128),
        ("steps", "1e3", 1000.0),
        ("steps", "many", "many"),
        ("size", "5", 5),
        ("size", "null", None),
        ("whole", "true", True),
        ("size", "None", None),
        ("whole", "True", True),
        ("whole", "False", False),
        ("layer", "none", "none"),
        ("layer", "3", "3"),
        ("kind", "true", "true"),
    ],
)
def test_texts_of_the_command_line(name: str, text: str, wanted: Any) -> None:
    assert read_value(text, OPTIONS[name]) == wanted


def test_types_that_are_no_options_are_refused() -> None:
    def several(*, layers: tuple[str, ...] = ()) -> None: ...

    def either(*, layer: int | str = 0) -> None: ...

    for function, name in ((several, "layers"), (either, "layer")):
        with pytest.raises(TypeError, match=f"option {name} is .*; annotate it as int, float"):
            options_of(function)


def test_an_option_that_is_none_by_default_and_says_no_type_is_refused_by_that() -> None:
    def nothing(*, layer=None) -> None: ...

    with pytest.raises(TypeError, match="option layer is None by default: annotate its type"):
        options_of(nothing)


def test_a_docstring_without_parameters_describes_nothing() -> None:
    assert read_parameters("Do it.\n\nReturns\n-------\nfloat\n    One.") == {}
    assert read_parameters("") == {}
