"""One-line bugs that the tests must notice, a module for each room of the source.

Each is a name with the file, what stands there, and what is put there.
"""

from __future__ import annotations

import importlib
import pkgutil

Bugs = dict[str, tuple[str, str, str]]
BUGS: Bugs = {}
for _module in pkgutil.iter_modules(__path__):
    BUGS |= importlib.import_module(f"planted_bugs.{_module.name}").BUGS
