"""Files that are written whole or not at all, and records that are checked when they are read."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from earwitness.errors import EarwitnessError, OutputError

try:
    import fcntl
except ImportError:  # not on Windows, where two runs are not told apart
    fcntl = None  # type: ignore[assignment]

_ASIDE = ".earwitness-earlier"
_PARTIAL = re.compile(r"\..+\.[0-9a-f]{8}\.partial", re.DOTALL)


def reachable(place: str | os.PathLike[str], error: type[EarwitnessError]) -> Path:
    """Return a path that the system can look up, whether anything is there or not.

    Raises
    ------
    EarwitnessError
        ``error``, if it is no path, empty (the current folder is ``.``), too long, or may not be
        reached.
    """
    if not isinstance(place, str | os.PathLike):
        raise error(f"a path is text or a pathlib.Path, got {type(place).__name__}")
    if not os.fspath(place):
        raise error("an empty path names nothing; the current folder is .")
    try:
        Path(place).stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as found:
        raise error(f"{place}: cannot be reached ({getattr(found, 'strerror', found)})") from found
    return Path(place)


def partial_of(path: Path) -> Path:
    """Return a new hidden name beside ``path``, to write to before it takes its place."""
    return path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}.partial")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; at the end the written file takes the place of ``path`` at once.

    If writing fails or is interrupted, ``path`` stays as it was. Two processes that write the same
    file do not disturb each other; the last one to finish wins.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    partial = partial_of(path)
    try:
        yield partial
        partial.chmod(0o644)
        partial.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def unwritable(path: Path, error: Exception) -> OutputError:
    """Return the error for a file or folder that cannot be written, with the reason in one line."""
    text = str(error).split("\n")[0]  # of libraries that do not say what the system said
    reason = getattr(error, "strerror", None) or f"no space left? {text}".rstrip()
    return OutputError(f"{path}: cannot be written ({reason})")


@contextmanager
def same_folder() -> Iterator[None]:
    """Return to the present folder at the end: a model's code may change it (``os.chdir``)."""
    try:
        here = os.getcwd()
    except OSError:  # it was removed
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(here)


def folder_name(text: str) -> str:
    """Return a text as the name of a folder, of at most 80 characters; ``clip`` if none is left."""
    name = "".join(c if c.isalnum() or c in "-_. " else "_" for c in text)
    return name.strip(" .")[:80].strip(" .") or "clip"


def sweep(folder: Path) -> None:
    """Remove what killed processes were writing in a folder that is ``held``, not below it."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if _PARTIAL.fullmatch(path.name):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


class SetAside:
    """Files of a folder that are kept in a folder within it, until what replaces them is there.

    Parameters
    ----------
    root : Path
        Held by the caller (``held``).
    """

    def __init__(self, root: Path) -> None:
        self.root, self._place = root, root / _ASIDE

    def __bool__(self) -> bool:
        return self._place.is_dir()

    def take(self, path: Path) -> None:
        """Move a file there, if it exists."""
        if os.path.lexists(path):
            to = self._place / path.relative_to(self.root)
            to.parent.mkdir(parents=True, exist_ok=True)
            path.replace(to)

    def restore(self) -> None:
        """Move all files back."""
        for path in sorted(self._place.rglob("*")):
            if not path.is_dir() or path.is_symlink():
                to = self.root / path.relative_to(self._place)
                to.parent.mkdir(parents=True, exist_ok=True)
                path.replace(to)
        self.drop()

    def drop(self) -> None:
        """Remove them."""
        shutil.rmtree(self._place, ignore_errors=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make a folder and keep it to this process, until the end or until the process is killed.

    What killed processes were writing in it is removed. Where the system cannot lock a folder, two
    processes are not told apart.

    Raises
    ------
    OutputError
        If another process holds it, or it cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: a file, not a folder; choose another place")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = None if fcntl is None else os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    try:
        if place is not None:
            _lock(folder, place)
        try:
            sweep(folder)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
        yield
    finally:
        if place is not None:
            os.close(place)


def _lock(folder: Path, place: int) -> None:
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise OutputError(f"{folder}: another run is writing it") from error


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
            if file.exists() and not file.is_file():  # opening a pipe would wait for ever
                raise OutputError(f"{file}: a pipe or a device, not a file")
            try:
                with file.open("rb") as opened:
                    own = file_digest(opened, blake2b).digest()
            except OSError as error:
                raise OutputError(f"{file}: cannot be read ({error.strerror})") from error
            name = "" if file == path else str(file.relative_to(path))
            found.update(os.fsencode(name) + b"\0" + own)
    return found.hexdigest()


def read_table(path: Path, error: type[EarwitnessError]) -> list[dict[str, str]]:
    """Return the rows of a CSV table with a line of headings; absent cells are empty.

    Raises
    ------
    EarwitnessError
        ``error``, if it cannot be read, is not in UTF-8, or is no table.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), restval=""))
    except OSError as reason:
        raise error(f"{path}: cannot be read ({reason.strerror})") from reason
    except UnicodeDecodeError as reason:
        raise error(f"{path}: not in UTF-8; save the table as CSV in UTF-8") from reason
    except csv.Error as reason:
        raise error(f"{path}: not a CSV table ({reason})") from reason
    return [{k: v for k, v in row.items() if isinstance(k, str)} for row in rows]


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, whole or not at all; what UTF-8 has no code for is escaped.

    A file name that is not valid UTF-8 is such a text.
    """
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


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
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(stored, dict):
        raise ValueError("no JSON object")
    if stored["schema"] not in list(schemas):
        known = ", ".join(map(str, sorted(schemas)))
        raise error(
            f"{path}: written by another version (schema {stored['schema']}, this one reads "
            f"{known})"
        )
    return stored
