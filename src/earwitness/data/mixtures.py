"""Mixtures of two recordings as sounds with known sources."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from earwitness.audio import read_audio
from earwitness.data.clips import Clip, Material, register
from earwitness.data.collection import Item, read_collection
from earwitness.errors import ParameterError
from earwitness.types import FloatArray

LEVELS = (-6, 0, 6, 12)  # dB, target relative to the other source; from masked to clearly dominant


@register("mixtures", summary="mixtures of two labelled recordings; the first is the true source")
def mixtures(
    *,
    data: str,
    folds: list[int] = [4],  # noqa: B006 - read only
    levels: list[int] = list(LEVELS),  # noqa: B006
    count: int = 64,
    seconds: float = 2.5,
    seed: int = 0,
    group: str = "mixtures",
) -> list[Clip]:
    """Return ``count`` mixtures at every level, with the same pairs of recordings.

    Parameters
    ----------
    data : str
        A collection (``read_collection``).
    folds : list of int
        Folds of the recordings; all folds if empty.
    levels : list of int
        Power of the target's source relative to the other source in dB, over the whole sound.
    count : int
        Number of pairs. The two classes differ, and every recording of a class is a target once
        before any is again.
    seconds : float
        Length; the segment of highest energy is taken from longer recordings.
    seed : int
        Seed of the pairs.
    group : str
        Name of the mixtures; the level is appended.
    """
    items = [item for item in read_collection(Path(data)) if not folds or item.fold in folds]
    pairs = pair_items(items, count, np.random.default_rng(seed))
    return [
        Clip(
            f"{one.path.stem}+{other.path.stem}@{level:+d}dB",
            f"{group}, {level:+d} dB",
            one.label,
            partial(mix, one, other, level, seconds),
        )
        for level in levels
        for one, other in pairs
    ]


def pair_items(
    items: Sequence[Item], count: int, rng: np.random.Generator
) -> list[tuple[Item, Item]]:
    """Return ``count`` pairs of items of different classes, each class a target equally often.

    Raises
    ------
    ParameterError
        If there are fewer than two classes.
    """
    by_class: dict[str, list[Item]] = {}
    for item in items:
        by_class.setdefault(item.label, []).append(item)
    if len(by_class) < 2:
        raise ParameterError(
            f"mixtures need recordings of two classes at least, got {len(by_class)}"
        )
    labels = sorted(by_class)
    queues: dict[str, list[Item]] = {label: [] for label in labels}
    pairs: list[tuple[Item, Item]] = []
    while len(pairs) < count:
        for label in rng.permutation(labels)[: count - len(pairs)]:
            if not queues[label]:
                queues[label] = [by_class[label][k] for k in rng.permutation(len(by_class[label]))]
            others = [item for item in items if item.label != label]
            pairs.append((queues[label].pop(), others[int(rng.integers(len(others)))]))
    if len({(one.path, other.path) for one, other in pairs}) < len(pairs):
        raise ParameterError(f"{len(items)} recordings are too few for {count} different mixtures")
    return pairs


def mix(one: Item, other: Item, level: float, seconds: float, rate: int) -> Material:
    """Return a mixture of two recordings; the first has ``level`` dB more power."""
    segments = [
        loudest(read_audio(item.path, rate=rate).samples, seconds, rate) for item in (one, other)
    ]
    powers = [float((segment.astype(np.float64) ** 2).mean()) for segment in segments]
    if not min(powers) > 0:
        raise ParameterError(f"{one.path.name} or {other.path.name} is silent")
    gain = np.sqrt(powers[0] / powers[1]) * 10 ** (-level / 20)
    source, rest = segments[0], (gain * segments[1]).astype(np.float32)
    scale = np.float32(1 / max(1.0, float(np.abs(source + rest).max())))
    return Material(scale * (source + rest), scale * source)


def loudest(samples: FloatArray, seconds: float, rate: int) -> FloatArray:
    """Return the segment of highest energy, zero-padded at the end if the sound is shorter."""
    length = round(seconds * rate)
    if len(samples) <= length:
        return np.pad(samples, (0, length - len(samples)))
    step = max(1, length // 20)
    total = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    starts = np.arange(0, len(samples) - length + 1, step)
    start = int(starts[np.argmax(total[starts + length] - total[starts])])
    return samples[start : start + length]
