"""Explanations of long sounds of which few windows decide.

With ``pool="max"`` or ``"topk"`` a model's output for a long sound is that of the windows where it
is largest. Only these windows are explained, with the sound around them that their spectrogram
reaches, and the result is put in their place on the time axis of the whole sound. Everywhere else
the attribution and the gains are 0, so the remainder is the whole input without the evidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earwitness.evaluation.notes import length_notes
from earwitness.explanation import EVERYTHING_ELSE, Explanation
from earwitness.models.calling.windowed import reading
from earwitness.models.model import Model
from earwitness.models.target import reported_score
from earwitness.scores import Control, Curve, SizeScores, TrustCard
from earwitness.subject import Subject
from earwitness.types import Attribution, Audio, FloatArray, Mask, Piece, Target

_MARGIN = 2  # windows of the plane around a model's window, which its frames reach
_OUTSIDE = "outside the windows that decided"


def few_decide(subject: Subject) -> bool:
    """Return whether only some of the windows in which a sound is read decide its score.

    One that is compared with another recording is explained whole: their transforms share an axis.
    """
    lengths = subject.model.lengths
    if lengths.deciding is None or lengths.at is not None or subject.model.per_frame:
        return False
    if subject.reference is not None:
        return False
    return len(subject.model.windows(len(subject.audio.samples))) > lengths.deciding


def explain_deciding(
    subject: Subject, target: Target, explain: Callable[[Subject], Explanation]
) -> Explanation:
    """Explain the windows that decide a target, and place the result in the whole sound.

    Parameters
    ----------
    subject : Subject
        Of a sound of which few windows decide.
    explain : callable
        Explains the target for another subject.
    """
    cut = _cut(subject, target)
    found = explain(cut.part)
    lengths = length_notes(cut.part.model, len(cut.part.wave))  # of what nobody listens to
    magnitude = subject.magnitude
    mask = _whole_mask(cut, found, magnitude)
    evidence = cut.sound(found.evidence.samples)
    times = subject.model.plane.times(magnitude.shape[1]).numpy()
    attribution = replace(
        found.attribution, values=cut.placed(found.attribution.values), times=times
    )
    components = found.components
    if components is not None:
        components = replace(components, activations=cut.placed(components.activations))
    pieces, sounds, piece_map = _pieces(cut, found, subject.audio)
    rate = subject.audio.rate
    return replace(
        found,
        input=subject.audio,
        evidence=Audio(evidence, rate, "evidence"),
        remainder=Audio(subject.audio.samples - evidence, rate, "remainder"),
        magnitude=magnitude,
        attribution=_with_windows(attribution, cut, rate),
        mask=mask,
        trust=_resized(found, mask),
        curve=_resized_curve(found.curve, cut),
        notes=(_said(subject, target, cut), *(one for one in found.notes if one not in lengths)),
        pieces=pieces,
        piece_sounds=sounds,
        piece_map=piece_map,
        components=components,
        course=subject.course(target),
        published=None
        if found.published is None
        else Audio(cut.sound(found.published.samples), rate, "published"),
        provenance={**found.provenance, "samples": len(subject.audio.samples)},
    )


def _whole_mask(cut: _Cut, found: Explanation, magnitude: FloatArray) -> Mask:
    """Return the mask on the time axis of the sound, with its sizes as shares of that."""
    own = found.mask
    kept = own.energy * float(np.square(found.magnitude).sum(dtype=np.float64))
    whole = float(np.square(magnitude).sum(dtype=np.float64))
    return replace(
        own,
        gains=cut.placed(own.gains),
        area=own.area * own.gains.shape[1] / cut.frames,
        energy=kept / whole if whole > 0 else 0.0,
    )


def _resized(found: Explanation, mask: Mask) -> TrustCard | None:
    """Return the card with sizes of masks as shares of the whole sound."""
    card = found.trust
    if card is None:
        return None
    area, energy = (
        whole / part if part else 0.0
        for whole, part in ((mask.area, found.mask.area), (mask.energy, found.mask.energy))
    )

    def effective(one: TrustCard | Control) -> float | None:
        return None if one.effective_area is None else one.effective_area * area

    controls = {
        name: replace(
            one, area=one.area * area, energy=one.energy * energy, effective_area=effective(one)
        )
        for name, one in card.controls.items()
    }
    return replace(card, controls=controls, effective_area=effective(card))


def _resized_curve(curve: Curve | None, cut: _Cut) -> Curve | None:
    """Return the curve with areas as shares of the whole sound."""
    if curve is None:
        return None
    share = len(cut.part.reach) / cut.frames if cut.part.reach is not None else 1.0

    def resized(scores: SizeScores) -> SizeScores:
        return replace(scores, area=tuple(one * share for one in scores.area))

    own = tuple(one * share for one in curve.area)
    return replace(curve, area=own, energy=resized(curve.energy), random=resized(curve.random))


@dataclass(frozen=True)
class _Stretch:
    """A part of the sound around windows that touch: in the sound, and in what is explained."""

    start: int  # samples, a multiple of the hop
    place: int  # samples, a multiple of the hop
    length: int  # samples


@dataclass(frozen=True)
class _Cut:
    """What is explained of a long sound.

    Attributes
    ----------
    part : Subject
        The stretches one after the other, with silence between them, and a model that reads the
        windows that decide.
    windows : tuple of (start, length)
        The windows in the sound, in samples.
    """

    part: Subject
    windows: tuple[tuple[int, int], ...]
    stretches: tuple[_Stretch, ...]
    samples: int
    frames: int

    def placed(self, values: NDArray[np.floating]) -> FloatArray:
        """Return values (row, frame) of the part on the time axis of the sound, 0 elsewhere."""
        whole = np.zeros((len(values), self.frames), np.float32)
        hop = self.part.model.plane.hop
        for one in self.stretches:
            first = one.start // hop
            count = min(math.ceil(one.length / hop), self.frames - first)
            place = one.place // hop
            whole[:, first : first + count] = values[:, place : place + count]
        return whole

    def sound(self, samples: FloatArray) -> FloatArray:
        """Return a sound (time,) of the part as long as the whole sound, silent elsewhere."""
        whole = np.zeros(self.samples, np.float32)
        for one in self.stretches:
            whole[one.start : one.start + one.length] = samples[one.place : one.place + one.length]
        return whole


def _cut(subject: Subject, target: Target) -> _Cut:
    model, samples = subject.model, subject.audio.samples
    plane = model.plane
    every = model.windows(len(samples))
    chosen = _deciding(subject, target)
    windows = tuple(every[k] for k in chosen)
    margin = _MARGIN * plane.n_fft
    bounds: list[list[int]] = []
    for start, length in windows:
        low = max(0, start - margin) // plane.hop * plane.hop
        high = min(len(samples), start + length + margin)
        if bounds and low <= bounds[-1][1] + plane.n_fft:
            bounds[-1][1] = max(high, bounds[-1][1])
        else:
            bounds.append([low, high])
    stretches: list[_Stretch] = []
    end = 0
    for low, high in bounds:
        place = -(-(end + plane.n_fft) // plane.hop) * plane.hop if stretches else 0
        stretches.append(_Stretch(low, place, high - low))
        end = place + high - low
    joined = np.zeros(end, np.float32)
    for one in stretches:
        joined[one.place : one.place + one.length] = samples[one.start : one.start + one.length]

    def there(start: int) -> int:
        around = next(one for one in stretches if one.start <= start < one.start + one.length)
        return start - around.start + around.place

    own = reading(model, [there(start) for start, _ in windows])
    part = Subject(own, replace(subject.audio, samples=joined), subject.seed)
    part.window_outputs = subject.window_outputs[chosen]
    part.reach = _reach(own, end)
    part.clock = _clock(stretches, model.rate)
    return _Cut(part, windows, tuple(stretches), len(samples), plane.frames(len(samples)))


def _deciding(subject: Subject, target: Target) -> list[int]:
    """Return which windows the target's output is pooled from, and that it is compared with."""
    count = subject.model.lengths.deciding
    assert count is not None
    indices = [target.index, *([] if target.versus_index is None else [target.versus_index])]
    largest = subject.window_outputs[:, indices].topk(count, dim=0).indices
    return sorted(set(largest.flatten().tolist()))


