"""SmoothGrad: the gradient averaged over noisy versions of the input."""

from __future__ import annotations

from itertools import islice

from earwitness.errors import ParameterError
from earwitness.methods.registry import register
from earwitness.perturbation.noise import noisy_magnitudes
from earwitness.probe import Probe
from earwitness.types import Map


@register(
    "smoothgrad",
    summary="absolute value of the gradient averaged over noisy versions of the input",
    limits="a cell's contribution to the score",
    paper="Smilkov et al.: SmoothGrad, 2017, section 2",
    needs_gradients=True,
    cost=lambda options: 3 * int(options["samples"]),
)
def smoothgrad(probe: Probe, *, samples: int = 25, noise: float = 0.15) -> Map:
    """Compute ``|mean_i d score / d m|`` at noisy magnitudes ``m_i``, drawn in antithetic pairs.

    Parameters
    ----------
    samples : int >= 1
        Number of noisy versions.
    noise : float > 0
        Standard deviation of the noise, relative to the root mean square of the magnitude.
    """
    if samples < 1 or noise <= 0:
        raise ParameterError(
            f"smoothgrad: samples must be at least 1 and noise positive, got {samples} and {noise}"
        )
    count = int(samples)
    points = islice(noisy_magnitudes(probe, count, float(noise)), count)
    mean = probe.total_gradient(points, [1 / count] * count, of_magnitude=True)
    return Map(mean.abs(), {"samples": count})
