"""URLs of a page: of files beside it, and of data in it."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from urllib.parse import quote


def link(path: Path, root: Path) -> str | None:
    """Return the URL of a file relative to the page in a folder; None for none."""
    try:
        return quote(os.path.relpath(path, root).replace(os.sep, "/"))
    except ValueError:  # on another drive
        return None


def uri(kind: str, data: bytes) -> str:
    """Return data of a media type as a data URL."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
