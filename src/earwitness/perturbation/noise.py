"""Noise that stays legal on magnitudes.

Complex Gaussian noise is added to the complex plane, or stands alone; a magnitude is never negative
then, as it would be with Gaussian noise on the magnitude itself. Levels are relative to the root
mean square of the input's magnitude.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from earwitness.probe import Probe

_REUSED = 8  # samples of one draw


def noisy_magnitudes(probe: Probe, samples: int, level: float) -> Iterator[Tensor]:
    """Yield the input's magnitude with noise in every cell, shape (freq, frame).

    Every draw is followed by its opposite: what is odd in the noise cancels in the mean, and
    drawing, dearer than a small network, is done half as often.
    """
    for real, imaginary in _draws(probe, (samples + 1) // 2, level):
        yield torch.hypot(probe.magnitude + real, imaginary)
        yield torch.hypot(probe.magnitude - real, imaginary)


def noise_floors(probe: Probe, samples: int, level: float) -> Iterator[Tensor]:
    """Yield magnitudes of fresh noise alone, shape (freq, frame)."""
    for real, imaginary in _draws(probe, samples, level):
        yield torch.hypot(real, imaginary)


def _draws(probe: Probe, samples: int, level: float) -> Iterator[Tensor]:
    """Yield two independent planes of noise for each sample, (2, freq, frame).

    One draw serves several samples, rolled round both axes by a random amount each time: every cell
    gets another value every time, which is all that a mean over samples asks for.
    """
    scale = level * probe.magnitude.square().mean().sqrt()
    draw = torch.empty(0)
    for number in range(samples):
        if number % _REUSED == 0:
            draw = scale * torch.randn(2, *probe.shape, generator=probe.generator).to(probe.device)
        places = torch.rand(2, generator=probe.generator).tolist()
        shifts = [int(place * size) for place, size in zip(places, probe.shape, strict=True)]
        yield draw.roll(shifts, dims=(1, 2)) if number % _REUSED else draw
