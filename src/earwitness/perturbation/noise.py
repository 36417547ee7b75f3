"""Noisy magnitudes and noise baselines.

Complex Gaussian noise is added to the complex STFT, or used alone, and the magnitude is taken
afterwards. So magnitudes stay non-negative, unlike with Gaussian noise added to the magnitude.
Levels are relative to the root mean square of the input's magnitude.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from earwitness.probe import Probe

_REUSED = 8  # samples per draw; random numbers cost more than a small network's forward pass


def noisy_magnitudes(probe: Probe, samples: int, level: float) -> Iterator[Tensor]:
    """Yield the input's magnitude with noise in every cell, shape (freq, frame).

    Draws come in antithetic pairs (noise and its negative): terms odd in the noise cancel in the
    mean, and only half as many random numbers are drawn, which costs more than a small network.
    """
    for real, imaginary in _draws(probe, (samples + 1) // 2, level):
        yield torch.hypot(probe.magnitude + real, imaginary)
        yield torch.hypot(probe.magnitude - real, imaginary)


def noise_floors(
    probe: Probe, samples: int, level: float, floors: Sequence[Tensor]
) -> Iterator[Tensor]:
    """Yield magnitudes of noise added to floors, shape (freq, frame), to each of them in turn."""
    for (real, imaginary), floor in zip(
        _draws(probe, samples, level), itertools.cycle(floors), strict=False
    ):
        yield torch.hypot(floor + real, imaginary)


def _draws(probe: Probe, samples: int, level: float) -> Iterator[Tensor]:
    """Yield two independent planes of noise for each sample, (2, freq, frame).

    One draw is reused for several samples, shifted circularly along both axes by random amounts:
    each cell gets a new value each time, which is sufficient for a mean over samples.
    """
    scale = level * probe.magnitude.square().mean().sqrt()
    draw = torch.empty(0)
    for number in range(samples):
        if number % _REUSED == 0:
            draw = scale * torch.randn(2, *probe.shape, generator=probe.generator).to(probe.device)
        places = torch.rand(2, generator=probe.generator).tolist()
        shifts = [int(place * size) for place, size in zip(places, probe.shape, strict=True)]
        yield draw.roll(shifts, dims=(1, 2)) if number % _REUSED else draw
