"""The registry of backgrounds, and the parser of a text such as ``noise-floor,mean``.

A background replaces what the probe removes while a method samples. Evidence, remainder and their
scores are always computed without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from earwitness.audio import read_audio
from earwitness.errors import UnknownNameError
from earwitness.probe import Probe
from earwitness.registry import Registry


@dataclass(frozen=True)
class Background:
    """A registered background.

    ``function(probe)`` returns a complex STFT (freq, frame), or None for silence.
    """

    name: str
    summary: str
    function: Callable[[Probe], Tensor | None]


BACKGROUNDS: Registry[Background] = Registry(
    "background", "earwitness.perturbation.background", "earwitness.backgrounds"
)
Function = Callable[[Probe], Tensor | None]


def register(name: str, *, summary: str) -> Callable[[Function], Function]:
    """Return a decorator that registers ``function(probe)`` as a background."""

    def add(function: Function) -> Function:
        BACKGROUNDS.add(Background(name, summary, function))
        return function

    return add


def with_backgrounds(probe: Probe, text: str) -> list[Probe]:
    """Return a probe for each background of a text: names or sound files, separated by commas."""
    return [probe.with_background(_plane(probe, name)) for name in read_backgrounds(text)]


def read_backgrounds(text: str) -> list[Background | Path]:
    """Parse names and paths of backgrounds, separated by commas.

    Raises
    ------
    UnknownNameError
        If one is neither a registered background nor a file.
    """
    found: list[Background | Path] = []
    for name in (part.strip() for part in text.split(",")):
        try:
            found.append(BACKGROUNDS.get(name))
        except UnknownNameError as error:
            if not Path(name).is_file():
                raise UnknownNameError(f"{error}, or the path of a sound file") from None
            found.append(Path(name))
    return found


def _plane(probe: Probe, background: Background | Path) -> Tensor | None:
    """Return the background's STFT; a file is repeated or cut to the length of the sound."""
    if isinstance(background, Background):
        return background.function(probe)
    wave = torch.from_numpy(read_audio(background, rate=probe.model.rate).samples)
    times = -(-probe.samples // len(wave))
    fitted = wave.repeat(times)[: probe.samples].to(probe.device)
    return probe.model.plane.analyse(fitted.unsqueeze(0))[0]
