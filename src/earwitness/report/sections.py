"""The section of one sound in the page: pictures, players and scores of its explanations."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from numpy.typing import NDArray

from earwitness.audio import read_audio
from earwitness.explanation import Explanation
from earwitness.files import write_text
from earwitness.methods.registry import METHODS
from earwitness.render.picture import attribution_image, spectrogram_image
from earwitness.render.players import Player, copies, expansion, expansion_text, players
from earwitness.store import files_in
from earwitness.types import Audio, Outcome, TrustCard

SECTION = ".section.html"
_TICKS = 6  # most labels on an axis; more would overlap on a phone
Saved = Sequence[tuple[Path, Explanation]]


@cache
def environment() -> Environment:
    """Return the templates of the report."""
    made = Environment(
        loader=PackageLoader("earwitness", "report"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["score"] = lambda value: "\u2013" if value is None else f"{value:.3f}"
    return made


def anchor(root: Path, place: Path) -> str:
    """Return a name for a sound's section that is valid in a URL and in an id."""
    return quote(place.relative_to(root).as_posix(), safe="").replace("%", "_x")


def write_section(root: Path, saved: Saved) -> None:
    """Write the section of one sound to a hidden file in its folder; ``root`` holds the page."""
    write_text(saved[0][0].parent / SECTION, render_section(root, saved))


def render_section(root: Path, saved: Saved) -> str:
    """Return the section of one sound as HTML.

    Parameters
    ----------
    root : Path
        The folder of the page; links are relative to it.
    saved : sequence of (Path, Explanation)
        Explanations of one sound, with their folders.
    """
    first, place = saved[0][1], saved[0][0].parent
    factor = expansion(_sounds(saved))
    clip = {
        "anchor": anchor(root, place),
        "name": (place.relative_to(root).parent / Path(first.clip).name).as_posix(),
        "first": first,
        "spectrogram": uri("image/webp", spectrogram_image(first.magnitude)),
        "original": _original(root, first),
        "expansion": expansion_text(factor),
        "notes": [note for note in first.notes if _common(note, saved)],
        "parts": _parts(root, saved, factor),
    }
    return environment().get_template("section.html").render(clip=clip)


def _sounds(saved: Saved) -> list[Audio]:
    """Return the input, then evidence and remainder of each explanation."""
    return [saved[0][1].input, *(one for _, e in saved for one in (e.evidence, e.remainder))]


def _common(note: str, saved: Saved) -> bool:
    """Return whether a note is on every explanation of the sound."""
    return all(note in one.notes for _, one in saved)


def _parts(root: Path, saved: Saved, factor: int) -> Iterator[dict[str, Any]]:
    """Yield the template values of each explanation of one sound; all players have equal level."""
    original, *made = players(_sounds(saved), factor)
    gain_db = original.gain_db or 0.0
    for number, (folder, one) in enumerate(saved):
        files = {name: os.path.relpath(path, root) for name, path in files_in(folder).items()}
        three = zip(("input", "evidence", "remainder"), (original, *made[:2]), strict=True)
        del made[:2]
        yield {
            "one": one,
            "number": number,
            "about": METHODS.get(one.method).summary,
            "adds_up_to": METHODS.get(one.method).complete,
            # the page holds the input once; the script assigns it to the other players
            "players": [
                {
                    "name": name,
                    "src": _source(player) if name != "input" or not number else "",
                    "gain": _gain(player),
                }
                for name, player in three
            ],
            "pieces": _pieces(one, gain_db, factor),
            "expansion": expansion_text(factor),
            "truth": _truth(root, one, factor),
            "overlay": uri("image/webp", attribution_image(one.attribution.values)),
            "times": _ticks(one.attribution.times, "s"),
            "freqs": _ticks(one.attribution.freqs / 1000, "kHz"),
            "span": _span(one),
            "rows": [] if one.trust is None else _rows(one, one.trust),
            "notes": [note for note in one.notes if not _common(note, saved)],
            "grade": "ungraded" if one.verdict is None else one.verdict.grade,
            "files": {name: path.replace(os.sep, "/") for name, path in files.items()},
        }


