"""Downloads that resume, and are checked against their size and digest.

What arrived of a file lies beside it as ``NAME.part``, with the server's version of the file
(``ETag``) in ``NAME.etag``, so that the rest of another version is never appended.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from hashlib import file_digest
from pathlib import Path

from earwitness.data.sets.registry import Remote
from earwitness.errors import DownloadError

_BLOCK = 1 << 20
_TIMEOUT = 60  # s without any data
Note = Callable[[str], None]


def fetch(remote: Remote, folder: Path, note: Note = lambda _: None) -> Path:
    """Return the path of a file in a folder, downloaded if it is not there whole.

    A part of an earlier run is resumed. A file that is damaged is removed and downloaded again,
    once.

    Parameters
    ----------
    note : callable
        Called with what is done, one line each.

    Raises
    ------
    DownloadError
        If it cannot be downloaded, stops half-way (what arrived is kept), or is not the file whose
        digest is registered.
    """
    path, part = folder / remote.name, folder / f"{remote.name}.part"
    if path.exists() and mismatch(path, remote):
        note(f"{remote.name}: damaged ({mismatch(path, remote)}), downloading it again")
        path.unlink()
    if path.exists():
        return path
    resumed = part.exists()
    _download(remote, part, note)
    wrong = mismatch(part, remote)
    if wrong and resumed:
        note(f"{remote.name}: what was resumed is damaged ({wrong}), downloading it from the start")
        part.unlink()
        _download(remote, part, note)
        wrong = mismatch(part, remote)
    if wrong:
        part.unlink()
        raise DownloadError(
            f"{remote.name}: {wrong}; it was removed. If that repeats, {remote.url} has another "
            "version: get it by hand and use --from"
        )
    part.rename(path)
    return path


def mismatch(path: Path, remote: Remote) -> str:
    """Return how a file differs from what is registered; empty if it does not, as far as known."""
    size = path.stat().st_size
    if remote.size is not None and size != remote.size:
        return f"{size} bytes, {remote.size} expected"
    if remote.digest is None:
        return ""
    kind, _, wanted = remote.digest.partition(":")
    found = digest(path, kind)
    return "" if found == wanted else f"{kind} {found}, {wanted} expected"


def digest(path: Path, kind: str = "sha256") -> str:
    """Return the digest of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return file_digest(file, kind).hexdigest()


def _download(remote: Remote, part: Path, note: Note) -> None:
    """Write the file to ``part``, after what is there of it."""
    start = part.stat().st_size if part.exists() else 0
    if start and start == remote.size:
        return
    tag = part.with_suffix(".etag")
    headers = {"User-Agent": "earwitness"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag.exists():
            headers["If-Range"] = tag.read_text(encoding="utf-8")
    try:
        with urllib.request.urlopen(
            urllib.request.Request(remote.url, headers=headers), timeout=_TIMEOUT
        ) as response:
            start = start if response.status == 206 else 0
            note(f"{remote.name}: resumed at {start} bytes" if start else f"{remote.name}: started")
            tag.write_text(response.headers.get("ETag") or "", encoding="utf-8")
            if not tag.stat().st_size:
                tag.unlink()
            _copy(remote, response, part, start)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # there is no more than what is here
            return
        raise DownloadError(f"{remote.url}: {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        text = getattr(error, "reason", None) or error
        raise DownloadError(f"{remote.url}: {text}; repeat the command to resume") from error
    with suppress(FileNotFoundError):
        tag.unlink()


def _copy(remote: Remote, response: http.client.HTTPResponse, part: Path, start: int) -> None:
    length = response.headers.get("Content-Length")
    with part.open("ab" if start else "wb") as file:
        while block := response.read(_BLOCK):
            file.write(block)
        arrived = file.tell()
    if length is not None and arrived < start + int(length):
        raise DownloadError(
            f"{remote.name}: the connection ended after {arrived} of {start + int(length)} bytes; "
            "repeat the command to resume"
        )
