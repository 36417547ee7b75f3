"""SmoothGrad: the gradient averaged over noisy versions of the input."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

from annotated_types import Ge, Gt

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
    random=True,
    cost=lambda options: 3 * options["samples"],
)
def smoothgrad(
    probe: Probe,
    *,
    samples: Annotated[int, Ge(1)] = 25,
    noise: Annotated[float, Gt(0)] = 0.15,
) -> Map:
    """Compute ``|mean_i d score / d m|`` at noisy magnitudes ``m_i``, drawn in antithetic pairs.

    Parameters
    ----------
    samples : int
        Number of noisy versions.
    noise : float
        Standard deviation of the noise, relative to the root mean square of the magnitude.
    """
    points = islice(noisy_magnitudes(probe, samples, noise), samples)
    mean, skipped = probe.total_gradient(points, [1 / samples] * samples, of_magnitude=True)
    return Map(mean.abs(), {"samples": samples, "skipped": skipped})
