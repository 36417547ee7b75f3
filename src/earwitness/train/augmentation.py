"""Changes to training sounds that leave the label as it is, or mix it with another's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_ACTIVE_SHARE = 0.05
_MASKS = 2
_LONGEST_TIME_MASK = 40
_WIDEST_BAND_MASK = 0.15
_GAIN_DB = (-20.0, 10.0)
_TIME_WARP = 0.2
_FREQ_WARP = 0.1


def crop_active(waves: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """Roll each wave round by a random amount and cut out a random part that is not silent.

    Parameters
    ----------
    waves : Tensor, shape (batch, samples)
    length : int
        Samples to keep. A part counts as silent under 5 % of the energy of the loudest part.
    """
    samples = waves.shape[1]
    length = min(length, samples)
    parts = []
    for wave in waves:
        wave = wave.roll(int(torch.randint(samples, (1,), generator=generator)))
        step = max(1, length // 4)
        energies = wave.unfold(0, length, step).pow(2).sum(dim=1)
        active = (energies >= _ACTIVE_SHARE * energies.max()).nonzero().flatten()
        start = int(active[torch.randint(len(active), (1,), generator=generator)]) * step
        parts.append(wave[start : start + length])
    return torch.stack(parts)


def random_gain(waves: Tensor, generator: torch.Generator) -> Tensor:
    """Turn each wave up or down by a random number of dB."""
    low, high = _GAIN_DB
    decibels = low + (high - low) * torch.rand(len(waves), 1, generator=generator)
    return waves * 10 ** (decibels / 20)


def mix_between_classes(
    waves: Tensor, labels: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix each wave with another at a random loudness ratio, and the labels by the same ratio.

    Between-class learning (Tokozume, Ushiku, Harada 2018, eq. 2), with the level as RMS.

    Parameters
    ----------
    waves : Tensor, shape (batch, samples)
    labels : Tensor, shape (batch, class)
        Probabilities.
    """
    other = torch.randperm(len(waves), generator=generator)
    share = torch.rand(len(waves), 1, generator=generator).clamp(min=1e-3)
    level = waves.pow(2).mean(dim=1, keepdim=True).sqrt() + 1e-5
    weight = 1 / (1 + level / level[other] * (1 - share) / share)
    mixed = weight * waves + (1 - weight) * waves[other]
    mixed = mixed / (weight**2 + (1 - weight) ** 2).sqrt()
    return mixed, share * labels + (1 - share) * labels[other]


def warp(features: Tensor, generator: torch.Generator) -> Tensor:
    """Stretch a batch in time by up to 20 % and along the bands by up to 10 %, keeping its size.

    Parameters
    ----------
    features : Tensor, shape (batch, 1, mel, frame)
    """
    bands, frames = features.shape[2:]
    draws = 2 * torch.rand(2, generator=generator) - 1
    size = (
        round(bands * (1 + _FREQ_WARP * float(draws[0]))),
        round(frames * (1 + _TIME_WARP * float(draws[1]))),
    )
    stretched = functional.interpolate(features, size=size, mode="bilinear", align_corners=False)
    missing = (0, max(0, frames - size[1]), 0, max(0, bands - size[0]))
    return functional.pad(stretched[:, :, :bands, :frames], missing)


def silence_stripes(features: Tensor, generator: torch.Generator) -> Tensor:
    """Silence two random stretches of time and two bands of each item (SpecAugment, Park 2019).

    The fill is true silence, 0 on the log-mel scale, which is also what masks put there later.
    """
    features = features.clone()
    bands, frames = features.shape[2:]
    for item in features:
        for _ in range(_MASKS):
            at, size = torch.rand(2, 2, generator=generator)
            start = int(at[0] * frames)
            item[:, :, start : start + int(size[0] * _LONGEST_TIME_MASK)] = 0
            start = int(at[1] * bands)
            item[:, start : start + int(size[1] * bands * _WIDEST_BAND_MASK), :] = 0
    return features
