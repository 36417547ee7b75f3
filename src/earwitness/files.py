"""Files that are written whole or not at all, and records that are checked when they are read."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from earwitness.errors import EarwitnessError, OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; at the end the written file takes the place of ``path`` at once.

    If writing fails or is interrupted, ``path`` stays as it was. Two processes that write the same
    file do not disturb each other; the last one to finish wins.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.chmod(0o644)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def digest_of(paths: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits that depend on the content and the order of files.

    Of a folder, all files in it count, with their names.

    Raises
    ------
    OutputError
        If one cannot be read.
    """
    found = blake2b(digest_size=8)
    for path in paths:
        files = [path] if not path.is_dir() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            try:
                with file.open("rb") as opened:
                    own = file_digest(opened, blake2b).digest()
            except OSError as error:
                raise OutputError(f"{file}: cannot be read ({error.strerror})") from error
            name = "" if file == path else str(file.relative_to(path))
            found.update(name.encode() + b"\0" + own)
    return found.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, facts: Any) -> None:
    """Write a JSON value, whole or not at all; NaN is an error."""
    write_text(path, json.dumps(facts, indent=2, allow_nan=False) + "\n")


def read_record(
    path: Path, schemas: Collection[int], error: type[EarwitnessError]
) -> dict[str, Any]:
    """Return a JSON object whose ``schema`` is one of those that this version reads.

    Raises
    ------
    EarwitnessError
        ``error``, if it was written by another version.
    FileNotFoundError, ValueError, KeyError
        If there is no such file, or it is no such object.
    """
    stored = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(stored, dict):
        raise ValueError(f"{path} holds no object")
    if stored["schema"] not in schemas:
        known = ", ".join(map(str, sorted(schemas)))
        raise error(
            f"{path.parent}: written by another version (schema {stored['schema']}, this one reads "
            f"{known})"
        )
    return stored
