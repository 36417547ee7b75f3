"""What to explain: a request for each method, with the options that are its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from earwitness.errors import ParameterError
from earwitness.methods.registry import FORMER, METHODS
from earwitness.registry import unknown
from earwitness.types import Request


def requests_for(
    methods: Sequence[str], options: Mapping[str, Any], common: Request
) -> tuple[Request, ...]:
    """Return a request for each method, with those of the options that the method has.

    ``METHOD.OPTION`` is an option of that method only. An option that a method does not share
    (``Method.own``) is not taken by it if another method of the run has one of that name.

    Raises
    ------
    UnknownNameError
        If there is no such method, or an option that none of them has.
    ParameterError
        If there is no method.
    """
    if not methods:
        raise ParameterError("no method given: method is a name of list_methods(), or several")
    known = {method: METHODS.get(method).declared for method in methods}
    everything: set[str] = set().union(*known.values())
    dotted = {f"{m.replace('-', '_')}.{n}": (m, n) for m in methods for n in known[m]}
    for name in options:
        if FORMER.get(name, name) not in everything and name not in dotted:
            raise unknown(f"option of {', '.join(methods)}", name, everything or {"none"})

    def own(method: str) -> dict[str, Any]:
        names, unshared = known[method], METHODS.get(method).own
        others = set().union(*(known[other] for other in methods if other != method))
        chosen = {}
        for given, value in options.items():
            name = FORMER.get(given, given)
            if name in names and not (name in unshared and name in others):
                chosen[given] = value
            elif dotted.get(given, ("",))[0] == method:
                chosen[dotted[given][1]] = value
        return chosen

    return tuple(replace(common, method=method, options=own(method)) for method in methods)
