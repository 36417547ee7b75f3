"""What the model answers for many masks of one sound, asked once for all metrics.

Evidence and remainder of all masks go through the model in stacked batches, equal masks only once,
by both routes: ``spectrogram`` is the model on the masked spectrogram by the shortest route,
``audio`` the whole model on the resynthesised sound, the very float32 samples that a saved file
holds. A model on waveforms has no shorter route than the sound, so both are one pass there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from earwitness.plane.domains import mask_magnitude
from earwitness.probe import Probe, chunks
from earwitness.types import FloatArray

Memo = dict[bytes, tuple[Tensor, ...]]


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
    """All answers about some masks, on the CPU.

    Attributes
    ----------
    spectrogram, audio : Sides
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
    sounds: bool = False,
    memo: Memo | None = None,
) -> Passes:
    """Ask a model about masks.

    Parameters
    ----------
    gains : iterable of ndarray, shape (freq, frame)
        The masks, in [0, 1].
    domain : {"linear", "log1p", "dB"}
        Where gains multiply (``mask_magnitude``), on a transform that is not divided by the sum of
        its window.
    sounds : bool
        Whether to keep the sound of every mask's evidence.
    memo : dict, optional
        What was answered so far, to share between calls about one sound that differ in their masks
        alone: masks in it are not asked about again, and new ones are added.
    """
    memo = {} if memo is None else memo
    order: list[bytes] = []
    waiting: list[bytes] = []

    def new() -> Iterable[Tensor]:
        for one in gains:
            one = np.ascontiguousarray(one, np.float32)
            order.append(blake2b(one.data).digest())
            if order[-1] not in memo and order[-1] not in waiting:
                waiting.append(order[-1])
                yield torch.from_numpy(one).to(probe.device)

    with torch.no_grad():
        for some in chunks(new(), max(1, probe.chunk // 2)):
            spectrogram, audio, waves = _evaluate(probe, torch.stack(some), domain, sounds)
            asked, waiting = waiting[: len(some)], waiting[len(some) :]
            kept = waves if sounds else [waves] * len(some)
            for name, *answers in zip(asked, *spectrogram, *audio, kept, strict=True):
                memo[name] = tuple(answers)
    columns = [torch.stack(column) for column in zip(*(memo[name] for name in order), strict=True)]
    return Passes(Sides(*columns[:2]), Sides(*columns[2:4]), columns[4] if sounds else None)


def _evaluate(
    probe: Probe, gains: Tensor, domain: str, sounds: bool
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
    """Return outputs on the plane, as heard, and the evidence's sound, of one batch of masks."""
    model, count = probe.model, len(gains)
    both = torch.cat([gains, 1 - gains])
    masked = mask_magnitude(both, probe.magnitude, domain, scale=model.plane.n_fft / 2)
    if domain == "linear":
        spectra = both * probe.spectrum
    else:
        spectra = torch.polar(masked, probe.spectrum.angle().expand_as(masked))
    waves = model.plane.synthesise(spectra, probe.samples).float()
    audio = model(waves)
    spectrogram = audio if model.frontend is None else model.from_magnitude(masked)
    probe.tick(len(both) * (1 if spectrogram is audio else 2))
    audio, spectrogram = audio.cpu(), spectrogram.cpu()
    kept = waves[:count].cpu() if sounds else waves[:0]
    return spectrogram.split(count), audio.split(count), kept
