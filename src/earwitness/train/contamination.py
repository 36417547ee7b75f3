"""Mixtures of training sounds with other sounds or noise, at a given signal-to-noise ratio.

L-MAC is trained and tested on contaminated sounds, in which evidence and background overlap
(Paissan, Ravanelli, Subakan 2024, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from earwitness.audio import read_audio
from earwitness.clips import find_clips
from earwitness.errors import ParameterError
from earwitness.train.augmentation import crop_active

KINDS = ("mixture", "white", "pink")  # besides the path of a folder
_STRETCH = 16  # segment lengths; bounds the cost of a search in a long recording
_MOST_KEPT = 250_000_000  # samples in memory (1 GB as float32); others are read again each time


@dataclass(frozen=True)
class Contamination:
    """What is mixed with the sounds.

    Attributes
    ----------
    kinds : tuple of str
        ``mixture`` (another sound of the same collection), ``white`` or ``pink`` noise, or the path
        of a folder of sounds; each entry has equal probability.
    low, high : float
        Range of the signal-to-noise ratio in dB; it is uniform within.
    share : float in [0, 1]
        Probability that a sound is contaminated.
    """

    kinds: tuple[str, ...] = ("mixture", "mixture", "mixture", "white", "pink")
    low: float = 0.0
    high: float = 12.0
    share: float = 0.8

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS and not Path(kind).is_dir():
                raise ParameterError(
                    f"contamination is {', '.join(KINDS)} or a folder of sounds, got {kind!r}"
                )
        if not self.low <= self.high or not 0 <= self.share <= 1:
            raise ParameterError(
                f"contamination needs low <= high and a share in [0, 1], got {self.low:g} and "
                f"{self.high:g} dB and a share of {self.share:g}"
            )


class Sounds:
    """Sounds of files at one sampling rate, loaded on first use.

    Parameters
    ----------
    paths : sequence of Path
    rate : int
    """

    def __init__(self, paths: Sequence[Path], rate: int) -> None:
        self.paths, self.rate = list(paths), rate
        self._kept: dict[int, Tensor] = {}
        self._room = _MOST_KEPT

    def __len__(self) -> int:
        return len(self.paths)

    def whole(self, number: int) -> Tensor:
        """Return a whole sound (samples,)."""
        if number in self._kept:
            return self._kept[number]
        wave = torch.from_numpy(read_audio(self.paths[number], rate=self.rate).samples)
        if len(wave) <= self._room:
            self._kept[number] = wave
            self._room -= len(wave)
        return wave

    def part(self, number: int, length: int, generator: torch.Generator) -> Tensor:
        """Return a random non-silent segment (length,), zero-padded if the sound is shorter."""
        wave = self.whole(number)
        if len(wave) > _STRETCH * length:  # restrict a long recording to a random section
            spare = len(wave) - _STRETCH * length
            start = int(torch.randint(spare + 1, (1,), generator=generator))
            wave = wave[start : start + _STRETCH * length]
        found = crop_active(wave.unsqueeze(0), length, generator)[0]
        return torch.nn.functional.pad(found, (0, length - len(found)))


class Contaminator:
    """Mixes contaminations into sounds.

    Parameters
    ----------
    wanted : Contamination
    sounds : Sounds
        The collection for the kind ``mixture``.
    """

    def __init__(self, wanted: Contamination, sounds: Sounds) -> None:
        self.wanted, self.sounds = wanted, sounds
        folders = dict.fromkeys(kind for kind in wanted.kinds if kind not in KINDS)
        self._own = {kind: Sounds(find_clips([kind]), sounds.rate) for kind in folders}

    @property
    def paths(self) -> list[Path]:
        """The sounds of its folders."""
        return [path for own in self._own.values() for path in own.paths]

    def over(
        self, waves: Tensor, numbers: Sequence[int], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return contaminated sounds (batch, samples), and the clean sounds contained in them.

        Parameters
        ----------
        numbers : sequence of int
            Index in ``sounds`` of each wave; a sound is never mixed with itself.
        """
        pairs = [
            self._one(wave, number, generator)
            for wave, number in zip(waves, numbers, strict=True)
        ]  # fmt: skip
        mixed, clean = zip(*pairs, strict=True)
        return torch.stack(mixed), torch.stack(clean)

    def _one(self, wave: Tensor, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chance, place, level = torch.rand(3, generator=generator).tolist()
        wanted = self.wanted
        if chance >= wanted.share or not wanted.kinds:
            return wave, wave
        kind = wanted.kinds[int(place * len(wanted.kinds))]
        other = self._other(kind, number, len(wave), generator)
        return lay_over(wave, other, wanted.low + level * (wanted.high - wanted.low))

    def _other(self, kind: str, number: int, length: int, generator: torch.Generator) -> Tensor:
        if kind == "mixture":
            if len(self.sounds) < 2:
                return torch.zeros(length)
            step = int(torch.randint(1, len(self.sounds), (1,), generator=generator))
            return self.sounds.part((number + step) % len(self.sounds), length, generator)
        if kind in self._own:
            own = self._own[kind]
            which = int(torch.randint(len(own), (1,), generator=generator))
            return own.part(which, length, generator)
        noise = torch.randn(length, generator=generator)
        return noise if kind == "white" else pink(noise)


def lay_over(wave: Tensor, other: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Return the mixture of two sounds (samples,), and the first sound as contained in it.

    The first has ``level`` dB more power than the second. It keeps its level unless the sum would
    exceed [-1, 1]. If either is silent, the first is returned unchanged.
    """
    powers = [float(one.double().square().mean()) for one in (wave, other)]
    if not min(powers) > 0:
        return wave, wave
    mixed = wave + other * ((powers[0] / powers[1]) ** 0.5 * 10 ** (-level / 20))
    scale = 1 / max(1.0, float(mixed.abs().max()))
    return scale * mixed, scale * wave


def pink(noise: Tensor) -> Tensor:
    """Filter white noise (samples,) to pink noise, with equal power per octave."""
    spectrum = torch.fft.rfft(noise)
    number = torch.arange(len(spectrum)).clamp(min=1)
    return torch.fft.irfft(spectrum / number.sqrt(), n=len(noise))
