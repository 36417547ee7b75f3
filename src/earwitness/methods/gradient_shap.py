"""GradientSHAP: expected gradients between the input and random noise baselines."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from earwitness.methods.registry import register
from earwitness.perturbation.background.registry import check_background
from earwitness.perturbation.baseline import find_baseline
from earwitness.perturbation.noise import noise_floors
from earwitness.probe import Probe
from earwitness.steps import Steps, chunks
from earwitness.types import Map


@register(
    "gradient-shap",
    summary="expected gradients from random baselines, noise on a background, to the input",
    limits="an exact sum: the map is a random sample and varies with the seed",
    paper="Erion et al.: Improving performance of deep learning models with axiomatic attribution "
    "priors and expected gradients, 2021, eq. 3",
    signed=True,
    needs_gradients=True,
    random=True,
    linear=True,
    cost=lambda options: 4 * options["samples"],
    check=check_background,
)
def gradient_shap(
    probe: Probe,
    *,
    samples: Annotated[int, Ge(1)] = 64,
    noise: Annotated[float, Ge(0)] = 0.01,
    background: str = "auto",
) -> Map:
    """Compute the mean over ``b`` and ``a`` of ``(m - b) * d score / d m`` at ``b + a (m - b)``.

    ``m`` is the input's magnitude, ``b`` a baseline (the magnitude of a background with complex
    Gaussian noise added) and ``a`` is uniform in (0, 1), stratified into ``samples`` equal strata.
    In expectation the map sums to the input's score minus the mean score of the baselines;
    ``expected_gap`` is the difference for this sample.

    Parameters
    ----------
    samples : int
        Number of pairs of a baseline and an interpolation point.
    noise : float
        Standard deviation of the noise, relative to the root mean square of the magnitude.
    background : str
        What the noise is added to: ``silence``, ``noise-floor``, ``mean``, ``median``, or the path
        of a sound; ``auto`` is the mean for a regression and for a model that does not depend on
        level, and silence otherwise. Of several, separated by commas, each is used in turn.
    """
    baseline = find_baseline(probe, background)
    strata = torch.rand(samples, generator=probe.generator) + torch.randperm(
        samples, generator=probe.generator
    )
    places = (strata / samples).tolist()
    floors = noise_floors(probe, samples, noise, baseline.magnitudes)
    pairs = (
        torch.stack([floor, floor + place * (probe.magnitude - floor)])
        for floor, place in zip(floors, places, strict=True)
    )

    def weighted(batch: Tensor) -> Tensor:
        """Return ``(m - b) * gradient`` for pairs of a baseline and a point."""
        quiet, points = batch.unbind(dim=1)
        found = [one for _, one in probe.gradients(points, of_magnitude=True)]
        return (probe.magnitude - quiet) * torch.cat(found)

    total = torch.zeros_like(probe.magnitude)
    floor = 0.0
    steps = Steps(probe.model.name, [1 / samples] * samples)
    for some in chunks(pairs, probe.chunk):
        batch = torch.stack(some)
        total += steps.sum(weighted, batch)
        with torch.no_grad():
            floor += float(probe.score_magnitude(batch[:, 0]).double().sum()) / samples
    with torch.no_grad():
        full = float(probe.score_magnitude(probe.magnitude.unsqueeze(0)))
    gap = float(total.double().sum()) - (full - floor)
    details = {"expected_gap": gap, "score_change": full - floor, "samples": samples}
    return Map(total, {**details, "skipped": steps.skipped, **baseline.details})
