"""The registry of backgrounds, and the parser of a text such as ``noise-floor,mean``.

A background replaces what the probe removes while a method samples, and is the baseline of a method
that integrates along a path. Evidence, remainder and their scores are always computed without it.

``auto`` stands for silence, and for the mean with a regression: to a model of quality, silence is a
defect of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from earwitness.audio import read_audio
from earwitness.errors import UnknownNameError
from earwitness.probe import Probe
from earwitness.registry import Registry
from earwitness.types import Task

AUTO = "auto"


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


def named_background(text: str, task: Task) -> str:
    """Return the names of backgrounds with ``auto`` replaced by what it stands for."""
    own = "mean" if task == "regression" else "silence"
    parts = (part.strip() for part in text.split(","))
    return ",".join(own if part == AUTO else part for part in parts)


def background_of(probe: Probe, text: str = AUTO) -> Tensor | None:
    """Return the STFT of one background for the sound of a probe.

    Parameters
    ----------
    probe : Probe
    text : str
        ``silence``, ``noise-floor``, ``mean`` or another registered name, the path of a sound,
        which is repeated or cut to the length of the probe's, or ``auto``.

    Returns
    -------
    Tensor, shape (freq, frame), complex, or None for silence
    """
    (found,) = read_backgrounds(named_background(text, probe.model.task))
    return _plane(probe, found)


def with_backgrounds(probe: Probe, text: str) -> list[Probe]:
    """Return a probe for each background of a text: names or sound files, separated by commas."""
    names = named_background(text, probe.model.task)
    return [probe.with_background(_plane(probe, one)) for one in read_backgrounds(names)]


def read_backgrounds(text: str) -> list[Background | Path]:
    """Parse names and paths of backgrounds, separated by commas; ``auto`` reads as silence.

    Raises
    ------
    UnknownNameError
        If one is neither a registered background nor a file.
    """
    found: list[Background | Path] = []
    for name in named_background(text, "single-label").split(","):
        try:
            found.append(BACKGROUNDS.get(name))
        except UnknownNameError as error:
            if not Path(name).is_file():
                raise UnknownNameError(f"{error}, or the path of a sound file") from None
            found.append(Path(name))
    return found


def check_background(options: Mapping[str, Any]) -> None:
    """Raise for a background that is neither registered nor a file."""
    read_backgrounds(options["background"])


def _plane(probe: Probe, background: Background | Path) -> Tensor | None:
    """Return the background's STFT; a file is repeated or cut to the length of the sound."""
    if isinstance(background, Background):
        return background.function(probe)
    wave = torch.from_numpy(read_audio(background, rate=probe.model.rate).samples)
    times = -(-probe.samples // len(wave))
    fitted = wave.repeat(times)[: probe.samples].to(probe.device)
    return probe.model.plane.analyse(fitted.unsqueeze(0))[0]
