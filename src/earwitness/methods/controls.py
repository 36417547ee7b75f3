"""Controls: methods that do not evaluate the model. An explanation should score better."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge

from earwitness.methods.registry import register
from earwitness.probe import Probe
from earwitness.types import Map


@register(
    "random",
    summary="control: smooth noise, independent of the model and of the sound",
    limits="anything about the model",
    random=True,
    control=True,
    cost=0,
)
def random(probe: Probe, *, smoothness: Annotated[float, Ge(0)] = 8.0) -> Map:
    """Draw non-negative Gaussian noise, blurred over bins and frames.

    Parameters
    ----------
    smoothness : float
        Standard deviation of the Gaussian blur, in bins and frames; 0 for white noise.
    """
    noise = torch.randn(probe.shape, generator=probe.generator)
    spectrum = torch.fft.rfft2(noise)
    rows = torch.fft.fftfreq(probe.shape[0])[:, None]
    columns = torch.fft.rfftfreq(probe.shape[1])[None, :]
    blur = torch.exp(-2 * (torch.pi * smoothness) ** 2 * (rows**2 + columns**2))
    smooth = torch.fft.irfft2(spectrum * blur, s=probe.shape)
    return Map((smooth - smooth.min()).to(probe.device))


@register(
    "energy",
    summary="control: the energy of each cell, independent of the model",
    limits="anything about the model",
    control=True,
    cost=0,
)
def energy(probe: Probe) -> Map:
    """Return the energy of each cell, ``|X|^2``."""
    return Map(probe.magnitude**2)


@register(
    "all-ones",
    summary="control: equal attribution everywhere; its mask keeps the whole input",
    limits="anything about the model",
    control=True,
    cost=0,
)
def all_ones(probe: Probe) -> Map:
    """Return one for every cell."""
    return Map(torch.ones_like(probe.magnitude))


@register(
    "all-zeros",
    summary="control: no attribution anywhere; its mask keeps nothing",
    limits="anything about the model",
    control=True,
    cost=0,
)
def all_zeros(probe: Probe) -> Map:
    """Return zero for every cell."""
    return Map(torch.zeros_like(probe.magnitude))
