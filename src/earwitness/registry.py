"""Registries of named specifications with automatic discovery.

A registry imports all modules of its packages on first use, and then the entry points of its group,
through which other packages add entries. Adding a file is enough; there is no list to edit.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar

from earwitness.errors import UnknownNameError, reason

_LOG = logging.getLogger("earwitness")


class Named(Protocol):
    """A specification with a name."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...


S = TypeVar("S", bound=Named)


def unknown(
    kind: str, name: str, known: Iterable[str], broken: Sequence[str] = ()
) -> UnknownNameError:
    """Return the error for an unknown name; the message suggests the nearest known one.

    ``broken`` are plug-ins that could not be loaded, one of which may have it.
    """
    names, name = list(known), str(name)
    folded = {candidate.lower().replace("_", "-"): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower().replace("_", "-"), folded, n=1, cutoff=0.5)
    hint = f"did you mean {folded[near[0]]!r}?" if near else f"known: {', '.join(names) or 'none'}"
    if broken:
        hint += f"; not loaded: {', '.join(broken)}"
    return UnknownNameError(f"no {kind} called {name!r}; {hint}")


class Registry(Generic[S]):
    """Specifications of one kind, by name.

    Parameters
    ----------
    kind : str
        Noun for one entry, used in messages.
    packages : str or sequence of str
        Packages whose modules register entries on import.
    group : str
        Entry-point group for modules of other packages.
    """

    def __init__(self, kind: str, packages: str | Sequence[str], group: str) -> None:
        self.kind = kind
        self._packages = [packages] if isinstance(packages, str) else packages
        self._group = group
        self._specs: dict[str, S] = {}
        self._doubtful: set[str] = set()  # added by a module that failed later
        self._broken: list[str] = []
        self._discovered = False

    def add(self, spec: S) -> None:
        """Add an entry; raise ``ValueError`` if the name exists."""
        if spec.name in self._specs and spec.name not in self._doubtful:
            raise ValueError(f"two entries for {self.kind} {spec.name!r}")
        self._doubtful.discard(spec.name)
        self._specs[spec.name] = spec

    def get(self, name: str) -> S:
        """Return the entry of that name, or raise ``UnknownNameError``."""
        self._discover()
        if not isinstance(name, str) or name not in self._specs:
            raise unknown(self.kind, name, self._specs, self._broken)
        return self._specs[name]

    def all(self) -> list[S]:
        """Return all entries, in order of their names."""
        self._discover()
        return [self._specs[name] for name in sorted(self._specs)]

    def _discover(self) -> None:
        """Import everything once; a plug-in that fails is named in the log and left out."""
        if self._discovered:
            return
        self._discovered = True  # the modules may look up entries themselves
        try:
            for package in map(importlib.import_module, self._packages):
                for module in pkgutil.iter_modules(package.__path__):
                    name = f"{package.__name__}.{module.name}"
                    self._import(partial(importlib.import_module, name))
        except BaseException:
            self._discovered = False  # the next call fails too, rather than find half of them
            raise
        for entry in entry_points(group=self._group):
            try:
                self._import(entry.load)
            except (Exception, SystemExit) as error:
                text = f"{entry.value} ({type(error).__name__}: {reason(error)})"
                self._broken.append(text)
                _LOG.warning("the plug-in %s cannot be loaded and is left out", text)

    def _import(self, load: Callable[[], object]) -> None:
        before = set(self._specs) - self._doubtful
        try:
            load()
        except BaseException:
            self._doubtful |= set(self._specs) - before
            raise
