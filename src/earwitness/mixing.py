"""Mixtures of pieces: linear operations between gains and model are computed once per piece.

Pieces are given by a function from switches (batch, piece) to gains (batch, freq, frame), linear in
the switches. A mixer is a function from switches to the model's input: bands (batch, band, frame)
or waveforms (batch, samples).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from earwitness.models.frontend import LinearFrontEnd
from earwitness.plane.stft import Plane

Mixer = Callable[[Tensor], Tensor]

_ROUNDING = 1e-6  # gain; a smaller deviation of the gains' sum from one is rounding
_SAME_PHASE = 1e-5  # rad; float32 rounds to a hundredth of it
_AT_ONCE = 8  # pieces whose gains are in memory together
_BLOCK = 4096  # samples per block; pieces outside a block cost nothing in it


def one_by_one(count: int, device: torch.device) -> Iterator[Tensor]:
    """Yield one-hot switches (batch, piece) of all pieces, a few pieces at a time."""
    yield from torch.eye(count, dtype=torch.float32, device=device).split(_AT_ONCE)


def same_phase(one: Tensor, other: Tensor) -> bool:
    """Whether two STFTs have the same phase, to rounding, wherever neither is zero."""
    turned = one * other.conj()
    size = turned.abs()
    return bool(((turned - size).abs() <= _SAME_PHASE * size).all())


def band_mixer(
    frontend: LinearFrontEnd,
    gains: Mixer,
    count: int,
    magnitude: Tensor,
    floor: Tensor | None = None,
) -> Mixer:
    """Return a mixer of the bands of pieces.

    If the mean gain exceeds 0.5 and there is a floor, the removed pieces are subtracted from the
    input, so all pieces on give exactly the input.

    Parameters
    ----------
    gains : callable
        From switches (batch, piece) to gains (batch, freq, frame).
    count : int
        Number of pieces.
    magnitude : Tensor, shape (freq, frame)
        Linear magnitude of the input.
    floor : Tensor, shape (freq, frame), optional
        Magnitude of the background, which has the input's phase; silence by default.
    """
    shape = frontend.linear(magnitude.unsqueeze(0)).shape[1:]
    change = magnitude if floor is None else magnitude - floor
    bands = magnitude.new_zeros(count, *shape)
    left = torch.ones_like(magnitude)
    areas = magnitude.new_zeros(count)
    own = (piece for some in one_by_one(count, magnitude.device) for piece in gains(some))
    for number, (found, piece) in enumerate(zip(bands, own, strict=True)):
        first, last = _span(piece.amax(dim=0) > 0)
        if last >= first:
            inside = slice(first, last + 1)
            part = piece[:, inside]
            left[:, inside] -= part
            areas[number] = part.sum() / piece.numel()
            found[..., inside] = frontend.linear((part * change[:, inside]).unsqueeze(0))[0]
    flat = bands.flatten(1)
    if floor is None:
        return lambda switches: (switches @ flat).unflatten(1, shape)
    off, whole = (
        frontend.linear(one.unsqueeze(0)).flatten()
        for one in (floor, magnitude - _outside(left) * change)
    )
    # rounding must not make a band negative, of which a front end takes the logarithm
    least = 0.0 if min(float(off.min()), float(whole.min())) >= 0 else -torch.inf

    def mix(switches: Tensor) -> Tensor:
        mostly = (switches @ areas > 0.5)[:, None]
        mixed = torch.where(mostly, whole, off) + (switches - mostly.float()) @ flat
        return mixed.clamp(min=least).unflatten(1, shape)

    return mix


def _outside(left: Tensor) -> Tensor:
    """Return the gain that is in no piece, without rounding errors."""
    return torch.where(left.abs() > _ROUNDING, left, 0.0)


def sound_mixer(
    plane: Plane,
    wave: Tensor,
    spectrum: Tensor,
    background: Tensor | None,
    gains: Mixer,
    count: int,
) -> Mixer:
    """Return a mixer of the waveforms of pieces, with a background for pieces that are off.

    If the mean gain exceeds 0.5, the removed pieces are subtracted from the input, so all pieces on
    give exactly the input.

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
        together = wave.new_zeros(1, count).index_fill(1, group, 1.0)
        sound = plane.synthesise(gains(together) * change, samples)[0]
        for piece in group.tolist():
            first, last = spans[piece]
            reach = plane.n_fft // 2
            blocks.add(piece, sound, first * plane.hop - reach, last * plane.hop + reach + 1)
    off = plane.synthesise(other.unsqueeze(0), samples)[0]
    whole = wave
    if float(left.abs().max()) > _ROUNDING:  # cells in no piece are never on
        whole = wave - plane.synthesise((left * change).unsqueeze(0), samples)[0]

    def mix(switches: Tensor) -> Tensor:
        mostly = (switches @ area > 0.5)[:, None]
        base = torch.where(mostly, whole, off)
        return blocks.added(base, switches - mostly.float())

    return mix


def _span(active: Tensor) -> tuple[int, int]:
    """Return the first and the last active frame of a piece, or (0, -1) for an empty one."""
    frames = active.nonzero()
    return (int(frames[0]), int(frames[-1])) if len(frames) else (0, -1)


def _groups(spans: list[tuple[int, int]], plane: Plane) -> list[Tensor]:
    """Group pieces that do not overlap in time, so that one inverse STFT serves the group."""
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
    """Waveforms of pieces in blocks of time, each block with the pieces active in it."""

    def __init__(self, samples: int, like: Tensor) -> None:
        self.edges = [*range(0, samples, _BLOCK), samples]
        self.pieces: list[list[int]] = [[] for _ in self.edges[1:]]
        self.sounds: list[list[Tensor]] = [[] for _ in self.edges[1:]]
        self.device = like.device
        self._packed: list[tuple[Tensor, Tensor]] | None = None

    def add(self, piece: int, sound: Tensor, start: int, end: int) -> None:
        """Store the samples from start to end of a waveform (samples,) for a piece."""
        start, end = max(start, 0), min(end, self.edges[-1])
        for k in range(start // _BLOCK, min(-(-end // _BLOCK), len(self.pieces))):
            low, high = self.edges[k], self.edges[k + 1]
            segment = sound[low:high].clone()
            segment[: max(0, start - low)] = 0
            segment[max(0, end - low) :] = 0
            self.pieces[k].append(piece)
            self.sounds[k].append(segment)

    def added(self, base: Tensor, switches: Tensor) -> Tensor:
        """Return waveforms (batch, samples): the base plus the weighted pieces."""
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
            segment = total[:, self.edges[k] : self.edges[k + 1]]
            segment += switches[:, numbers] @ sounds
        return total
