"""What the page holds of one sound: its input, and the map and figures of its explanations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from earwitness.audio import read_audio
from earwitness.explanation import Explanation
from earwitness.methods.registry import METHODS
from earwitness.models.target import DECIDED
from earwitness.render.levels import spectrogram_codes
from earwitness.render.players import copies, expansion
from earwitness.report.command import command_line
from earwitness.report.components import pack_components
from earwitness.report.links import link, uri
from earwitness.report.packing import (
    bits_for,
    codes_of,
    pack,
    pack_map,
    pack_sound,
)
from earwitness.scores import TrustCard
from earwitness.store import files_in
from earwitness.types import Audio

Saved = Sequence[tuple[Path, Explanation]]
REPORT = "report.json"  # in the folder of a report
Coded = tuple[NDArray[np.uint8], list[float], list[int]]  # as codes_of returns it
_CONTROLS = {
    "random": "control: same gains in random places",
    "energy": "control: same gains on the cells of most energy",
    "silence": "control: silence instead of evidence, nothing removed",
    "background": "control: the background instead of evidence, nothing removed",
}


def payload(root: Path, saved: Saved, *, audio: bool = True, data: str = "") -> dict[str, Any]:
    """Return what the page holds of one sound, as plain JSON values.

    Parameters
    ----------
    root : Path
        The folder of the page; links are relative to it.
    saved : sequence of (Path, Explanation)
        Explanations of one sound, with their folders.
    audio : bool
        Whether it holds the sound; if not, a spectrogram of 8 bits.
    data : str
        Folder of the training sounds, for links to where components are strongest.
    """
    first, place = saved[0][1], saved[0][0].parent
    bins, frames = first.magnitude.shape
    plane = first.provenance["plane"]
    factor = expansion(_sounds(saved)) if audio else 1
    maps = [codes_of(one.attribution.values) for _, one in saved]
    return {
        "anchor": anchor(root, place),
        "name": (Path(os.path.relpath(place, root)).parent / Path(first.clip).name).as_posix(),
        "path": first.clip,
        "original": _original(root, first) if audio else None,
        "rate": first.input.rate,
        "samples": len(first.input.samples),
        "start": first.provenance.get("start") or 0.0,
        "expansion": factor,
        "plane": {"n_fft": plane["n_fft"], "hop": plane["hop"], "bins": bins, "frames": frames},
        "input": pack_sound(first.input.samples, _bits(saved, maps)) if audio else None,
        "spectrogram": None if audio else pack(spectrogram_codes(first.magnitude)),
        "peak": float(first.magnitude.max()),
        "task": first.task,
        "decision": _decision(first),
        "outputs": [{"label": one.label, "value": one.input} for one in first.outputs],
        "notes": [note for note in first.notes if _common(note, saved)],
        "explanations": [
            _explanation(root, folder, one, coded, saved, factor, audio)
            | {"components": pack_components(root, one, data)}
            for (folder, one), coded in zip(saved, maps, strict=True)
        ],
    }


def anchor(root: Path, place: Path) -> str:
    """Return a name for a sound that is valid in a URL and in an id; different for all folders."""
    return quote(os.path.relpath(place, root).replace(os.sep, "/"), safe="").replace("%", "~")


def _sounds(saved: Saved) -> list[Audio]:
    """Return the input, then evidence and remainder of each explanation."""
    return [saved[0][1].input, *(one for _, e in saved for one in (e.evidence, e.remainder))]


def _bits(saved: Saved, maps: Sequence[Coded]) -> int:
    """Return how many bits a sample of the input needs."""
    kept = [(one.mask.gains, one.evidence.samples) for _, one in saved]
    removed = [(1 - one.mask.gains, one.remainder.samples) for _, one in saved]
    dials = [(codes, cuts) for codes, _, cuts in maps]
    first = saved[0][1]
    return bits_for(first.input.samples, [*kept, *removed], dials, first.magnitude)


def _common(note: str, saved: Saved) -> bool:
    """Return whether a note is on every explanation of the sound."""
    return all(note in one.notes for _, one in saved)


def _decision(one: Explanation) -> dict[str, Any]:
    """Return the largest output of a classifier, or the explained output of a regression.

    Of several labels, also how many others of the listed ones are decided.
    """
    if one.task == "regression":
        value = next(o.input for o in one.outputs if o.label == one.target.label)
        return {"label": one.target.label, "value": value, "kind": "value"}
    decided = {"label": one.outputs[0].label, "value": one.outputs[0].input, "kind": "probability"}
    if one.task == "multi-label":
        decided["others"] = sum(o.input >= DECIDED for o in one.outputs[1:])
    return decided


def _explanation(
    root: Path,
    folder: Path,
    one: Explanation,
    coded: Coded,
    saved: Saved,
    factor: int,
    audio: bool,
) -> dict[str, Any]:
    codes, values, cuts = coded
    packed, gains = pack_map(one.mask, codes, cuts)
    mask, facts, target = one.mask, one.facts(), one.target
    effect = None if one.trust is None or one.trust.effect is None else one.trust.effect.value
    return {
        "method": one.method,
        "about": METHODS.get(one.method).summary,
        "target": str(target),
        "label": target.label,
        "versus": target.versus_label,
        "span": target.span,
        "direction": "up" if target.sign > 0 else "down",
        "score": _score(one),
        "options": facts["options"],
        "keep": mask.rule,
        "map": {**packed, "values": values, "cuts": cuts},
        "mask": {**facts["mask"], **gains},
        "verdict": facts["verdict"],
        "trust": None if one.trust is None else _trust(one, one.trust),
        "effect": effect,
        "curve": facts.get("curve"),
        "course": facts.get("course"),
        "outputs": facts["outputs"],
        "pieces": _pieces(one, factor, audio),
        "truth": _truth(_home(root, folder), one, audio),
        "sounds": _sounds_beside(_home(root, folder), one, audio),
        "details": facts["details"],
        "notes": [note for note in one.notes if not _common(note, saved)],
        "files": {name: link(path, root) for name, path in files_in(folder).items()},
        "seconds": one.seconds,
        "provenance": facts["provenance"],
        "command": command_line(one),
    }


def _score(one: Explanation) -> dict[str, Any]:
    """Return the score of the input for what is explained; its value is None if not known."""
    target = one.target
    value = None if one.trust is None else one.trust.input
    if value is None and target.versus_label is None:
        value = next((o.input for o in one.outputs if o.label == target.label), None)
    return {"kind": target.kind, "value": value}


def _trust(one: Explanation, trust: TrustCard) -> dict[str, Any]:
    """Return the rows of the trust card: the explanation, then its controls."""
    rows = [
        {
            "name": "explanation", "title": "this explanation", **asdict(trust.outcome),
            "low": None, "high": None, "area": one.mask.area, "energy": one.mask.energy, "draws": 1,
            "effective": trust.effective_area,
        }
    ]  # fmt: skip
    for name, control in trust.controls.items():
        several = control.draws > 1
        title = _CONTROLS.get(name, name)
        if several:
            title = f"{title}, mean of {control.draws} draws (range)"
        low, high = (asdict(one) if several else None for one in (control.low, control.high))
        rows.append(
            {
                "name": name, "title": title, **asdict(control.mean), "low": low, "high": high,
                "area": control.area, "energy": control.energy, "draws": control.draws,
                "effective": control.effective_area,
            }
        )  # fmt: skip
    return {"kind": trust.kind, "input": trust.input, "rows": rows}


def _pieces(one: Explanation, factor: int, audio: bool) -> dict[str, Any] | None:
    """Return every piece, and where it lies; the sounds of those that overlap."""
    if not one.pieces:
        return None
    table: list[dict[str, Any]] = [
        {
            "name": p.name,
            "weight": _short(p.weight),
            "low": _short(p.low),
            "high": _short(p.high),
            "sound": None,
        }
        for p in one.pieces
    ]
    if one.piece_map is not None:
        return {"table": table, "map": pack(one.piece_map)}
    sounds, scale = {}, 1.0
    if audio:
        peak = max((float(np.abs(sound.samples).max()) for sound in one.piece_sounds), default=0.0)
        made = copies(one.piece_sounds, -20 * float(np.log10(peak)) if peak > 0 else 0.0, factor)
        scale = 10 ** (-(made[0].gain_db or 0.0) / 20) if made else 1.0
        sounds = {
            sound.name: uri(player.kind, player.data)
            for sound, player in zip(one.piece_sounds, made, strict=True)
        }
    for row in table:
        row["sound"] = sounds.pop(row["name"], None)
    rest = next(iter(sounds.values()), None)
    return {"table": table, "map": None, "rest": rest, "scale": scale}


def _short(value: float) -> float:
    """Return a number of five digits, of which a page can hold many."""
    return float(f"{value:.5g}")


def _original(root: Path, one: Explanation) -> str | None:
    """Return the URL of the original file relative to the page, if the file exists.

    The file is linked and not copied. The page holds the model's input.
    """
    path = Path(one.clip)
    return link(path, root) if path.is_file() else None


def _home(root: Path, folder: Path) -> Path:
    """Return the folder of the report that an explanation was made in; a page may join several."""
    found = (one for one in folder.parents if (one / REPORT).is_file())
    return next(found, root)


def _sounds_beside(home: Path, one: Explanation, audio: bool) -> dict[str, Any]:
    """Return the sounds of a comparison: the other recording, and the hybrid."""
    files = one.attribution.details.get("comparison", {}).get("sounds", {}) if audio else {}
    there = {name: home / file for name, file in files.items() if (home / file).is_file()}
    return {name: pack_sound(read_audio(path).samples) for name, path in there.items()}


def _truth(home: Path, one: Explanation, audio: bool) -> dict[str, Any] | None:
    """Return the true source and the agreement with it, if the source is known."""
    truth = one.attribution.details.get("truth")
    if truth is None:
        return None
    path = home / truth["file"]
    sound = pack_sound(read_audio(path).samples) if audio and path.is_file() else {}
    return {**truth, **sound}
