"""A user's own names of components, from a CSV table with the columns component and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from earwitness.errors import ParameterError
from earwitness.files import reachable, read_table
from earwitness.types import ComponentTable, Map

_LONGEST = 80  # characters of a name


def read_names(place: str) -> dict[int, str]:
    """Return names by the number of their component, from 1 on.

    A row without a name is skipped, and further columns are of no account: a table written by
    ``earwitness components`` can be filled in.

    Raises
    ------
    ParameterError
        If the file cannot be read, or is no such table; in one line.
    """
    path = Path(reachable(place, ParameterError))
    if not path.is_file():
        raise ParameterError(f"{path}: no such file; names are a CSV table: component,name")
    rows = read_table(path, ParameterError)
    if not rows or not {"component", "name"} <= set(rows[0]):
        raise ParameterError(f"{path}: names are a CSV table with the columns component and name")
    names: dict[int, str] = {}
    for line, row in enumerate(rows, start=2):
        number, name = _number(row["component"]), row["name"].strip()
        if number is None:
            raise ParameterError(
                f"{path}, line {line}: a component is a whole number from 1 on, got "
                f"{row['component']!r}"
            )
        if not name:
            continue
        if len(name) > _LONGEST or not name.isprintable():
            raise ParameterError(
                f"{path}, line {line}: a name is one line of at most {_LONGEST} characters"
            )
        if number in names:
            raise ParameterError(f"{path}, line {line}: component {number} has two names")
        names[number] = name
    return names


def _number(text: str) -> int | None:
    text = text.strip()
    plain = text.isascii() and text.isdigit() and len(text) < 7
    return int(text) if plain and int(text) else None


def named(table: ComponentTable, names: Mapping[int, str], place: str) -> ComponentTable:
    """Return a table with the user's names in the place of its own.

    Raises
    ------
    ParameterError
        If there is no component of such a number.
    """
    count = len(table.names)
    beyond = [number for number in names if number > count]
    if beyond:
        raise ParameterError(f"{place}: there is no component {beyond[0]}, only 1 to {count}")
    own = tuple(names.get(number, one) for number, one in enumerate(table.names, start=1))
    return replace(table, names=own)


def with_names(found: Map, place: str) -> Map:
    """Return what a method found with the names of a file, on components and on their pieces."""
    if found.components is None:
        note = "names were given, and this method has no components"
        return replace(
            found, details={**found.details, "notes": [*found.details.get("notes", ()), note]}
        )
    table = named(found.components, read_names(place), place)
    played = found.played
    if played is not None:
        titles = (*table.titles, *(one.name for one in played.table[len(table.names) :]))
        pieces = tuple(replace(p, name=n) for p, n in zip(played.table, titles, strict=True))
        played = replace(played, table=pieces)
    return replace(found, components=table, played=played)
