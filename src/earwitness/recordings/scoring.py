"""Scores of every window of a recording, stored block by block so that a scan can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earwitness.audio import shown_name
from earwitness.errors import AudioError, EarwitnessError, unforeseen
from earwitness.files import write_json
from earwitness.models.declared import declaration_notes, outputs_for
from earwitness.models.model import Model
from earwitness.models.target import probabilities
from earwitness.recordings.overview import BANDS, Overview
from earwitness.recordings.windows import Cut, cut_windows, origin
from earwitness.stream import Stream
from earwitness.types import FloatArray

SCORES, LEVELS, FACTS = "scores.f32", "overview.u8", "recording.json"
FINE, SILENT, FAULTY = 0, 1, 2  # what a window holds; of the last two, nothing is an event
_SCHEMA = 1
_SHORTEST = 0.05  # s, as for an explanation


@dataclass(frozen=True)
class ScoreTask:
    """A recording to score.

    Attributes
    ----------
    recording, folder : Path
        The file, and where its scores go.
    cut : Cut
    """

    recording: Path
    folder: Path
    cut: Cut

    @property
    def name(self) -> str:
        """What messages call it."""
        return shown_name(self.recording)


@dataclass(frozen=True)
class Scored:
    """What became of a recording.

    Attributes
    ----------
    task : ScoreTask
    error : str
        Why it has no scores; empty if it has.
    """

    task: ScoreTask
    error: str = ""


@dataclass(frozen=True)
class Scores:
    """The scores of a recording as they lie on the disk.

    Attributes
    ----------
    samples : int
        Length of the recording at the model's rate.
    state : ndarray (window,)
        ``FINE``, ``SILENT`` or ``FAULTY``.
    values : ndarray (window, output)
        Probabilities, or values of a regression; NaN where the window is faulty.
    levels : ndarray (window, band), uint8
    notes : tuple of str
    """

    samples: int
    state: NDArray[np.int8]
    values: FloatArray
    levels: NDArray[np.uint8]
    notes: tuple[str, ...]


def score_recording(
    model: Model, task: ScoreTask, on_windows: Callable[[int], None]
) -> Iterator[Scored]:
    """Yield what became of a recording, after all of its windows are scored.

    Windows that are there already are not scored again.
    """
    try:
        if not is_scored(task.folder):
            _score(model, task, on_windows)
        yield Scored(task)
    except EarwitnessError as error:
        text, name = str(error), shown_name(task.recording)
        yield Scored(task, text if name in text else f"{name}: {text}")
    except OSError:
        raise
    except Exception as error:
        yield Scored(task, f"{task.recording}: {unforeseen(error)}")


def lost_recording(task: ScoreTask, reason: str) -> list[Scored]:
    """Return what became of a recording whose worker ended."""
    return [Scored(task, f"{task.name}: {reason}")]


def is_scored(folder: Path) -> bool:
    """Return whether all windows of a recording are scored."""
    return _facts(folder) is not None


def read_scores(folder: Path, outputs: int) -> Scores:
    """Return the scores of a recording, which stay on the disk."""
    facts = _facts(folder)
    if facts is None:
        raise AudioError(f"{folder}: holds no scores")
    rows = np.memmap(folder / SCORES, np.float32, "r").reshape(-1, 1 + outputs)
    levels = np.memmap(folder / LEVELS, np.uint8, "r").reshape(-1, BANDS)
    state = rows[:, 0].astype(np.int8)
    return Scores(facts["samples"], state, rows[:, 1:], levels, tuple(facts["notes"]))


def _facts(folder: Path) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if facts.get("schema") == _SCHEMA else None


def _score(model: Model, task: ScoreTask, on_windows: Callable[[int], None]) -> None:
    cut, folder = task.cut, task.folder
    folder.mkdir(parents=True, exist_ok=True)
    first = _resumed(folder, len(model.labels), cut.batch)
    on_windows(first)
    stream = Stream(task.recording, model.rate, origin(cut, first))
    overview = Overview(model.rate)
    end = origin(cut, first)
    with (folder / SCORES).open("ab") as scores, (folder / LEVELS).open("ab") as levels:
        for batch in _batches(cut_windows(stream, cut, first), cut.batch):
            if not first and batch[0][0] == 0:
                _check_first(model, batch[0][1], task.recording)
            states = [_state(start, part, stream.faulty) for start, part in batch]
            values = _evaluate(model, [part for _, part in batch])
            values[np.array(states) == FAULTY] = np.nan
            columns = [overview.column(part[: cut.hop]) for _, part in batch]
            levels.write(np.stack(columns).tobytes())
            levels.flush()
            rows = np.concatenate([np.array(states, np.float32)[:, None], values], axis=1)
            scores.write(rows.astype(np.float32).tobytes())
            scores.flush()
            end = max(end, batch[-1][0] + len(batch[-1][1]))
            on_windows(len(batch))
    if not end:
        raise AudioError(f"{shown_name(task.recording)}: no samples in it")
    state = np.memmap(folder / SCORES, np.float32, "r").reshape(-1, 1 + len(model.labels))[:, 0]
    if bool((state == FAULTY).all()):
        raise AudioError(
            f"{shown_name(task.recording)}: contains NaN or infinite samples in every window; "
            "repair or remove them first"
        )
    notes = _notes(stream, end, state)
    write_json(
        folder / FACTS,
        {
            "schema": _SCHEMA, "recording": shown_name(task.recording), "seconds": end / cut.rate,
            "samples": end, "rate": cut.rate, "window": cut.window, "hop": cut.hop,
            "windows": len(state), "labels": list(model.labels),
            "notes": [*notes, *model.notes, *declaration_notes(model)],
        },
    )  # fmt: skip


def _resumed(folder: Path, outputs: int, batch: int) -> int:
    """Return how many windows are scored, in whole blocks; what lies beyond them is cut off."""
    sizes = {SCORES: 4 * (1 + outputs), LEVELS: BANDS}
    there = {name: folder / name for name in sizes}
    done = min(
        path.stat().st_size // sizes[name] if path.is_file() else 0 for name, path in there.items()
    )
    done -= done % batch
    for name, path in there.items():
        if path.is_file():
            os.truncate(path, done * sizes[name])
    return done


def _batches(
    windows: Iterator[tuple[int, FloatArray]], size: int
) -> Iterator[list[tuple[int, FloatArray]]]:
    batch: list[tuple[int, FloatArray]] = []
    for one in windows:
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _check_first(model: Model, samples: FloatArray, recording: Path) -> None:
    """Raise for a recording that is too short, or outputs that are not what was declared."""
    if len(samples) < _SHORTEST * model.rate:
        raise AudioError(
            f"{shown_name(recording)}: {len(samples)} samples "
            f"({1000 * len(samples) / model.rate:.3g} ms) at {model.rate} Hz; a scan needs at "
            f"least {1000 * _SHORTEST:.3g} ms"
        )
    with model.undisturbed():
        outputs_for(model, torch.from_numpy(samples).to(model.device), batches=True)


def _state(start: int, samples: FloatArray, faulty: list[tuple[int, int]]) -> int:
    end = start + len(samples)
    if any(low < end and high > start for low, high in faulty):
        return FAULTY
    return FINE if samples.any() else SILENT


def _evaluate(model: Model, parts: list[FloatArray]) -> NDArray[np.float32]:
    """Return probabilities or values (window, output); of outputs per frame, the largest."""
    waves: Tensor = torch.from_numpy(np.stack(parts)).to(model.device)
    with model.undisturbed(), torch.no_grad():
        found = probabilities(model, model(waves))
    found = found.amax(dim=-1) if model.per_frame else found
    values: NDArray[np.float32] = found.float().cpu().numpy()
    return values


def _notes(stream: Stream, end: int, state: NDArray[np.float32]) -> list[str]:
    notes = []
    if stream.channels > 1:
        notes.append(f"{stream.channels} channels mixed down to one")
    if stream.given != stream.rate:
        notes.append(f"resampled from {stream.given} to {stream.rate} Hz")
    if stream.cut_off:
        notes.append(f"cut off: only the first {end / stream.rate:.2f} s could be decoded")
    if stream.not_decoded:
        notes.append(stream.not_decoded)
    silent, faulty = int((state == SILENT).sum()), int((state == FAULTY).sum())
    if silent:
        every = "every window" if silent == len(state) else f"{silent} of {len(state)} windows"
        notes.append(f"silence: every sample of {every} is zero; they are part of no event")
    if faulty:
        notes.append(f"NaN or infinite samples in {faulty} of {len(state)} windows: not scored")
    return notes
