"""Registries of named specifications with automatic discovery.

A registry imports all modules of its package on first use, and then the entry points of its group,
through which other packages add entries. Adding a file is enough; there is no list to edit.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar

from earwitness.errors import UnknownNameError


class Named(Protocol):
    """A specification with a name."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...


S = TypeVar("S", bound=Named)


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for an unknown name; the message suggests the nearest known one."""
    names, name = list(known), str(name)
    folded = {candidate.lower().replace("_", "-"): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower().replace("_", "-"), folded, n=1, cutoff=0.5)
    hint = f"did you mean {folded[near[0]]!r}?" if near else f"known: {', '.join(names)}"
    return UnknownNameError(f"no {kind} called {name!r}; {hint}")


class Registry(Generic[S]):
    """Specifications of one kind, by name.

    Parameters
    ----------
    kind : str
        Noun for one entry, used in messages.
    package : str
        Package whose modules register entries on import.
    group : str
        Entry-point group for modules of other packages.
    """

    def __init__(self, kind: str, package: str, group: str) -> None:
        self.kind = kind
        self._package = package
        self._group = group
        self._specs: dict[str, S] = {}
        self._discovered = False

    def add(self, spec: S) -> None:
        """Add an entry; raise ``ValueError`` if the name exists."""
        if spec.name in self._specs:
            raise ValueError(f"two entries for {self.kind} {spec.name!r}")
        self._specs[spec.name] = spec

    def get(self, name: str) -> S:
        """Return the entry of that name, or raise ``UnknownNameError``."""
        self._discover()
        if not isinstance(name, str) or name not in self._specs:
            raise unknown(self.kind, name, self._specs)
        return self._specs[name]

    def all(self) -> list[S]:
        """Return all entries, in order of their names."""
        self._discover()
        return [self._specs[name] for name in sorted(self._specs)]

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        for entry in entry_points(group=self._group):
            entry.load()
