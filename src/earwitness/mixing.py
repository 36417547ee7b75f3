"""Mixtures of pieces: what is linear on the way from gains to a model is done once per piece.

Pieces are given by a function from switches (batch, piece) to gains (batch, freq, frame), linear in
the switches. A mixer is a function from switches to what a model reads: bands (batch, band, frame)
or sounds (batch, samples).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from earwitness.models.frontend import LinearFrontEnd
from earwitness.plane.stft import Plane

Mixer = Callable[[Tensor], Tensor]

_ROUNDING = 1e-6
_AT_ONCE = 8  # pieces whose planes are in memory together
_BLOCK = 4096  # samples that are mixed from the same pieces


def one_by_one(count: int, device: torch.device) -> Iterator[Tensor]:
    """Yield switches (batch, piece) of each piece alone, a few pieces at a time."""
    yield from torch.eye(count, device=device).split(_AT_ONCE)


def band_mixer(frontend: LinearFrontEnd, gains: Mixer, count: int, magnitude: Tensor) -> Mixer:
    """Return what mixes the bands of pieces.

    Parameters
    ----------
    gains : callable
        From switches (batch, piece) to gains (batch, freq, frame).
    count : int
        Number of pieces.
    magnitude : Tensor, shape (freq, frame)
    """
    shape = frontend.linear(magnitude.unsqueeze(0)).shape[1:]
    bands = magnitude.new_zeros(count, *shape)
    own = (piece for some in one_by_one(count, magnitude.device) for piece in gains(some))
    for found, piece in zip(bands, own, strict=True):
        first, last = _span((piece > 0).any(dim=0))
        inside = slice(first, last + 1)
        if last >= first:
            part = (piece[:, inside] * magnitude[:, inside]).unsqueeze(0)
            found[..., inside] = frontend.linear(part)[0]
    flat = bands.flatten(1)
    return lambda switches: (switches @ flat).unflatten(1, shape)


def sound_mixer(
    plane: Plane,
    wave: Tensor,
    spectrum: Tensor,
    background: Tensor | None,
    gains: Mixer,
    count: int,
) -> Mixer:
    """Return what mixes the sounds of pieces, over a background.

    Where most is kept, what is removed is taken from the input, so that all pieces on are the input
    to the last digit.

    Parameters
    ----------
    wave : Tensor, shape (samples,)
    spectrum : Tensor, shape (freq, frame), complex
    background : Tensor, shape (freq, frame), complex, optional
    gains : callable
        From switches (batch, piece) to gains (batch, freq, frame).
    count : int
        Number of pieces.
    """
    samples = wave.shape[-1]
    other = torch.zeros_like(spectrum) if background is None else background
    change = spectrum - other
    left = torch.ones_like(spectrum.real)
    areas, spans = [], []
    for some in one_by_one(count, wave.device):
        own = gains(some)
        left -= own.sum(dim=0)
        areas.append(own.mean(dim=(1, 2)))
        spans += [_span(one) for one in (own > 0).any(dim=1)]
    area = torch.cat(areas)
    blocks = _Blocks(samples, wave)
    for group in _groups(spans, plane):
        together = torch.zeros(1, count, device=wave.device).index_fill(1, group, 1.0)
        sound = plane.synthesise(gains(together) * change, samples)[0]
        for piece in group.tolist():
            first, last = spans[piece]
            reach = plane.n_fft // 2
            blocks.add(piece, sound, first * plane.hop - reach, last * plane.hop + reach + 1)
    filled = plane.synthesise(other.unsqueeze(0), samples)[0]
    whole = wave
    if float(left.abs().max()) > _ROUNDING:  # what no piece holds is never switched on
        whole = wave - plane.synthesise((left * change).unsqueeze(0), samples)[0]

    def mix(switches: Tensor) -> Tensor:
        mostly = (switches @ area > 0.5)[:, None]
        base = torch.where(mostly, whole, filled)
        return blocks.added(base, switches - mostly.float())

    return mix


def _span(active: Tensor) -> tuple[int, int]:
    """Return the first and the last frame that a piece is in, and (0, -1) for an empty one."""
    frames = active.nonzero()
    return (int(frames[0]), int(frames[-1])) if len(frames) else (0, -1)


def _groups(spans: list[tuple[int, int]], plane: Plane) -> list[Tensor]:
    """Put pieces together whose sounds do not touch, so that one transform makes them all."""
    apart = plane.n_fft // plane.hop + 2
    groups: list[list[int]] = []
    ends: list[int] = []
    for piece in sorted(range(len(spans)), key=lambda k: spans[k]):
        first, last = spans[piece]
        if last < first:
            continue
        free = (k for k, end in enumerate(ends) if first - end >= apart)
        which = next(free, None)
        if which is None:
            groups.append([piece])
            ends.append(last)
        else:
            groups[which].append(piece)
            ends[which] = last
    return [torch.tensor(group) for group in groups]


class _Blocks:
    """Sounds of pieces, kept in blocks of time, each with the pieces that are heard in it."""

    def __init__(self, samples: int, like: Tensor) -> None:
        self.edges = [*range(0, samples, _BLOCK), samples]
        self.pieces: list[list[int]] = [[] for _ in self.edges[1:]]
        self.sounds: list[list[Tensor]] = [[] for _ in self.edges[1:]]
        self.device = like.device
        self._packed: list[tuple[Tensor, Tensor]] | None = None

    def add(self, piece: int, sound: Tensor, start: int, end: int) -> None:
        """Keep what lies between two samples of a sound (samples,) for a piece."""
        start, end = max(start, 0), min(end, self.edges[-1])
        for k in range(start // _BLOCK, min(-(-end // _BLOCK), len(self.pieces))):
            low, high = self.edges[k], self.edges[k + 1]
            part = sound[low:high].clone()
            part[: max(0, start - low)] = 0
            part[max(0, end - low) :] = 0
            self.pieces[k].append(piece)
            self.sounds[k].append(part)

    def added(self, base: Tensor, switches: Tensor) -> Tensor:
        """Return sounds (batch, samples) with the switched pieces added."""
        if self._packed is None:
            self._packed = [
                (torch.tensor(numbers, device=self.device), torch.stack(sounds))
                for numbers, sounds in zip(self.pieces, self.sounds, strict=True)
                if numbers
            ]
            self._places = [k for k, numbers in enumerate(self.pieces) if numbers]
            self.sounds.clear()
        total = base.clone()
        for k, (numbers, sounds) in zip(self._places, self._packed, strict=True):
            part = total[:, self.edges[k] : self.edges[k + 1]]
            part += switches[:, numbers] @ sounds
        return total
