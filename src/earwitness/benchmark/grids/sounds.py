"""Sounds of the grids: which folds are learnt and explained, and how sounds are contaminated.

Contaminations are as the publications' code makes them; where a paper prints another level, that
one is available too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from earwitness.audio import read_audio
from earwitness.data.clips import Clip, Material
from earwitness.data.collection import Item, read_collection
from earwitness.errors import AudioError, ParameterError
from earwitness.registry import unknown
from earwitness.types import FloatArray

SECONDS = 5.0  # of a sound; both publications cut or pad to it
_MARGIN = 0.1  # s, more than the filter of resampling is long
NOISES = ("white_noise", "room", "horse")
# of sound and noise after division by the root mean square (Pak and Teryokhina): 3.52 dB
SHARES = (0.6, 0.4)
# of sound and contamination after division by the norm, in L-MAC's code; the paper's levels in dB
CODED = {"in-domain": (1.0, 1.0), "mixture": (0.8, 0.2), "speech": (0.8, 0.2), "white": (1.0, 0.5)}
PRINTED_DB = {"in-domain": 0.0, "speech": 3.0, "white": 3.0}


@dataclass(frozen=True)
class Folds:
    """Folds of a data set that are learnt, and those whose sounds are explained."""

    learnt: tuple[int, ...]
    explained: tuple[int, ...]


SETS = {
    "esc10": Folds((1, 2, 3), (4,)),
    "esc50": Folds((1, 2, 3), (5,)),
    "urbansound8k": Folds((1, 2, 3, 4, 5, 6, 7, 8), (10,)),
    "fsdd": Folds((2,), (1,)),
}


@dataclass(frozen=True)
class Items:
    """Labelled sounds of a data set."""

    learnt: tuple[Item, ...]
    explained: tuple[Item, ...]


def items_of(data: Path, name: str, folds: Sequence[int] = ()) -> Items:
    """Return the sounds of a data set in ``data / name``.

    Parameters
    ----------
    folds : sequence of int
        Folds to explain instead of the default ones; none that is learnt.
    """
    if name not in SETS:
        raise unknown("data set", name, SETS)
    wanted = Folds(SETS[name].learnt, tuple(folds) or SETS[name].explained)
    if set(wanted.learnt) & set(wanted.explained):
        raise ParameterError(f"{name}: folds {wanted.learnt} are learnt; explain others")
    found = read_collection(data / name)
    both = [
        tuple(item for item in found if item.fold in some)
        for some in (wanted.learnt, wanted.explained)
    ]
    for kind, some in zip(("learn", "explain"), both, strict=True):
        if not some:
            raise AudioError(f"{data / name}: no sounds in the folds to {kind}")
    return Items(*both)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """Return some of the sounds, as many of each class as possible, in the order of the table."""
    by_class: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        by_class.setdefault(item.label, []).append(place)
    rounds = max(len(places) for places in by_class.values())
    order = [places[k] for k in range(rounds) for places in by_class.values() if k < len(places)]
    return [items[place] for place in sorted(order[:count])]


def noisy_clips(items: Sequence[Item], scenario: str, noise: Path | None) -> list[Clip]:
    """Return the sounds of a scenario of Pak and Teryokhina: clean, or with one noise.

    Parameters
    ----------
    scenario : str
        ``clean``, ``white``, ``room`` or ``horse``.
    noise : Path or None
        The noise's file; every sound gets the same five seconds of it.
    """
    if noise is not None and not noise.is_file():
        raise AudioError(f"{noise}: no such file of noise")
    return [Clip(item.path.name, scenario, None, partial(_noisy, item, noise)) for item in items]


def _noisy(item: Item, noise: Path | None, rate: int) -> Material:
    sound = fixed_length(item.path, rate)
    if noise is not None:
        ours, theirs = SHARES
        sound = ours * _over_rms(sound, item.path) + theirs * _over_rms(
            fixed_length(noise, rate), noise
        )
    peak = float(np.abs(sound).max())
    if not peak > 0:
        raise AudioError(f"{item.path.name} is silent")
    return Material((sound / peak).astype(np.float32))


def _over_rms(sound: FloatArray, path: Path) -> FloatArray:
    """Return a sound over its root mean square, padding included."""
    level = float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))
    if not level > 0:
        raise AudioError(f"{path.name} is silent")
    return sound / np.float32(level)


def fixed_length(path: Path, rate: int) -> FloatArray:
    """Return the first five seconds of a file, padded with silence."""
    samples = round(SECONDS * rate)
    found = read_audio(path, rate=rate, end=SECONDS + _MARGIN).samples[:samples]
    return np.pad(found, (0, samples - len(found)))


def weights_of(kind: str, level: str) -> tuple[float, float]:
    """Return the weights of sound and contamination after division by their norms.

    Parameters
    ----------
    kind : str
        One of ``CODED``.
    level : {"coded", "printed"}
        As the code has it, or at the paper's level where it prints one.
    """
    if level == "printed" and kind in PRINTED_DB:
        return 1.0, 10 ** (-PRINTED_DB[kind] / 20)
    return CODED[kind]


def contaminated_clips(
    items: Sequence[Item],
    kind: str,
    level: str,
    others: Sequence[Path],
    seed: int = 0,
) -> list[Clip]:
    """Return the sounds of one of L-MAC's tables, each with a random contamination.

    Parameters
    ----------
    others : sequence of Path
        Sounds to contaminate with; another than the sound itself is drawn, as published of any
        class. Of longer ones the first five seconds are used, of speech a random part. Ignored for
        ``white``, which is drawn.
    """
    rng = np.random.default_rng(seed)
    weights, clips = weights_of(kind, level), []
    for number, item in enumerate(items):
        other: Path | None = None
        if kind != "white":
            choice = [path for path in others if path != item.path]
            if not choice:
                raise AudioError(f"no sounds to contaminate {item.path.name} with")
            other = choice[int(rng.integers(len(choice)))]
        own = seed * 1_000_003 + number
        name = f"{item.path.name}+{'white' if other is None else other.name}"
        make = partial(_contaminated, item, other, weights, own, kind == "speech")
        clips.append(Clip(f"{number}:{name}", kind, None, make))
    return clips


def _contaminated(
    item: Item,
    other: Path | None,
    weights: tuple[float, float],
    seed: int,
    anywhere: bool,
    rate: int,
) -> Material:
    sound, rng = fixed_length(item.path, rate).astype(np.float64), np.random.default_rng(seed)
    if other is None:
        rest = rng.standard_normal(len(sound))
    elif anywhere:
        whole = read_audio(other, rate=rate).samples.astype(np.float64)
        start = int(rng.integers(max(len(whole) - len(sound), 0) + 1))
        rest = np.pad(whole[start : start + len(sound)], (0, max(len(sound) - len(whole), 0)))
    else:
        rest = fixed_length(other, rate).astype(np.float64)
    norms = [float(np.linalg.norm(one)) for one in (sound, rest)]
    if not min(norms) > 0:
        raise AudioError(f"{item.path.name} or its contamination is silent")
    source = weights[0] * sound / norms[0]
    mixed = source + weights[1] * rest / norms[1]
    peak = float(np.abs(mixed).max())
    return Material((mixed / peak).astype(np.float32), (source / peak).astype(np.float32))
