"""A sound to explain, at the model's rate, with what all its explanations share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from earwitness.audio import as_audio, past_the_end, read_audio, span
from earwitness.evaluation.curve import Controls, score_controls
from earwitness.evaluation.orders import Orders
from earwitness.models.adapters.spectral import SpectralModel
from earwitness.models.calling.frames import frame_sum, sums_frames
from earwitness.models.calling.windowed import pooled
from earwitness.models.declared import outputs_for
from earwitness.models.model import Model
from earwitness.models.target import reported_values
from earwitness.plane.stft import MOST_CELLS
from earwitness.probe import Probe
from earwitness.samples import MOST_SAMPLES
from earwitness.types import Audio, Course, FloatArray, Pool, Target

_DIGITS = 5  # significant, of a score over time
Clip = str | os.PathLike[str] | Audio | tuple[ArrayLike, int] | Mapping[str, Any]


def load_clip(
    clip: Clip, rate: int, *, start: float | None = None, end: float | None = None,
    longest: float | None = None,
) -> Audio:  # fmt: skip
    """Return a sound as a model takes it, of ``longest`` seconds at most (30 min at 16 kHz)."""
    longest = MOST_SAMPLES / rate if longest is None else longest
    if isinstance(clip, str | os.PathLike):
        return read_audio(clip, rate=rate, start=start, end=end, longest=longest)
    audio = as_audio(clip)
    first, last = span(audio.name, len(audio.samples), audio.rate, start, end)
    notes = (*audio.notes, *past_the_end(end, last, audio.rate))
    part = Audio(audio.samples[first:last], audio.rate, audio.name, notes)
    return as_audio(part, rate=rate, longest=longest)


@dataclass
class Subject:
    """A sound at the model's rate, with what all explanations of it share, computed once.

    Attributes
    ----------
    model : Model
    audio : Audio
    seed : int
        Of the random orders of controls.
    reference : Tensor, shape (freq, frame), complex, optional
        STFT of the recording that it is compared with, on its time axis.
    reach : Tensor, shape (frame,), bool, optional
        Frames that the model reads; the attribution of others is 0.
    clock : callable, optional
        From its seconds to those of the sound that it is a part of.
    """

    model: Model
    audio: Audio
    seed: int
    reference: Tensor | None = None
    reach: Tensor | None = None
    clock: Callable[[float], float] | None = None
    _controls: dict[Target, Controls] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def wave(self) -> Tensor:
        """Samples (time,) where the model is."""
        return torch.from_numpy(self.audio.samples).to(self.model.device)

    @cached_property
    def outputs(self) -> Tensor:
        """The model's outputs (output[, frame])."""
        windows = self.model.windows(len(self.wave))
        if len(windows) < 2 or self.model.per_frame:
            return outputs_for(self.model, self.wave, batches=True)
        outputs_for(self.model, self.wave[: windows[0][1]], batches=True)  # checks what it declares
        return self.model.lengths.pooled(self.window_outputs)

    @cached_property
    def window_outputs(self) -> Tensor:
        """The model's outputs (window, output[, frame]) for the windows that it reads."""
        model = self.model
        with torch.no_grad():
            if isinstance(model, SpectralModel):  # the transform of a long sound takes a while
                magnitude = torch.from_numpy(self.magnitude).to(model.device)
                return model.each_window_of(magnitude.unsqueeze(0))[:, 0]
            return model.each_window(self.wave.unsqueeze(0))[:, 0]

    @cached_property
    def magnitude(self) -> FloatArray:
        """The input on the plane (freq, frame)."""
        found: FloatArray = self.model.plane.analyse(self.wave[None])[0].abs().cpu().numpy()
        return found

    @cached_property
    def orders(self) -> Orders:
        """Orders of controls."""
        return Orders(self.magnitude, self.seed)

    def controls(self, probe: Probe) -> Controls:
        """Return the scores of controls at a dozen areas, computed once for each target.

        Parameters
        ----------
        probe : Probe
            Of this sound and model.
        """
        if probe.target not in self._controls:
            found = score_controls(probe, self.orders, self.outputs)
            self._controls[probe.target] = found
        return self._controls[probe.target]

    def course(self, target: Target) -> Course | None:
        """Return the score of a target over time; None for a model with one output for the sound.

        Frames divide the sound evenly, or lie where the network has them. Windows overlap, and lie
        where the model reads them.
        """
        model, seconds = self.model, self.audio.seconds
        if model.per_frame:
            values = reported_values(model, self.outputs.unsqueeze(0), target)[0]
            step = seconds / len(values)
            starts = [k * step for k in range(len(values))]
            ends = [*starts[1:], seconds]
        elif sums_frames(model):
            frames = frame_sum(model, self.wave)
            values = reported_values(model, frames.scores.T, target)
            starts = frames.starts.clamp(0, seconds).tolist()
            ends = frames.ends.clamp(0, seconds).tolist()
        else:
            windows = model.windows(len(self.audio.samples))
            if len(windows) < 2:
                return None
            values = reported_values(model, self.window_outputs, target)
            starts = [start / model.rate for start, _ in windows]
            ends = [min((start + length) / model.rate, seconds) for start, length in windows]
        return Course(
            tuple(round(one, 6) for one in starts),
            tuple(round(one, 6) for one in ends),
            tuple(float(f"{one:.{_DIGITS}g}") for one in values.tolist()),
        )


def open_subject(
    model: Model,
    clip: Clip,
    *,
    start: float | None = None,
    end: float | None = None,
    seed: int = 0,
    pool: Pool | None = None,
) -> Subject:
    """Read a sound to explain.

    Parameters
    ----------
    pool : {"mean", "max", "topk"} or None
        How windows of a long sound are pooled; the model's own way if None.

    Raises
    ------
    EarwitnessError
        If it cannot be read, or is too long to explain in one piece.
    """
    longest = most_samples(model) / model.rate
    audio = load_clip(clip, model.rate, start=start, end=end, longest=longest)
    return Subject(pooled(model, pool), audio, seed)


def most_samples(model: Model) -> int:
    """Return how many samples can be explained in one piece."""
    plane = model.plane
    return MOST_CELLS // plane.bins * plane.hop - plane.n_fft // 2
