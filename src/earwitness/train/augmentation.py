"""Data augmentation that keeps the label, or mixes it with another."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_ACTIVE_SHARE = 0.05  # of the loudest segment's energy (-13 dB)
_MASKS = 2  # per axis, as in SpecAugment
_LONGEST_TIME_MASK = 40  # frames
_WIDEST_BAND_MASK = 0.15  # share of the bands
_GAIN_DB = (-20.0, 10.0)  # dB, lowest and highest; the level is irrelevant to the label
_TIME_WARP = 0.2  # largest relative change of duration
_FREQ_WARP = 0.1  # largest relative change of the bands' width


def crop_active(waves: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """Shift each wave circularly by a random amount and return a random non-silent segment.

    Parameters
    ----------
    waves : Tensor, shape (batch, samples)
    length : int
        Samples to keep. A segment is silent below 5 % of the energy of the loudest segment.
    """
    samples = waves.shape[1]
    length = min(length, samples)
    segments = []
    for wave in waves:
        wave = wave.roll(int(torch.randint(samples, (1,), generator=generator)))
        step = max(1, length // 4)
        energies = wave.unfold(0, length, step).pow(2).sum(dim=1)
        active = (energies >= _ACTIVE_SHARE * energies.max()).nonzero().flatten()
        start = int(active[torch.randint(len(active), (1,), generator=generator)]) * step
        segments.append(wave[start : start + length])
    return torch.stack(segments)


def random_gain(waves: Tensor, generator: torch.Generator) -> Tensor:
    """Apply a random gain between -20 and 10 dB to each wave (batch, samples)."""
    low, high = _GAIN_DB
    decibels = low + (high - low) * torch.rand(len(waves), 1, generator=generator)
    return waves * 10 ** (decibels / 20)


def mix_between_classes(
    waves: Tensor, labels: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix each wave with another at a random level ratio, and the labels by the same ratio.

    Between-class learning (Tokozume, Ushiku, Harada 2018, eq. 2), with RMS as the level.

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


def warp(features: Tensor, generator: torch.Generator, silence: float = 0.0) -> Tensor:
    """Stretch a batch by up to 20 % in time and 10 % in frequency, keeping its shape.

    Parameters
    ----------
    features : Tensor, shape (batch, 1, mel, frame)
    silence : float
        What the features of silence are; it stands where a shorter one ends.
    """
    bands, frames = features.shape[2:]
    draws = 2 * torch.rand(2, generator=generator) - 1
    size = (
        round(bands * (1 + _FREQ_WARP * float(draws[0]))),
        round(frames * (1 + _TIME_WARP * float(draws[1]))),
    )
    stretched = functional.interpolate(features, size=size, mode="bilinear", align_corners=False)
    missing = (0, max(0, frames - size[1]), 0, max(0, bands - size[0]))
    return functional.pad(stretched[:, :, :bands, :frames], missing, value=silence)


def silence_stripes(features: Tensor, generator: torch.Generator, silence: float = 0.0) -> Tensor:
    """Set two random time spans and two bands of each item to silence (SpecAugment, Park 2019).

    Parameters
    ----------
    features : Tensor, shape (batch, 1, mel, frame)
    silence : float
        What the features of silence are, as in masked spectrograms.
    """
    features = features.clone()
    bands, frames = features.shape[2:]
    for item in features:
        for _ in range(_MASKS):
            at, size = torch.rand(2, 2, generator=generator)
            start = int(at[0] * frames)
            item[:, :, start : start + int(size[0] * _LONGEST_TIME_MASK)] = silence
            start = int(at[1] * bands)
            item[:, start : start + int(size[1] * bands * _WIDEST_BAND_MASK), :] = silence
    return features
