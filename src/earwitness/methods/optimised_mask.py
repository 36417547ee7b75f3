"""Gains optimised for one clip by gradient descent: a bound on what a mask can reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.nn import functional

from earwitness.decoders.objective import Weights, distance, extent, faith
from earwitness.methods.registry import register
from earwitness.models.target import explained_score
from earwitness.perturbation.background.registry import (
    check_background,
    named_background,
    with_backgrounds,
)
from earwitness.probe import Probe
from earwitness.steps import no_gradient
from earwitness.types import Map

_BEGIN = 1.0  # initial logit: gains of 0.73, most of the input is kept and the gradient is large
_CELLS = (4, 2)  # bins and frames per gain; edges finer than an analysis window have no effect


@register(
    "optimised-mask",
    summary="gains optimised for one clip by gradient descent on L-MAC's loss",
    limits="natural evidence only: the optimised gains are partly adversarial",
    paper="Fong, Vedaldi: Interpretable Explanations by Meaningful Perturbation, 2017, eq. 3; loss "
    "of Paissan et al.: L-MAC, 2024",
    gives_gains=True,
    needs_gradients=True,
    cost=lambda options: (6 * options["steps"] + 3) * len(options["background"].split(",")),
    check=check_background,
)
def optimised_mask(
    probe: Probe,
    *,
    steps: Annotated[int, Ge(1)] = 150,
    rate: Annotated[float, Gt(0)] = 0.1,
    size: Annotated[float, Ge(0)] = 8.0,
    smooth: Annotated[float, Ge(0)] = 1.0,
    outside: Annotated[float, Ge(0)] = 1.0,
    background: str = "auto",
) -> Map:
    """Minimise ``4 D(evidence) - outside D(remainder) + size mean(g) + smooth TV(g)`` with Adam.

    Parameters
    ----------
    steps : int
        Number of gradient steps.
    rate : float
        Learning rate, on the logits of the gains.
    size : float
        Weight of the mean gain.
    smooth : float
        Weight of the total variation of the gains.
    outside : float
        Weight of the remainder's distance.
    background : str
        What replaces what the gains remove: ``silence``, ``noise-floor``, ``mean``, ``median``, or
        the path of a sound; ``auto`` is the mean for a regression, and silence otherwise. The loss
        is averaged over several, separated by commas.
    """
    probe.require_gradients()
    weights = Weights(outside=outside, size=size, smooth=smooth)
    probes = with_backgrounds(probe, background)
    ends = torch.stack([torch.ones(probe.shape), torch.zeros(probe.shape)]).to(probe.device)
    with torch.no_grad():
        before, nothing = _mean(probes, lambda one: one.outputs(ends)).split(1)
    model, target = probe.model, probe.target
    spread = explained_score(model, before, target) - explained_score(model, nothing, target)
    scale = max(float(spread.abs()), 1e-6)

    def distance_of(outputs: Tensor) -> Tensor:
        if target.versus_index is not None:
            fall = explained_score(model, before, target) - explained_score(model, outputs, target)
            return (fall / scale).relu().square().log1p()
        index = torch.full((len(outputs),), target.index, device=outputs.device)
        return distance(
            model, outputs, index, before, scale, sign=target.sign, frames=target.frames
        )

    with torch.no_grad():
        start = distance_of(before)
    rows, columns = (-(-n // cell) for n, cell in zip(probe.shape, _CELLS, strict=True))
    logits = torch.full((1, 1, rows, columns), _BEGIN, device=probe.device, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=rate)
    with torch.enable_grad(), model.frozen():
        for _ in range(steps):
            gains = _gains(logits, probe)
            both = torch.cat([gains, 1 - gains])
            kept, left = _mean(probes, lambda one: distance_of(one.outputs(both))).split(1)  # noqa: B023
            if not kept.requires_grad:
                raise no_gradient(probe.model.name)
            loss = faith(weights, kept, left, start) + extent(weights, gains)
            logits.grad = probe.differentiate(loss, logits)
            probe.tick(2)
            optimiser.step()
    values = _gains(logits.detach(), probe)[0]
    details = {"loss": float(loss.detach()), "area": float(values.mean())}
    return Map(values, {**details, "background": named_background(background, model.task)})


def _mean(probes: Sequence[Probe], of: Callable[[Probe], Tensor]) -> Tensor:
    """Return the mean of a function over the probes of several backgrounds."""
    return torch.stack([of(one) for one in probes]).mean(dim=0)


def _gains(logits: Tensor, probe: Probe) -> Tensor:
    """Return gains (1, freq, frame), interpolated from coarse logits (1, 1, row, column)."""
    size = list(probe.shape)
    fine = functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    return fine[:, 0].sigmoid()
