"""Players of the best, the median and the worst sound of every row.

The explanations are computed again from the seed after the run, so that a run stores no sounds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import torch

from earwitness.benchmark.cells import Setting, choices_of, explain_by, prepare
from earwitness.benchmark.grid import Choice, Grid, Part
from earwitness.benchmark.reruns import sized_masks
from earwitness.benchmark.rows import Row
from earwitness.data.clips import Clip
from earwitness.files import replacing
from earwitness.models.model import Model
from earwitness.probe import Probe
from earwitness.render.evidence import render
from earwitness.render.players import players
from earwitness.types import Audio, FloatArray

FOLDER = "examples"
RANKS = ("best", "median", "worst")


@dataclass(frozen=True)
class Example:
    """A sound of a row, with the paths of its players relative to the page."""

    rank: str
    clip: str
    value: float
    files: dict[str, str]


def chosen(row: Row) -> list[tuple[str, str]]:
    """Return the sounds of a row that have players, with their rank; none twice."""
    if not row.ranked or row.mask is None:
        return []
    places = (0, (len(row.ranked) - 1) // 2, len(row.ranked) - 1)
    found: dict[str, str] = {}
    for rank, place in zip(RANKS, places, strict=True):
        found.setdefault(row.ranked[place], rank)
    return [(rank, clip) for clip, rank in found.items()]


def make_examples(
    grid: Grid,
    folder: Path,
    rows: Sequence[Row],
    *,
    on_clip: Callable[[str], None] | None = None,
) -> dict[tuple[str, str, str, str | None], list[Example]]:
    """Write the missing players, and return the examples by model, group, method and mask."""
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    wanted: dict[tuple[str, str], list[tuple[str, Row]]] = {}
    for row in rows:
        for rank, clip in chosen(row):
            wanted.setdefault((row.model, clip), []).append((rank, row))
    found: dict[tuple[str, str, str, str | None], list[Example]] = {}
    for part in grid.parts:
        clips = {clip.name: clip for clip in part.clips}
        model: Model | None = None
        for (name, clip), some in wanted.items():
            if name != part.model:
                continue
            if on_clip:
                on_clip(clip)
            files, missing = _files(part, clip, some, place)
            if missing:
                model = model or part.load(folder)
                _write(model, clips[clip], grid, missing, files)
            for rank, row in some:
                both = {what: f"{FOLDER}/{path.name}" for what, path in _own(files, row).items()}
                key = (row.model, row.group, row.method, row.mask)
                found.setdefault(key, []).append(Example(rank, clip, row.values[clip], both))
    return {key: sorted(some, key=lambda one: RANKS.index(one.rank)) for key, some in found.items()}


def _files(
    part: Part, clip: str, some: Sequence[tuple[str, Row]], place: Path
) -> tuple[dict[tuple[str, str | None], Path], list[Row]]:
    """Return the players' paths of a sound, by method and mask, and rows with missing ones."""
    files: dict[tuple[str, str | None], Path] = {
        ("input", None): place / _name(part.model, clip, "input", "")
    }
    for _, row in some:
        name = _name(part.model, clip, row.method, row.mask or "")
        files[row.method, row.mask] = place / name
    missing = [row for _, row in some if not files[row.method, row.mask].exists()]
    if not files["input", None].exists():
        missing = [row for _, row in some]
    return files, missing


def _name(*parts: str) -> str:
    return f"{blake2b(os.fsencode(' '.join(parts)), digest_size=8).hexdigest()}.ogg"


def _own(files: dict[tuple[str, str | None], Path], row: Row) -> dict[str, Path]:
    return {"input": files["input", None], "evidence": files[row.method, row.mask]}


def _write(
    model: Model,
    clip: Clip,
    grid: Grid,
    rows: Sequence[Row],
    files: dict[tuple[str, str | None], Path],
) -> None:
    """Explain one sound again, and write the evidence of its masks."""
    sounds: list[Audio] = []
    places: list[Path] = []
    with torch.inference_mode(False), model.undisturbed():
        setting = prepare(model, clip)
        sounds.append(Audio(setting.material.input, model.rate))
        places.append(files["input", None])
        maps: dict[str, tuple[Choice, Probe, FloatArray]] = {}
        for row in rows:
            if row.method not in maps:
                maps[row.method] = _map(setting, grid, row.method)
            sounds.append(_evidence(*maps[row.method], row.mask or ""))
            places.append(files[row.method, row.mask])
    for path, player in zip(places, players(sounds), strict=True):
        with replacing(path) as partial:
            partial.write_bytes(player.data)


def _map(setting: Setting, grid: Grid, method: str) -> tuple[Choice, Probe, FloatArray]:
    (choice,) = (one for one in choices_of(grid, setting) if one.name == method)
    probe = setting.probe(grid.seeds[0])
    return choice, probe, explain_by(choice, probe, setting.truth).values.float().cpu().numpy()


def _evidence(choice: Choice, probe: Probe, values: FloatArray, rule: str) -> Audio:
    (mask,) = sized_masks(probe, choice, values, [rule])
    gains = torch.from_numpy(mask.gains).to(probe.device)
    wave, _ = render(probe.model.plane, probe.spectrum, gains, probe.wave)
    return Audio(wave.float().cpu().numpy(), probe.model.rate)
