"""Where in a set of sounds each component is strongest, so that a listener can name it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from earwitness.models.model import Model
from earwitness.plane.stft import Plane
from earwitness.train.contamination import Sounds
from earwitness.types import Segment

WINDOW = 1.0  # s, length of a segment
_FILES = 3  # segments of a component, each of another file
_AT_ONCE = 30.0  # s; longer sounds are read in parts, so that memory is bounded
OnSound = Callable[[int], None]
Found = list[tuple[float, Segment]]


class HasActivations(Protocol):
    """A trained interpreter of any kind."""

    def activations(self, model: Model, magnitude: Tensor, wave: Tensor) -> Tensor:
        """Return activations (component, frame) of one sound."""


def strongest(
    model: Model, interpreter: HasActivations, sounds: Sounds, *, on_sound: OnSound | None = None
) -> tuple[tuple[Segment, ...], ...]:
    """Return the three sounds in which each component is strongest, and where in them.

    The strength at a time is the mean of the activation under a Hann window of one second around
    it. It costs one forward pass per sound, and one more for every 30 s beyond the first; a model
    that is evaluated on one window at a time is given a window at a time.

    Parameters
    ----------
    model : Model
        The model that the interpreter was trained for.
    interpreter : HasActivations
    sounds : Sounds
    on_sound : callable, optional
        Called with the number of finished sounds.

    Returns
    -------
    tuple of tuple of Segment
        For each component the segments, the strongest first, each of another file; fewer if it is
        active in fewer. Of equal ones, the first.
    """
    found: list[Found] = []
    names = names_of(sounds.paths)
    with model.undisturbed(), torch.no_grad():
        for number, name in enumerate(names, start=1):
            wave = sounds.whole(number - 1).to(model.device)
            for k, (strength, start, end) in enumerate(_peaks(model, interpreter, wave)):
                if k == len(found):
                    found.append([])
                segment = Segment(name, round(start, 3), round(end, 3))
                found[k] = sorted([*found[k], (strength, segment)], key=_weakness)[:_FILES]
            if on_sound:
                on_sound(number)
    return tuple(tuple(one for strength, one in some if strength > 0) for some in found)


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return paths of files relative to the folder that they have in common, ``dog/01.wav``.

    Files that have only the root in common are called by their bare names, so that no absolute path
    is kept.
    """
    whole = [Path(os.path.abspath(path)) for path in paths]
    drives = {path.anchor for path in whole}
    common = os.path.commonpath([path.parent for path in whole]) if len(drives) == 1 else ""
    if common in ("", *drives):
        return [path.name for path in whole]
    return [path.relative_to(common).as_posix() for path in whole]


def _weakness(pair: tuple[float, Segment]) -> float:
    return -pair[0]


def _peaks(
    model: Model, interpreter: HasActivations, wave: Tensor
) -> list[tuple[float, float, float]]:
    """Return strength, start and end in seconds of the strongest segment of each component.

    Silence has none.
    """
    plane, samples = model.plane, len(wave)
    wave = functional.pad(wave, (0, max(0, round(WINDOW * model.rate) - len(wave))))
    size = min(len(wave), round(_AT_ONCE * model.rate))
    if model.one_by_one:  # a layer is recorded in one call
        size = min(size, model.longest or size)
    best: list[tuple[float, float, float]] = []
    for begin in range(0, len(wave), size):
        begin = min(begin, len(wave) - size)
        part = wave[begin : begin + size]
        if not bool(part.any()):
            continue
        activations = interpreter.activations(model, plane.analyse(part[None])[0].abs(), part)
        here = strongest_segments(activations, plane, samples, begin)
        best = [max(two, key=_strength) for two in zip(best or here, here, strict=True)]
    return best


def strongest_segments(
    activations: Tensor, plane: Plane, samples: int, begin: int = 0
) -> list[tuple[float, float, float]]:
    """Return strength, start and end in seconds of the strongest segment of each component.

    Parameters
    ----------
    activations : Tensor, shape (component, frame)
        Of a part of a sound.
    samples, begin : int
        Length of the whole sound, and where the part begins in it.
    """
    strengths, frames = smoothed(activations, plane).max(dim=1)
    centres = (begin + frames * plane.hop) / plane.rate
    return [
        (strength, *_around(centre, samples / plane.rate))
        for strength, centre in zip(strengths.tolist(), centres.tolist(), strict=True)
    ]


def _strength(found: tuple[float, float, float]) -> float:
    return found[0]


def smoothed(activations: Tensor, plane: Plane) -> Tensor:
    """Return the mean (component, frame) under a Hann window of one second around each frame."""
    reach = round(WINDOW / 2 * plane.rate / plane.hop)
    window = torch.hann_window(2 * reach + 3, periodic=False, device=activations.device)[1:-1]
    found: Tensor = functional.conv1d(
        activations[:, None], (window / window.sum())[None, None], padding=reach
    )[:, 0]
    return found


def _around(centre: float, whole: float) -> tuple[float, float]:
    """Return start and end of the window around a time that lies within a sound."""
    start = min(max(0.0, centre - WINDOW / 2), max(0.0, whole - WINDOW))
    return start, min(whole, start + WINDOW)
