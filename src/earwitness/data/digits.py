"""Spoken digits in files ``DIGIT_SPEAKER_TAKE.wav``, as in the Free Spoken Digit Dataset."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from earwitness.audio import read_audio
from earwitness.data.clips import Clip, Material, register
from earwitness.data.collection import Item
from earwitness.data.mixtures import LEVELS, pair_items
from earwitness.errors import AudioError
from earwitness.types import FloatArray

SECONDS = 1.0  # s, length of a mixture; most digits are shorter
TEST_TAKES = 5  # takes of each digit and speaker in the official test split


def digits_folder(folder: Path) -> Path:
    """Return where the recordings lie: in ``recordings``, as published, or in the folder."""
    inside = folder / "recordings"
    return inside if inside.is_dir() else folder


def read_digits(folder: Path, *, test: bool) -> list[Item]:
    """Return the recordings of the test split (takes 0 to 4), or of the training split.

    Raises
    ------
    AudioError
        If there are none.
    """
    items = []
    for path in sorted(digits_folder(folder).glob("*_*_*.wav")):
        digit, _, take = path.stem.split("_")
        if digit.isdigit() and take.isdigit() and (int(take) < TEST_TAKES) == test:
            items.append(Item(path, digit))
    if not items:
        raise AudioError(f"{folder}: no spoken digits here (needs files DIGIT_SPEAKER_TAKE.wav)")
    return items


@register("digit-mixtures", summary="mixtures of two spoken digits; the first is the true source")
def digit_mixtures(
    *,
    data: str,
    test: bool = True,
    levels: list[int] = list(LEVELS),  # noqa: B006 - read only
    count: int = 64,
    seed: int = 0,
    group: str = "digits",
) -> list[Clip]:
    """Return ``count`` mixtures of two different digits at every level, with the same pairs.

    Each digit starts at a random time within the second, so they overlap partly. Levels are ratios
    of energy in dB, because the digits differ in duration.
    """
    rng = np.random.default_rng(seed)
    pairs = pair_items(read_digits(Path(data), test=test), count, rng)
    places = rng.random((count, 2))
    return [
        Clip(
            f"{one.path.stem}+{other.path.stem}@{level:+d}dB",
            f"{group}, {level:+d} dB",
            one.label,
            partial(_mix, (one, other), place, level),
        )
        for level in levels
        for (one, other), place in zip(pairs, places, strict=True)
    ]


def _mix(pair: tuple[Item, Item], place: FloatArray, level: float, rate: int) -> Material:
    source, rest = (
        _placed(read_audio(item.path, rate=rate).samples, float(at), rate)
        for item, at in zip(pair, place, strict=True)
    )
    ours, theirs = (float((part.astype(np.float64) ** 2).sum()) for part in (source, rest))
    gain = np.sqrt(ours / theirs) * 10 ** (-level / 20)
    rest = (gain * rest).astype(np.float32)
    scale = np.float32(1 / max(1.0, float(np.abs(source + rest).max())))
    return Material(scale * (source + rest), scale * source)


def _placed(samples: FloatArray, at: float, rate: int) -> FloatArray:
    """Return one second of silence with a sound at a relative position ``at`` in [0, 1]."""
    length = round(SECONDS * rate)
    samples = samples[:length]
    start = int(at * (length - len(samples)))
    return np.pad(samples, (start, length - len(samples) - start))
