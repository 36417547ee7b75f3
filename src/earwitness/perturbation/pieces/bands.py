"""Frequency bands of equal width in Hz, on the mel scale or on the ERB-rate scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.edges import faded
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.plane.mel import mel_edges
from earwitness.probe import Probe

_LOBE = 4  # bins, width of the main lobe of a Hann window
_ERB_SLOPE = 0.00437  # per Hz, eq. 4 of Glasberg and Moore


@register(
    "hz", summary="bands of equal width in Hz", count=lambda sizes: sizes.bands, reads=("bands",)
)
def hz(probe: Probe, sizes: Sizes) -> Partition:
    """Cut the frequencies into bands of equal width in Hz."""
    return bands(probe, torch.linspace(0, _top(probe), sizes.bands + 1, dtype=torch.float64))


@register(
    "mel",
    summary="bands of equal width on the mel scale",
    count=lambda sizes: sizes.bands,
    reads=("bands",),
)
def mel(probe: Probe, sizes: Sizes) -> Partition:
    """Cut the frequencies into bands of equal width on Slaney's mel scale."""
    return bands(probe, mel_edges(sizes.bands - 1, 0, _top(probe)))


@register(
    "erb",
    summary="bands of equal width on the ERB-rate scale",
    count=lambda sizes: sizes.bands,
    paper="Glasberg, Moore: Derivation of auditory filter shapes from notched-noise data, 1990",
    reads=("bands",),
)
def erb(probe: Probe, sizes: Sizes) -> Partition:
    """Cut the frequencies into bands of equal width on the ERB-rate scale (auditory filters)."""
    return bands(probe, erb_edges(sizes.bands, _top(probe)))


def erb_edges(count: int, top: float) -> Tensor:
    """Return ``count + 1`` frequencies in Hz from 0 to ``top``, equally spaced in ERB-rate."""
    highest = math.log1p(_ERB_SLOPE * top)
    steps = torch.linspace(0, 1, count + 1, dtype=torch.float64)
    return torch.expm1(steps * highest) / _ERB_SLOPE


def erb_rate(frequencies: Tensor) -> Tensor:
    """Return the ERB-rate of frequencies in Hz, ``21.4 log10(1 + 0.00437 f)`` (eq. 4)."""
    return 21.4 * torch.log10(1 + _ERB_SLOPE * frequencies)


def bands(probe: Probe, edges: Tensor) -> Partition:
    """Return the bands between edges in Hz, cross-faded over the main lobe of the window."""
    gains, bounds = faded_bands(probe, edges)
    names = tuple(
        f"{low:.0f}-{high:.0f} Hz"
        for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    )
    return Partition("frequency", names, gains.to(probe.device))


def faded_bands(probe: Probe, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gains (band, freq) of the bands between edges in Hz, and their bounds in Hz."""
    plane = probe.model.plane
    return faded(probe.freqs, edges, _LOBE * plane.rate / plane.n_fft)


def _top(probe: Probe) -> float:
    return probe.model.rate / 2
