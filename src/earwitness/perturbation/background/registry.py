"""How a fill joins, and how a text such as ``noise-floor,mean`` is read.

A fill only stands in for what the probe removes while a method samples; it never gets into what is
heard or scored.
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
class Fill:
    """A fill and its facts; ``function(probe)`` returns a plane (freq, frame), None for silence."""

    name: str
    summary: str
    function: Callable[[Probe], Tensor | None]


FILLS: Registry[Fill] = Registry("fill", "earwitness.perturbation.background", "earwitness.fills")
Function = Callable[[Probe], Tensor | None]


def register(name: str, *, summary: str) -> Callable[[Function], Function]:
    """Register ``function(probe)`` under a name."""

    def add(function: Function) -> Function:
        FILLS.add(Fill(name, summary, function))
        return function

    return add


def filled(probe: Probe, text: str) -> list[Probe]:
    """Return a probe for each fill of a text: names or sound files, separated by commas."""
    return [probe.filled(_background(probe, name)) for name in read_fills(text)]


def read_fills(text: str) -> list[Fill | Path]:
    """Return what a text names.

    Raises
    ------
    UnknownNameError
        If one is neither a fill nor a file.
    """
    found: list[Fill | Path] = []
    for name in (part.strip() for part in text.split(",")):
        try:
            found.append(FILLS.get(name))
        except UnknownNameError as error:
            if not Path(name).is_file():
                raise UnknownNameError(f"{error}, or the path of a sound file") from None
            found.append(Path(name))
    return found


def _background(probe: Probe, fill: Fill | Path) -> Tensor | None:
    """Return a plane; a file is repeated or cut to the length of the sound."""
    if isinstance(fill, Fill):
        return fill.function(probe)
    wave = torch.from_numpy(read_audio(fill, rate=probe.model.rate).samples)
    times = -(-probe.samples // len(wave))
    fitted = wave.repeat(times)[: probe.samples].to(probe.device)
    return probe.model.plane.analyse(fitted.unsqueeze(0))[0]
