"""Files of installed packages, found and read without importing what the packages need."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from earwitness.errors import ModelError, reason


def package_file(package: str, *parts: str) -> Path:
    """Return the path of a file in an installed package, which is not imported.

    Raises
    ------
    ModelError
        If the package has no such file, as those of other versions.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder, *parts)
        if path.is_file():
            return path
    raise ModelError(
        f"the package {package} that is installed has no file {'/'.join(parts)}; versions that "
        "have it are in requirements-models.txt"
    )


def import_without(name: str, unused: str) -> ModuleType:
    """Import a module that imports a package without using it for what is wanted here.

    If that package cannot be imported, an empty module stands in its place meanwhile.

    Raises
    ------
    ModelError
        If the module itself cannot be imported.
    """
    try:
        importlib.import_module(unused)
        stub = False
    except Exception:  # of a compiled package that does not fit: OSError, RuntimeError, ...
        stub = True
        sys.modules[unused] = ModuleType(unused)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ModelError(f"{name} cannot be imported: {reason(error)}") from error
    finally:
        if stub:
            del sys.modules[unused]
