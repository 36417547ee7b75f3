"""Degraded excerpts of clean speech as sounds of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from earwitness.audio import read_audio
from earwitness.data.clips import Clip, Material
from earwitness.data.degraded import Degraded, degrade, speech_level
from earwitness.errors import AudioError

LEVELS = (-30.0, -22.0)  # dB re full scale, range of the RMS of the speech
_FEWEST_ACTIVE = 0.5  # share of an excerpt that is speech
_TRIES = 50


@dataclass(frozen=True)
class DegradedMaterial(Material):
    """A degraded excerpt with what is known of it.

    Attributes
    ----------
    degraded : Degraded
    highest : float
        Upper end of the sound in Hz.
    """

    degraded: Degraded | None = None
    highest: float = 0.0


@dataclass(frozen=True)
class Excerpt:
    """A part of a file of clean speech.

    Attributes
    ----------
    path : Path
    start, seconds : float
    level : float
        RMS to which the speech is set, in dB.
    rate : int
        Of the file, in Hz.
    """

    path: Path
    start: float
    seconds: float
    level: float
    rate: int


def draw_excerpts(
    paths: Sequence[Path], count: int, seconds: float, seed: int,
    *, since: float = 0.0, until: float | None = None,
) -> list[Excerpt]:  # fmt: skip
    """Return excerpts of clean speech, of each file in turn, at random places and levels.

    Parameters
    ----------
    paths : sequence of Path
    count : int
    seconds : float
        Length; a file that is shorter is taken whole.
    seed : int
    since, until : float
        The part of each file that excerpts are taken from, in seconds.

    Raises
    ------
    AudioError
        If a file is silent, or has nothing in that part.
    """
    rng = np.random.default_rng(seed)
    sounds = {path: read_audio(path, start=since or None, end=until) for path in paths}
    excerpts = []
    for number in range(count):
        path = paths[number % len(paths)]
        samples, rate = sounds[path].samples, sounds[path].rate
        length = min(round(seconds * rate), len(samples))
        level = speech_level(samples, rate)
        if not level > 0:
            raise AudioError(f"{path}: is silent; the benchmark needs clean speech")
        for _ in range(_TRIES):  # until there is enough speech in it
            first = int(rng.integers(len(samples) - length + 1))
            own = samples[first : first + length]
            if np.sqrt((own.astype(np.float64) ** 2).mean()) > _FEWEST_ACTIVE * level:
                break
        excerpts.append(
            Excerpt(path, since + first / rate, length / rate, float(rng.uniform(*LEVELS)), rate)
        )
    return excerpts


def degraded_clips(excerpts: Sequence[Excerpt], kinds: Sequence[str], seed: int) -> list[Clip]:
    """Return every excerpt with every kind of degradation, excerpt by excerpt."""
    return [
        Clip(
            f"{one.path.stem}@{one.start:.2f}s+{kind} {number:03}",
            kind,
            None,
            partial(make_degraded, one, kind, f"{seed} {kind} {number}"),
        )
        for number, one in enumerate(excerpts)
        for kind in kinds
    ]


def make_degraded(excerpt: Excerpt, kind: str, seed: str, rate: int) -> DegradedMaterial:
    """Return a degraded excerpt at a sampling rate in Hz."""
    end = excerpt.start + excerpt.seconds
    speech = read_audio(excerpt.path, rate=rate, start=excerpt.start, end=end).samples
    level = speech_level(speech, rate)
    clean = (speech * (10 ** (excerpt.level / 20) / level)).astype(np.float32)
    rng = np.random.default_rng(list(seed.encode("utf-8")))
    highest = min(excerpt.rate, rate) / 2
    made = degrade(clean, rate, kind, rng, highest=highest)
    return DegradedMaterial(made.sound, made.source, made, min(highest, 20000.0))
