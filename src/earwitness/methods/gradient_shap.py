"""GradientSHAP: expected gradients between the input and random noise baselines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from earwitness.methods.registry import register
from earwitness.perturbation.noise import noise_floors
from earwitness.probe import Probe
from earwitness.types import Map


@register(
    "gradient-shap",
    summary="expected gradients from random noise baselines to the input",
    limits="an exact sum: the map is a random sample and varies with the seed",
    paper="Erion et al.: Improving performance of deep learning models with axiomatic attribution "
    "priors and expected gradients, 2021, eq. 3",
    signed=True,
    needs_gradients=True,
    random=True,
    linear=True,
    cost=lambda options: 4 * options["samples"],
)
def gradient_shap(
    probe: Probe,
    *,
    samples: Annotated[int, Ge(1)] = 64,
    noise: Annotated[float, Ge(0)] = 0.01,
) -> Map:
    """Compute the mean over ``b`` and ``a`` of ``(m - b) * d score / d m`` at ``b + a (m - b)``.

    ``m`` is the input's magnitude, ``b`` a baseline (the magnitude of complex Gaussian noise) and
    ``a`` is uniform in (0, 1), stratified into ``samples`` equal strata. In expectation the map
    sums to the input's score minus the mean score of the baselines; ``expected_gap`` is the
    difference for this sample.

    Parameters
    ----------
    samples : int
        Number of pairs of a baseline and an interpolation point.
    noise : float
        Standard deviation of the baseline, relative to the root mean square of the magnitude.
    """
    strata = torch.rand(samples, generator=probe.generator) + torch.randperm(
        samples, generator=probe.generator
    )
    places = (strata / samples).tolist()
    backgrounds: list[Tensor] = []

    def points() -> Iterator[Tensor]:
        floors = noise_floors(probe, samples, noise)
        for place, background in zip(places, floors, strict=True):
            backgrounds.append(background)
            yield background + place * (probe.magnitude - background)

    total = torch.zeros_like(probe.magnitude)
    floor = 0.0
    for _, gradients in probe.gradients(points(), of_magnitude=True):
        quiet = torch.stack(backgrounds)
        backgrounds.clear()
        total += ((probe.magnitude - quiet) * gradients).sum(dim=0) / samples
        with torch.no_grad():
            floor += float(probe.score_magnitude(quiet).double().sum()) / samples
    with torch.no_grad():
        full = float(probe.score_magnitude(probe.magnitude.unsqueeze(0)))
    gap = float(total.double().sum()) - (full - floor)
    details = {"expected_gap": gap, "score_change": full - floor, "samples": samples}
    return Map(total, details)