def _reach(model: Model, samples: int) -> Tensor:
    """Return which frames (frame,) of the part overlap a window that the model reads."""
    plane = model.plane
    centres = torch.arange(plane.frames(samples)) * plane.hop
    near = torch.zeros(len(centres), dtype=torch.bool)
    half = plane.n_fft // 2
    for start, length in model.windows(samples):
        near |= (centres > start - half) & (centres < start + length + half)
    return near


def _clock(stretches: list[_Stretch], rate: int) -> Callable[[float], float]:
    """Return the function from seconds of the part to seconds of the sound."""

    def second(of_part: float) -> float:
        sample = of_part * rate
        around = [one for one in stretches if one.place <= sample] or stretches[:1]
        inside = min(sample - around[-1].place, around[-1].length)
        return (around[-1].start + inside) / rate

    return second


def _pieces(
    cut: _Cut, found: Explanation, audio: Audio
) -> tuple[tuple[Piece, ...], tuple[Audio, ...], NDArray[np.uint16] | None]:
    """Return pieces, their sounds and their map for the whole sound; the rest of it is a piece."""
    if not found.pieces:
        return (), (), None
    pieces = found.pieces
    if found.components is None:
        pieces = (*pieces, Piece(_OUTSIDE, 0.0, 0.0, 0.0, _share_outside(cut, audio)))
    piece_map = found.piece_map
    if piece_map is not None:
        inside = cut.placed(np.ones(piece_map.shape, np.float32)) > 0
        placed = cut.placed(piece_map.astype(np.float32)).astype(np.uint16)
        piece_map = np.where(inside, placed, np.uint16(len(pieces) - 1))
    if not found.piece_sounds:
        return pieces, (), piece_map
    own = [one for one in found.piece_sounds if one.name != EVERYTHING_ELSE]
    waves = [cut.sound(one.samples) for one in own]
    rest = audio.samples - sum(waves, np.zeros_like(audio.samples))
    sounds = [replace(one, samples=wave) for one, wave in zip(own, waves, strict=True)]
    return pieces, (*sounds, Audio(rest, audio.rate, EVERYTHING_ELSE)), piece_map


def _share_outside(cut: _Cut, audio: Audio) -> float:
    """Return the share of the sound's energy outside of what is explained."""
    power = np.square(audio.samples, dtype=np.float64)
    inside = sum(power[one.start : one.start + one.length].sum() for one in cut.stretches)
    return float(1 - inside / power.sum()) if power.any() else 0.0


def _with_windows(attribution: Attribution, cut: _Cut, rate: int) -> Attribution:
    spans = [[start / rate, (start + length) / rate] for start, length in cut.windows]
    return replace(attribution, details={**attribution.details, "windows": spans})


def _said(subject: Subject, target: Target, cut: _Cut) -> str:
    """Return in a line what the pooled output is, and which windows are explained."""
    model, rate = subject.model, subject.audio.rate
    score = float(reported_score(model, subject.outputs[None], target)[0])
    spans = ", ".join(
        f"{start / rate:.2f}-{(start + length) / rate:.2f} s" for start, length in cut.windows
    )
    count = len(model.windows(len(subject.audio.samples)))
    return (
        f"{target} is {score:.3f}, pooled over {count} windows by {model.lengths.pool}; explained "
        f"and scored are the windows that decided: {spans}"
    )
