"""Harmonic-percussive-residual separation by median filters."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from earwitness.perturbation.pieces.decomposition import Partition
from earwitness.perturbation.pieces.registry import Sizes, register
from earwitness.perturbation.pieces.time import event_scale
from earwitness.probe import Probe

_LONG_SECONDS = 0.4  # s, median over time; longer than transients, shorter than tones
_WIDE_HZ = 500.0  # Hz, median over frequency; wider than a harmonic's main lobe
_MARGIN = 2.0  # separation factor of Driedger et al.; above 1 it leaves a residual


@register(
    "harmonic-percussive",
    summary="harmonic, percussive and residual components, separated by median filters",
    count=lambda _: 3,
    paper="Fitzgerald: Harmonic/percussive separation using median filtering, 2010; Driedger, "
    "Müller, Disch: Extending harmonic-percussive separation of audio signals, 2014",
)
def harmonic_percussive(probe: Probe, sizes: Sizes) -> Partition:  # noqa: ARG001
    """Separate sustained tones from transients; the residual (noise) is a third component."""
    plane = probe.model.plane
    scale = event_scale(probe)  # a shorter window has wider lobes
    long = 2 * round(scale * _LONG_SECONDS * plane.rate / plane.hop / 2) + 1
    wide = 2 * round(_WIDE_HZ / scale * plane.n_fft / plane.rate / 2) + 1
    gains = hpss(probe.magnitude.double().cpu().numpy(), long, wide, _MARGIN)
    stacked = torch.from_numpy(gains.astype(np.float32)).to(probe.device)
    return Partition("components", ("harmonic", "percussive", "residual"), stacked)


def hpss(
    magnitude: NDArray[np.float64], long: int, wide: int, margin: float
) -> NDArray[np.float64]:
    """Return gains of the harmonic, percussive and residual components, shape (3, freq, frame).

    ``H`` is the median over ``long`` frames and ``P`` the median over ``wide`` bins, with
    reflection at the borders. The harmonic gain is ``H^2 / (H^2 + (margin P)^2)``, the percussive
    one ``P^2 / (P^2 + (margin H)^2)``; the residual is the rest, which needs a margin above one.

    Parameters
    ----------
    magnitude : ndarray, shape (freq, frame)
        Linear magnitude.
    long, wide : int, odd
        Lengths of the median filters in frames and in bins.
    margin : float >= 1
        Separation factor.
    """
    harmonic = ndimage.median_filter(magnitude, size=(1, long), mode="reflect") ** 2
    percussive = ndimage.median_filter(magnitude, size=(wide, 1), mode="reflect") ** 2
    tiny = np.finfo(np.float64).tiny
    tones = harmonic / (harmonic + margin**2 * percussive + tiny)
    bursts = percussive / (percussive + margin**2 * harmonic + tiny)
    return np.stack([tones, bursts, np.maximum(1 - tones - bursts, 0)])
