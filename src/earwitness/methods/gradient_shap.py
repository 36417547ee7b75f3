"""GradientSHAP: expected gradients between the input and random quiet backgrounds."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from earwitness.errors import ParameterError
from earwitness.methods.registry import register
from earwitness.perturbation.noise import noise_floors
from earwitness.probe import Probe
from earwitness.types import Map


@register(
    "gradient-shap",
    summary="gradients between the input and random noise floors, times the change of magnitude",
    limits="a single exact sum: it is a sample, and another seed gives another map",
    paper="Erion et al.: Improving performance of deep learning models with axiomatic attribution "
    "priors and expected gradients, 2021, eq. 3",
    signed=True,
    needs_gradients=True,
    cost=lambda options: 4 * int(options["samples"]),
)
def gradient_shap(probe: Probe, *, samples: int = 64, noise: float = 0.01) -> Map:
    """Compute the mean over ``b`` and ``a`` of ``(m - b) * d score / d m`` at ``b + a (m - b)``.

    ``m`` is the input's magnitude, ``b`` the magnitude of complex Gaussian noise, ``a`` uniform in
    (0, 1), drawn once from each of ``samples`` equal strata. In expectation the map adds up to the
    input's score minus the mean score of the backgrounds; how far this draw misses that is its
    ``expected_gap``.

    Parameters
    ----------
    samples : int >= 1
        Pairs of a background and a place on the way.
    noise : float >= 0
        Standard deviation of the background, relative to the root mean square of the magnitude.
    """
    if samples < 1 or noise < 0:
        raise ParameterError(
            f"gradient-shap: samples must be at least 1 and noise not negative, got {samples} and "
            f"{noise}"
        )
    count = int(samples)
    strata = torch.rand(count, generator=probe.generator) + torch.randperm(
        count, generator=probe.generator
    )
    places = (strata / count).tolist()
    backgrounds: list[Tensor] = []

    def points() -> Iterator[Tensor]:
        floors = noise_floors(probe, count, float(noise))
        for place, background in zip(places, floors, strict=True):
            backgrounds.append(background)
            yield background + place * (probe.magnitude - background)

    total = torch.zeros_like(probe.magnitude)
    floor = 0.0
    for _, gradients in probe.gradients(points(), of_magnitude=True):
        quiet = torch.stack(backgrounds)
        backgrounds.clear()
        total += ((probe.magnitude - quiet) * gradients).sum(dim=0) / count
        with torch.no_grad():
            floor += float(probe.score_magnitude(quiet).double().sum()) / count
    with torch.no_grad():
        full = float(probe.score_magnitude(probe.magnitude.unsqueeze(0)))
    gap = float(total.double().sum()) - (full - floor)
    details = {"expected_gap": gap, "score_change": full - floor, "samples": count}
    return Map(total, details)
