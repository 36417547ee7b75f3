"""Integrated gradients from a background to the input."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge

from earwitness.backward.completeness import completeness
from earwitness.methods.registry import register
from earwitness.perturbation.background.registry import check_background
from earwitness.perturbation.baseline import find_baseline
from earwitness.probe import Probe
from earwitness.types import Map

_DECADES = 3.0  # decades of gain spaced logarithmically (60 dB); below that the spacing is linear


@register(
    "integrated-gradients",
    summary="gradients integrated from a background to the input; they sum to the change of score",
    limits="smooth structure: neighbouring cells can differ strongly; depends on the baseline",
    paper="Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks, 2017, eq. 1",
    signed=True,
    complete="the change of score from the background to the input",
    needs_gradients=True,
    linear=True,
    cost=lambda options: 3 * options["steps"] * len(options["background"].split(",")),
    check=check_background,
)
def integrated_gradients(
    probe: Probe, *, steps: Annotated[int, Ge(1)] = 64, background: str = "auto"
) -> Map:
    """Integrate ``d score / d gain`` along the straight path from gains of zero to gains of one.

    Gains of zero are the background, gains of one the input. The quadrature points are denser near
    silence, where models with a log front end change most: a Gauss-Legendre rule in ``asinh`` of
    the gain needs far fewer steps than a uniform one. The remaining error is reported as
    ``completeness_gap``, the sum of the map minus the change of score.

    Parameters
    ----------
    steps : int
        Number of quadrature points on the path.
    background : str
        Where the path begins: ``silence``, ``noise-floor``, ``mean``, ``median``, or the path of a
        sound; ``auto`` is the mean for a regression and for a model that does not depend on level,
        and silence otherwise. Maps are averaged over several, separated by commas.
    """
    probe.require_gradients()
    baseline = find_baseline(probe, background)
    levels, weights = fade_in(steps)
    ones = torch.ones_like(probe.magnitude)
    total = torch.zeros_like(ones)
    skipped: list[int] = []
    for one in baseline.probes:
        found, missed = one.total_gradient((level * ones for level in levels), weights.tolist())
        total += found / len(baseline.probes)
        skipped += missed
    details = {**completeness(total, baseline.change), "steps": steps, "skipped": skipped}
    return Map(total, {**details, **baseline.details})


def fade_in(steps: int) -> tuple[list[float], torch.Tensor]:
    """Return points in (0, 1) and weights of a Gauss-Legendre rule in ``asinh`` of the gain."""
    top = math.asinh(10**_DECADES)
    points, weights = np.polynomial.legendre.leggauss(steps)
    place = torch.from_numpy((points + 1) / 2 * top)
    speed = torch.from_numpy(weights) * place.cosh()
    return (place.sinh() / math.sinh(top)).tolist(), speed / speed.sum()
