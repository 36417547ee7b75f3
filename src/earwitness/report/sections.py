"""The part of one sound in the page: its row of the table, and its data.

It is written beside the explanations as they are finished, and lies in the page later on; the data
may lie beside the page (assets). Each form can be made of each other one, without the explanations.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from earwitness.files import write_text
from earwitness.render.picture import thumbnail
from earwitness.report.clip import Saved, payload
from earwitness.report.links import uri

SECTION = ".section.html"
_ROW = re.compile(
    rb'<tr class="sound" id="clip-([^"]+)" data-clip="(\d+)" data-grades="([a-z ]*)" '
    rb'data-peak="([0-9.e-]+)"'
)
_CLIP = re.compile(rb'<script type="application/json" class="clip" data-clip="(\d+)">')
_END = b"</script>\n"
_READABLE = 40  # characters of a sound's name in the name of its file


@cache
def environment() -> Environment:
    """Return the templates of the report."""
    made = Environment(
        loader=PackageLoader("earwitness", "report"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"score": score_text, "clock": clock_text}
    return made


def score_text(value: float | None, kind: str) -> str:
    """Return a score with its unit, as ``scoreText`` of the page's script does.

    Examples
    --------
    >>> score_text(0.784, "probability"), score_text(1234.5, "value")
    ('78 %', '1230')
    """
    if value is None:
        return "\u2013"
    if kind == "probability":
        share = 100 * value
        if 0 < share < 0.1:
            return "under 0.1 %"
        if 99.9 < share < 100:
            return "over 99.9 %"
        return f"{share:.{int(0 < share < 10 or 99 < share < 100)}f} %"
    if value == 0:
        return "0"
    mantissa, power = f"{value:.2e}".split("e")
    plain = 1e-3 <= abs(value) < 1e5
    text = f"{float(f'{value:.3g}'):g}" if plain else f"{mantissa}e{int(power):+d}"
    return text.replace("-", "\u2212")


def clock_text(seconds: float) -> str:
    """Return a time in a recording as hours, minutes and seconds.

    Examples
    --------
    >>> clock_text(7.5), clock_text(3725.04)
    ('0:07.50', '1:02:05.04')
    """
    hundredths = round(100 * seconds)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest // 100:02}.{rest % 100:02}"
    return f"{hours}:{minutes:02}:{text}" if hours else f"{minutes}:{text}"


@dataclass(frozen=True)
class Text:
    """Where a text lies in a file, in bytes."""

    path: Path
    start: int
    end: int

    def read(self) -> str:
        """Return the text."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.end - self.start).decode("utf-8")


@dataclass(frozen=True)
class Section:
    """Where the cells of a sound's row and its data lie.

    Attributes
    ----------
    anchor : str
    cells, data : Text
    grades : str
        Of its explanations, separated by blanks.
    peak : str
        Largest magnitude of the sound.
    """

    anchor: str
    cells: Text
    data: Text
    grades: str
    peak: str

    @property
    def explanations(self) -> int:
        """How many it shows."""
        return len(self.grades.split())


def write_section(
    root: Path, saved: Saved, *, audio: bool = True, data: str = "", name: str = "",
    at: Path | None = None,
) -> None:  # fmt: skip
    """Write the section of one sound to a hidden file in its folder.

    Parameters
    ----------
    root : Path
        The folder of the page.
    saved : sequence of (Path, Explanation)
        Explanations of the sound, with their folders.
    audio : bool
        Whether it holds the sound.
    data : str
        Folder of the training sounds, for links to where components are strongest.
    name : str
        Of the sound; by default its file, in the folder of its explanations.
    at : Path, optional
        Another file to write.
    """
    facts = payload(root, saved, audio=audio, data=data)
    facts["name"] = name or facts["name"]
    first = saved[0][1]
    picture = uri("image/webp", thumbnail(first.magnitude, first.attribution.values))
    cells = environment().get_template("row.html").render(clip=facts, thumb=picture)
    verdicts = [one.verdict for _, one in saved]
    grades = " ".join("ungraded" if one is None else one.grade for one in verdicts)
    row = row_tag(facts["anchor"], grades, f"{facts['peak']:.4g}", 0)
    text = f"{row}{cells.rstrip()}\n</tr>\n{data_tag(0)}{json_text(facts)}{_END.decode()}"
    write_text(at or saved[0][0].parent / SECTION, text)


def row_tag(anchor: str, grades: str, peak: str, number: int, source: str = "") -> str:
    """Return the line before the cells of a row.

    Parameters
    ----------
    anchor : str
    grades : str
        Of the verdicts on the explanations of the sound, separated by blanks.
    peak : str
        Largest magnitude of the sound.
    number : int
        Of the sound in its file.
    source : str
        URL of its data, if they lie beside the page.
    """
    beside = f' data-src="{source}"' if source else ""
    return (
        f'<tr class="sound" id="clip-{anchor}" data-clip="{number}" data-grades="{grades}" '
        f'data-peak="{peak}"{beside}>\n'
    )


def data_tag(number: int) -> str:
    """Return what stands before the data of a sound in a page."""
    return f'<script type="application/json" class="clip" data-clip="{number}">'


def json_text(facts: Any) -> str:
    r"""Return a JSON value as ASCII that neither ends a script nor begins a comment in it.

    Examples
    --------
    >>> json_text(["</script>"])
    '["\\u003c/script\\u003e"]'
    """
    text = json.dumps(facts, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def find_sections(page: Path, assets: Path | None = None) -> dict[str, Section]:
    """Return the whole sections of a file by the anchors of their sounds; empty without a file.

    Parameters
    ----------
    page : Path
        A page, or the hidden file of one sound.
    assets : Path, optional
        The folder that holds the data, if it lies beside the page.
    """
    rows: dict[bytes, tuple[str, Text, str, str]] = {}
    data: dict[bytes, Text] = {}
    if not page.is_file():
        return {}
    inside, end = None, 0
    with page.open("rb") as file:
        for line in file:
            start, end = end, end + len(line)
            row, clip = _ROW.match(line), _CLIP.match(line)
            if row:
                inside = row, end
            elif inside and line == b"</tr>\n":
                found, begin = inside
                cells = Text(page, begin, start)
                rows[found[2]] = found[1].decode(), cells, found[3].decode(), found[4].decode()
                inside = None
            elif clip and line.endswith(_END):
                data[clip[1]] = Text(page, start + clip.end(), end - len(_END))
    sections = {}
    for number, (anchor, cells, grades, peak) in rows.items():
        text = _asset_text(assets, anchor) if assets else data.get(number)
        if text:
            sections[anchor] = Section(anchor, cells, text, grades, peak)
    return sections


def asset_name(anchor: str) -> str:
    """Return the name of the file that holds the data of a sound."""
    readable = re.sub(r"[^A-Za-z0-9.-]", "_", anchor)[-_READABLE:].strip(".")
    return f"{readable}-{blake2b(anchor.encode(), digest_size=4).hexdigest()}.js"


def write_asset(folder: Path, section: Section) -> None:
    """Write the data of a sound to its file, a script that hands it to the page."""
    text = _head(section.anchor) + section.data.read() + ");\n"
    write_text(folder / asset_name(section.anchor), text)


def _head(anchor: str) -> str:
    return f"earwitness.add({json_text(anchor)},"


def _asset_text(folder: Path, anchor: str) -> Text | None:
    path, head = folder / asset_name(anchor), _head(anchor)
    if not path.is_file():
        return None
    return Text(path, len(head), path.stat().st_size - len(");\n"))
