"""The model's outputs for many masks of one sound, computed once for everything that needs them.

Evidence and remainder of all masks go through the model in stacked batches, equal masks only once,
by up to two routes: ``spectrogram`` is the model on the masked spectrogram by the shortest route,
``audio`` the whole model on the resynthesised sound, the very float32 samples that a saved file
holds. A model on waveforms has no shorter route than the sound, so both are one pass there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from earwitness.models.prepare import Checked, outputs_agree, prepared
from earwitness.plane.domains import mask_magnitude
from earwitness.probe import Probe, chunks
from earwitness.types import FloatArray

Route = Literal["spectrogram", "audio"]
Routes = tuple[Route, ...]
BOTH: Routes = ("spectrogram", "audio")
Memo = dict[tuple[Routes, bytes], tuple[Tensor, ...]]
_WORTH_CHECKING = 5  # inputs, from which on a faster copy of the network saves more than it costs


@dataclass(frozen=True)
class Sides:
    """The model's outputs for what masks keep and for what they remove, each (mask, output)."""

    evidence: Tensor
    remainder: Tensor

    def of(self, masks: slice) -> Sides:
        """Return those of some of the masks."""
        return Sides(self.evidence[masks], self.remainder[masks])


@dataclass(frozen=True)
class Passes:
    """Outputs for some masks, on the CPU.

    Attributes
    ----------
    spectrogram, audio : Sides
        By each route; empty for a route that was not asked for.
    sounds : Tensor or None, shape (mask, time)
        The evidence as sound, if it was asked for.
    """

    spectrogram: Sides
    audio: Sides
    sounds: Tensor | None

    def of(self, masks: slice) -> Passes:
        """Return those of some of the masks."""
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
) -> Passes:
    """Evaluate a model on what masks keep and on what they remove.

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
        Outputs so far, to share between calls about one sound that differ in their masks alone:
        masks in it are not evaluated again, and new ones are added.
    """
    memo = {} if memo is None else memo
    order: list[bytes] = []
    waiting: list[bytes] = []

    def new() -> Iterable[Tensor]:
        for one in gains:
            one = np.ascontiguousarray(one, np.float32)
            order.append(blake2b(one.data, digest_size=16).digest())
            if (routes, order[-1]) not in memo and order[-1] not in waiting:
                waiting.append(order[-1])
                yield torch.from_numpy(one).to(probe.device)

    forward = _forward(probe)
    with torch.no_grad():
        inputs = 2 * (1 if probe.model.frontend is None else len(routes))  # of each mask
        for some in chunks(new(), max(1, probe.chunk // inputs)):
            columns = _evaluate(probe, forward, torch.stack(some), domain, routes, sounds)
            done, waiting = waiting[: len(some)], waiting[len(some) :]
            memo.update(
                ((routes, name), tuple(row)) for name, *row in zip(done, *columns, strict=True)
            )
    known = [memo[routes, name] for name in order]
    columns = [torch.stack(column) for column in zip(*known, strict=True)]
    return Passes(Sides(*columns[:2]), Sides(*columns[2:4]), columns[4] if sounds else None)


def _forward(probe: Probe) -> Callable[[Tensor], Tensor]:
    """Return the model from magnitudes where it has a front end on the plane, else from waves."""
    model, copy = probe.model, prepared(probe.model)
    if model.frontend is None:
        return Checked(model, copy, outputs_agree, _WORTH_CHECKING)
    faster = None if copy is None else copy.from_magnitude
    return Checked(model.from_magnitude, faster, outputs_agree, _WORTH_CHECKING)


def _evaluate(
    probe: Probe,
    forward: Callable[[Tensor], Tensor],
    gains: Tensor,
    domain: str,
    routes: Routes,
    sounds: bool,
) -> list[Tensor]:
    """Return outputs by both routes for evidence and remainder, and the evidence's sound."""
    model, count = probe.model, len(gains)
    both = torch.cat([gains, 1 - gains])
    masked = mask_magnitude(both, probe.magnitude, domain, scale=model.plane.n_fft / 2)
    waves, spectra = _resynthesised(probe, both, masked, domain)
    if model.frontend is None:
        outputs = forward(waves)
        found = [outputs, outputs]
    else:
        inputs = {"spectrogram": masked, "audio": spectra.abs()}
        outputs = forward(torch.cat([inputs[route] for route in routes]))
        parts = dict(zip(routes, outputs.split(2 * count), strict=True))
        found = [parts.get(route, outputs.new_empty(2 * count, 0)) for route in BOTH]
    probe.tick(len(outputs))
    columns = [part.cpu() for one in found for part in one.split(count)]
    return [*columns, waves[:count].cpu() if sounds else waves[:count, :0].cpu()]


def _resynthesised(
    probe: Probe, both: Tensor, masked: Tensor, domain: str
) -> tuple[Tensor, Tensor]:
    """Return sounds (2 batch, time) of evidence and remainder, and the transforms of these sounds.

    On linear magnitudes the remainder is what the evidence leaves of the input, as sound and as
    transform, which saves half of the transforms.
    """
    plane, samples = probe.model.plane, probe.samples
    if domain == "linear":
        kept = plane.synthesise(both[: len(both) // 2] * probe.spectrum, samples).float()
        transform = plane.analyse(kept)
        waves = torch.cat([kept, probe.wave - kept])
        return waves, torch.cat([transform, probe.spectrum - transform])
    spectra = torch.polar(masked, probe.spectrum.angle().expand_as(masked))
    waves = plane.synthesise(spectra, samples).float()
    return waves, plane.analyse(waves)