def _pieces(one: Explanation, gain_db: float, factor: int) -> list[dict[str, Any]]:
    """Return the template values of the pieces that have a sound, with the input's gain."""
    by_file = {piece.name: piece for piece in one.pieces if piece.file}
    others = len(one.pieces) - len(by_file)
    rows = []
    made = copies(one.piece_sounds, gain_db, factor)
    for sound, player in zip(one.piece_sounds, made, strict=True):
        piece = by_file.get(sound.name)
        rows.append(
            {
                "name": sound.name if piece else f"{sound.name} ({others} pieces)",
                "piece": piece,
                "src": _source(player),
            }
        )
    return rows


def _rows(one: Explanation, trust: TrustCard) -> list[dict[str, Any]]:
    """Return the rows of the trust card: the explanation, then its controls."""
    rows = [
        {
            "name": "this explanation", "mean": trust.outcome, "range": None,
            "area": one.mask.area, "energy": one.mask.energy,
        }
    ]  # fmt: skip
    places = {
        "random": "control: same gains in random places",
        "energy": "control: same gains on the cells of most energy",
        "silence": "control: silence instead of evidence, nothing removed",
        "background": "control: the background instead of evidence, nothing removed",
    }
    for name, control in trust.controls.items():
        spread: tuple[Outcome, Outcome] | None = None
        title = places.get(name, name)
        if control.draws > 1:
            title = f"{title}, mean of {control.draws} draws (range)"
            spread = (control.low, control.high)
        rows.append(
            {
                "name": title, "mean": control.mean, "range": spread, "area": control.area,
                "energy": control.energy,
            }
        )  # fmt: skip
    return rows


def _original(root: Path, one: Explanation) -> str | None:
    """Return the URL of the original file relative to the page, if the file exists.

    The file is linked and not copied. The page holds the model's input.
    """
    path = Path(one.clip)
    if not path.is_file():
        return None
    try:
        return quote(os.path.relpath(path, root).replace(os.sep, "/"))
    except ValueError:  # on another drive
        return None


def _truth(root: Path, one: Explanation, factor: int) -> dict[str, Any] | None:
    """Return a player of the true source and the agreement with it, if the source is known."""
    truth = one.attribution.details.get("truth")
    if truth is None:
        return None
    (player,) = players([read_audio(root / truth["file"])], factor)
    return {**truth, "src": _source(player), "gain": _gain(player)}


def _gain(player: Player) -> str:
    gain = "silence" if player.gain_db is None else f"{player.gain_db:+.0f} dB"
    return ", ".join(filter(None, (gain, expansion_text(player.expansion))))


def _source(player: Player) -> str:
    return uri(player.kind, player.data)


def uri(kind: str, data: bytes) -> str:
    """Return data of a media type as a data URL."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _edges(centres: NDArray[np.floating]) -> tuple[float, float]:
    half = float(centres[1] - centres[0]) / 2 if len(centres) > 1 else 0.5
    return float(centres[0]) - half, float(centres[-1]) + half


def _span(one: Explanation) -> dict[str, float]:
    """Return the start and the end of the sound in the picture, as fractions of its width."""
    low, high = _edges(one.attribution.times)
    return {"left": (0 - low) / (high - low), "right": (one.input.seconds - low) / (high - low)}


def _ticks(centres: NDArray[np.floating], unit: str) -> list[dict[str, Any]]:
    """Return round numbers along an axis with their position in percent of its length."""
    low, high = _edges(centres)
    raw = (high - low) / _TICKS
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    values = np.arange(math.ceil(max(low, 0) / step), math.floor(high / step) + 1) * step
    return [
        {"at": 100 * (value - low) / (high - low), "text": f"{value:g} {unit}"}
        for value in np.round(values, 10)
    ]
