"""What a page of a report holds, read as a browser reads it."""

from __future__ import annotations

import base64
import io
import json
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self._inside: dict[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = {name: value or "" for name, value in attrs}
        self.found.append((tag, own))
        self._inside = own if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is not None:
            self.scripts.append((self._inside, data))


def rows(page: Path) -> list[dict[str, str]]:
    """Return the attributes of the rows of sounds."""
    found = Elements(page.read_text(encoding="utf-8")).found
    return [own for tag, own in found if tag == "tr" and own.get("class") == "sound"]


def clips(page: Path) -> list[dict[str, Any]]:
    """Return the data of all sounds, in order of the rows."""
    found = Elements(page.read_text(encoding="utf-8"))
    inside = {own["data-clip"]: text for own, text in found.scripts if own.get("class") == "clip"}
    there = []
    for row in rows(page):
        text = inside.get(row["data-clip"])
        if text is None:
            script = (page.parent / row["data-src"]).read_text(encoding="utf-8")
            text = script.removeprefix(f'earwitness.add("{row["id"][5:]}",').removesuffix(");\n")
        there.append(json.loads(text))
        assert there[-1]["anchor"] == row["id"].removeprefix("clip-")
    return there


def names(page: Path) -> list[str]:
    """Return the names of all sounds, in order of the rows."""
    return [one["name"] for one in clips(page)]


def methods(page: Path) -> list[list[str]]:
    """Return the methods of the explanations of each sound."""
    return [[part["method"] for part in one["explanations"]] for one in clips(page)]


def unpack(packed: dict[str, Any], kind: str) -> NDArray[Any]:
    """Return an array (freq, frame) of a page; ``kind`` is uint8, uint16 or bits."""
    bins, frames = packed["shape"]
    data = zlib.decompress(base64.b64decode(packed["data"]))
    if kind == "bits":
        flat = [data[k // 8] >> (7 - k % 8) & 1 for k in range(bins * frames)]
        return np.array(flat, bool).reshape(frames, bins).T
    count = bins * frames
    if kind == "uint8":
        values, modulus = [int(one) for one in data], 256
    else:
        pairs = zip(data[:count], data[count:], strict=True)
        values, modulus = [256 * high + low for high, low in pairs], 65536
        if packed["filter"] != "none":
            values = [one // 2 if one % 2 == 0 else -(one + 1) // 2 for one in values]
    found = np.array(values).reshape(frames, bins).T
    for _ in range({"none": 0, "up": 1, "up2": 2}[packed["filter"]]):
        found = np.cumsum(found, axis=0) % modulus
    return found


def heard(sound: dict[str, Any]) -> NDArray[np.float64]:
    """Return the samples of a sound of a page."""
    codes, rate = soundfile.read(io.BytesIO(base64.b64decode(sound["flac"])), dtype="int16")
    assert rate == 44100
    return codes / 32768 * sound["scale"]
