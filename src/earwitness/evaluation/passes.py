"""The model's outputs for many masks of one sound, computed once for everything that needs them.

Evidence and remainder of all masks go through the model in stacked batches by up to two routes:
``spectrogram`` is the model on the masked spectrogram by the shortest route, ``audio`` the whole
model on the resynthesised sound, on the float32 samples of the saved file. A model on waveforms has
one route only, so both scores are of the same forward pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from earwitness.errors import ModelError
from earwitness.plane.domains import mask_magnitude
from earwitness.plane.stft import modulus
from earwitness.probe import Probe
from earwitness.steps import chunks
from earwitness.types import FloatArray

Route = Literal["spectrogram", "audio"]
Routes = tuple[Route, ...]
BOTH: Routes = ("spectrogram", "audio")
Memo = dict[tuple[Routes, bytes], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Sides:
    """The model's outputs for evidence and remainder of masks, each (mask, output)."""

    evidence: Tensor
    remainder: Tensor

    def of(self, masks: slice) -> Sides:
        """Return the rows of some masks."""
        return Sides(self.evidence[masks], self.remainder[masks])


@dataclass(frozen=True)
class Passes:
    """Outputs for some masks, on the CPU.

    Attributes
    ----------
    spectrogram, audio : Sides
        Outputs by each route; empty for a route that was not requested.
    sounds : Tensor or None, shape (mask, time)
        The evidence as sound, if requested.
    """

    spectrogram: Sides
    audio: Sides
    sounds: Tensor | None

    def of(self, masks: slice) -> Passes:
        """Return the rows of some masks."""
        sounds = None if self.sounds is None else self.sounds[masks]
        return Passes(self.spectrogram.of(masks), self.audio.of(masks), sounds)


def evaluate(
    probe: Probe,
    gains: Iterable[FloatArray],
    *,
    domain: str = "linear",
    routes: Routes = BOTH,
    sounds: bool = False,
    memo: Memo | None = None,
    undefined: Tensor | None = None,
) -> Passes:
    """Evaluate a model on evidence and remainder of masks.

    Parameters
    ----------
    gains : iterable of ndarray, shape (freq, frame)
        The masks, in [0, 1].
    domain : {"linear", "log1p", "dB"}
        Where gains multiply (``mask_magnitude``), on a transform that is not divided by the sum of
        its window.
    routes : tuple of {"spectrogram", "audio"}
        How the model is evaluated; each costs two passes for each mask.
    sounds : bool
        Whether to keep the sound of every mask's evidence.
    memo : dict, optional
        Outputs of earlier calls that differ in their masks only; equal masks are evaluated once.
    undefined : Tensor, shape (output[, frame]), optional
        What stands for the outputs of a sound for which the model has none that are finite; without
        it, that is an error.
    """
    names: list[bytes] = []
    known: Memo = {} if memo is None else memo

    def new() -> Iterator[tuple[bytes, Tensor]]:
        seen = set()
        for number, one in enumerate(gains):
            one = np.ascontiguousarray(one, np.float32)
            name = str(number).encode() if memo is None else blake2b(one.data).digest()
            names.append(name)
            if (routes, name) not in known and name not in seen:
                seen.add(name)
                yield name, torch.from_numpy(one).to(probe.device)

    with torch.no_grad():
        for name, *row in _rows(probe, new(), domain, routes, sounds, undefined):
            known[routes, name] = tuple(row)
    columns = [
        torch.stack(column) for column in zip(*(known[routes, name] for name in names), strict=True)
    ]
    return Passes(Sides(*columns[:2]), Sides(*columns[2:4]), columns[4] if sounds else None)


def _rows(
    probe: Probe,
    masks: Iterable[tuple[bytes, Tensor]],
    domain: str,
    routes: Routes,
    sounds: bool,
    undefined: Tensor | None,
) -> Iterator[tuple[Any, ...]]:
    """Yield for every mask its name, outputs for evidence and remainder by both routes, and the
    evidence's sound.

    Transforms are computed mask by mask, so that they fit the processor's cache; the network is
    evaluated on batches. A model without a front end on the plane has one route only.
    """
    direct = probe.model.frontend is not None
    separate: Routes = routes if direct else ("audio",)
    for some in chunks(masks, max(1, probe.chunk // (2 * len(separate)))):
        inputs: list[Tensor] = []
        kept: list[Tensor] = []
        for _, gains in some:
            waves, magnitudes = _sides(probe, gains, domain, direct, routes)
            kept.append(waves[0].cpu() if sounds else waves[0, :0].cpu())
            inputs += [probe.input_of(one) for one in magnitudes] if direct else waves
        outputs = _outputs(probe, torch.stack(inputs), undefined).cpu()
        probe.tick(len(outputs))
        each = outputs.unflatten(0, (len(some), len(separate), 2))
        for (name, _), own, sound in zip(some, each, kept, strict=True):
            found = {route: own[k if direct else 0] for k, route in enumerate(routes)}
            nothing = own.new_empty(2, 0)
            yield (name, *(one for route in BOTH for one in found.get(route, nothing)), sound)


def _outputs(probe: Probe, inputs: Tensor, undefined: Tensor | None) -> Tensor:
    """Return the outputs for inputs (batch, ...), with ``undefined`` where there are none."""
    try:
        return probe.from_inputs(inputs)
    except ModelError:
        if undefined is None:
            raise
        if len(inputs) == 1:
            return undefined[None]
        return torch.cat([_outputs(probe, one, undefined) for one in inputs.split(1)])


def _sides(
    probe: Probe, gains: Tensor, domain: str, direct: bool, routes: Routes
) -> tuple[Tensor, list[Tensor]]:
    """Return evidence and remainder as sound (2, time), and their magnitudes by every route.

    On linear magnitudes the remainder is the input minus the evidence, as sound and as STFT, which
    saves half of the transforms.

    Parameters
    ----------
    direct : bool
        Whether to compute magnitudes.
    """
    plane, spectrum, samples = probe.model.plane, probe.spectrum, probe.samples
    magnitudes: list[Tensor] = []
    if domain == "linear":
        if direct and "spectrogram" in routes:
            kept = gains * probe.magnitude
            magnitudes += [kept, probe.magnitude - kept]
        evidence = plane.synthesise((gains * spectrum)[None], samples).float()
        waves = torch.cat([evidence, probe.wave - evidence])
        if direct and "audio" in routes:
            transform = plane.analyse(evidence)[0]
            magnitudes += [modulus(transform), modulus(spectrum - transform)]
        return waves, magnitudes
    both = torch.stack([gains, 1 - gains])
    masked = mask_magnitude(both, probe.magnitude, domain, scale=plane.n_fft / 2)
    waves = plane.synthesise(torch.polar(masked, spectrum.angle().expand_as(masked)), samples)
    waves = waves.float()
    if direct:
        by_route = {"spectrogram": masked, "audio": modulus(plane.analyse(waves))}
        magnitudes = [one for route in routes for one in by_route[route]]
    return waves, magnitudes
