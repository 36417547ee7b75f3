"""The HTML page: explanations from their folders, sound by sound, into one file."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from numpy.typing import NDArray

from earwitness import __version__
from earwitness.audio import as_audio, read_audio
from earwitness.errors import EarwitnessError
from earwitness.evaluation.trust import ahead_of, verdict
from earwitness.explanation import Explanation, files_in
from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.render.picture import attribution_image, spectrogram_image
from earwitness.render.players import Player, copies, players
from earwitness.types import Outcome

_TICKS = 6
_ORIGINAL_SECONDS = 60.0


def write_page(path: Path, root: Path, folders: Sequence[Path], model: Model) -> None:
    """Write the page; explanations of one sound must follow one another.

    Only one sound is in memory at a time, so the number of sounds is not limited by it.

    Parameters
    ----------
    path : Path
        The file to write.
    root : Path
        The folder the page will lie in; links are relative to it.
    folders : sequence of Path
        Where the explanations were saved.
    model : Model
        What was explained.
    """
    environment = Environment(
        loader=PackageLoader("earwitness", "report"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    stream = environment.get_template("page.html").stream(
        version=__version__,
        model=model,
        count=len({folder.parent for folder in folders}),
        contents=[parent.name for parent, _ in groupby(folders, lambda folder: folder.parent)],
        clips=_clips(root, folders),
    )
    with path.open("w", encoding="utf-8") as file:
        file.writelines(stream)


def _clips(root: Path, folders: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for number, (_, some) in enumerate(groupby(folders, lambda folder: folder.parent), start=1):
        own = [(folder, Explanation.load(folder)) for folder in some]
        first = own[0][1]
        yield {
            "number": number,
            "name": Path(first.clip).name,
            "first": first,
            "spectrogram": _uri("image/webp", spectrogram_image(first.magnitude)),
            "original": _original(first),
            "parts": _parts(root, own),
        }


def _parts(root: Path, own: list[tuple[Path, Explanation]]) -> Iterator[dict[str, Any]]:
    """Yield what is shown of every explanation of one sound, all players equally loud."""
    sounds = [own[0][1].input]
    sounds += [sound for _, one in own for sound in (one.evidence, one.remainder)]
    heard, *made = players(sounds)
    turned = heard.gain_db or 0.0
    for number, (folder, one) in enumerate(own):
        files = {name: os.path.relpath(path, root) for name, path in files_in(folder).items()}
        three = zip(("input", "evidence", "remainder"), (heard, *made[:2]), strict=True)
        del made[:2]
        ahead = ahead_of(one.trust, one.mask)
        yield {
            "one": one,
            "number": number,
            "about": METHODS.get(one.method).summary,
            "adds_up_to": METHODS.get(one.method).complete,
            # the input is in the page once; the script lends it to the other methods
            "players": [
                {
                    "name": name,
                    "src": _uri("audio/mpeg", player.data) if name != "input" or not number else "",
                    "gain": _gain(player),
                }
                for name, player in three
            ],
            "pieces": _pieces(one, turned),
            "truth": _truth(root, one),
            "overlay": _uri("image/webp", attribution_image(one.attribution.values)),
            "times": _ticks(one.attribution.times, "s"),
            "freqs": _ticks(one.attribution.freqs / 1000, "kHz"),
            "span": _span(one),
            "rows": _rows(one),
            "verdict": verdict(one.trust, one.mask),
            "ahead": len(ahead) == len(one.trust.controls),
            "files": {name: path.replace(os.sep, "/") for name, path in files.items()},
        }


def _pieces(one: Explanation, gain_db: float) -> list[dict[str, Any]]:
    """Return what is shown of the pieces that can be heard, all turned up as the input is."""
    by_file = {piece.name: piece for piece in one.pieces if piece.file}
    others = len(one.pieces) - len(by_file)
    rows = []
    for sound, player in zip(one.piece_sounds, copies(one.piece_sounds, gain_db), strict=True):
        piece = by_file.get(sound.name)
        rows.append(
            {
                "name": sound.name if piece else f"{sound.name} ({others} pieces)",
                "piece": piece,
                "src": _uri("audio/mpeg", player.data),
            }
        )
    return rows


def _rows(one: Explanation) -> list[dict[str, Any]]:
    """Return the rows of the trust card: this explanation, then every control."""
    rows = [
        {
            "name": "this explanation", "mean": one.trust.outcome, "range": None,
            "area": one.mask.area, "energy": one.mask.energy,
        }
    ]  # fmt: skip
    for name, control in one.trust.controls.items():
        spread: tuple[Outcome, Outcome] | None = (control.low, control.high)
        title = f"{name}, same gains"
        if control.draws > 1:
            title = f"{name}, same gains, mean of {control.draws} (range)"
        else:
            spread = None
        rows.append(
            {
                "name": title, "mean": control.mean, "range": spread, "area": control.area,
                "energy": control.energy,
            }
        )  # fmt: skip
    return rows


def _original(one: Explanation) -> dict[str, Any] | None:
    """Return a player of the file itself, if it is at hand and not too long."""
    span = (one.provenance["start"], one.provenance["end"])
    if one.input.seconds > _ORIGINAL_SECONDS or not Path(one.clip).is_file():
        return None
    try:
        audio = read_audio(one.clip, start=span[0], end=span[1])
    except EarwitnessError:
        return None
    (player,) = players([as_audio(audio)])
    return {"src": _uri("audio/mpeg", player.data), "rate": audio.rate, "gain": _gain(player)}


def _truth(root: Path, one: Explanation) -> dict[str, Any] | None:
    """Return a player of the true source and how close the explanation comes, if it is known."""
    truth = one.attribution.details.get("truth")
    if truth is None:
        return None
    (player,) = players([read_audio(root / truth["file"])])
    return {**truth, "src": _uri("audio/mpeg", player.data), "gain": _gain(player)}


def _gain(player: Player) -> str:
    return "silence" if player.gain_db is None else f"{player.gain_db:+.0f} dB"


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _edges(centres: NDArray[np.floating]) -> tuple[float, float]:
    half = float(centres[1] - centres[0]) / 2 if len(centres) > 1 else 0.5
    return float(centres[0]) - half, float(centres[-1]) + half


def _span(one: Explanation) -> dict[str, float]:
    """Return where sound starts and ends across the picture, as fractions of its width."""
    low, high = _edges(one.attribution.times)
    return {"left": (0 - low) / (high - low), "right": (one.input.seconds - low) / (high - low)}


def _ticks(centres: NDArray[np.floating], unit: str) -> list[dict[str, Any]]:
    """Return round numbers along an axis with their place in percent of its length."""
    low, high = _edges(centres)
    raw = (high - low) / _TICKS
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    values = np.arange(math.ceil(max(low, 0) / step), math.floor(high / step) + 1) * step
    return [
        {"at": 100 * (value - low) / (high - low), "text": f"{value:g} {unit}"}
        for value in np.round(values, 10)
    ]
