"""Versions and the commit that figures were made with."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of earwitness, torch, numpy, Python and further installed packages."""
    return dict(_versions(*packages))


@cache
def _versions(*packages: str) -> dict[str, str]:
    """Return the versions; read once per process, since what is imported does not change."""
    found = {}
    for name in ("earwitness", "torch", "numpy", *packages):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "python": platform.python_version()}


@cache
def commit() -> str | None:
    """Return the commit of the source, with + if the source was changed; None outside a repository.

    It is read once per process, since the source in memory does not change.
    """
    folder = Path(__file__).parent
    answers = []
    for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--", "."]):
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        answers.append(done.stdout.strip())
    return answers[0] + ("+" if answers[1] else "")


def stamp(*packages: str) -> str:
    """Return commit and versions as one line of a report."""
    made = commit() or f"of version {version('earwitness')}"
    return ", ".join([f"Commit {made}", *(f"{n} {v}" for n, v in versions(*packages).items())])
