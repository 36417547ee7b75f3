"""How long explanations will take, from one forward pass and the length of each sound."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import soundfile
import torch

from earwitness.cli.options import counted
from earwitness.models.model import Model
from earwitness.pipeline import count_passes
from earwitness.subject import load_clip
from earwitness.types import Request

_LONGEST = 10.0  # s of the sound that is timed


def estimate(model: Model, clips: Iterable[Path], requests: Sequence[Request]) -> float:
    """Return about how many seconds explanations of all sounds take in one process.

    One forward pass is timed, on up to ten seconds of the first readable sound. The time of the
    others is in proportion to their length.
    """
    first = requests[0]
    lengths = {clip: _seconds(clip, first) for clip in clips}
    passes = sum(count_passes(one, first=not k) for k, one in enumerate(requests))
    least = (model.shortest or 0) / model.rate
    for clip, length in lengths.items():
        if not length:
            continue
        start = first.start or 0.0
        try:
            end = start + min(length, _LONGEST)
            audio = load_clip(clip, model.rate, start=first.start, end=end)
            timed = _time(model, torch.from_numpy(audio.samples))
        except Exception:  # told when it is this sound's turn
            continue
        total = sum(max(one, least) for one in lengths.values() if one)
        return timed * passes * total / max(audio.seconds, least)
    return 0.0


def said(seconds: float, sounds: int, methods: int) -> str:
    """Return an estimate as text."""
    long = f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{max(seconds / 60, 1):.0f} min"
    return f"about {long} for {counted(sounds, 'sound')} and {counted(methods, 'method')}"


def _seconds(clip: Path, request: Request) -> float:
    """Return the seconds of a sound to explain, as its header states them; 0 if it has none."""
    if not os.path.isfile(clip):  # opening a pipe would wait for ever
        return 0.0
    try:
        found = soundfile.info(os.fsencode(clip))
    except (RuntimeError, OSError, TypeError):
        return 0.0
    length = found.frames / found.samplerate if found.samplerate else 0.0
    end = length if request.end is None else min(request.end, length)
    return max(end - (request.start or 0.0), 0.0)


def _time(model: Model, wave: torch.Tensor) -> float:
    batch = wave.to(model.device).unsqueeze(0)
    with model.undisturbed(), torch.no_grad():
        model(batch)
        began = time.perf_counter()
        model(batch)
        return time.perf_counter() - began
