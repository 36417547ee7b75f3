"""DeepSHAP: DeepLIFT multipliers, averaged over random noise baselines."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor

from earwitness.backward.calls import Call, inside, is_linear
from earwitness.backward.completeness import (
    LEAK_THRESHOLD,
    account,
    completeness,
    require_complete,
)
from earwitness.backward.functions import MULTILINEAR
from earwitness.backward.mean_slope import MeanSlope
from earwitness.backward.rules import Leak, Ledger, RuleMode, find_leaks, tracing
from earwitness.errors import NotApplicableError
from earwitness.methods.registry import register
from earwitness.models.calling.alternatives import instead
from earwitness.perturbation.background.registry import check_background
from earwitness.perturbation.baseline import find_baseline
from earwitness.perturbation.noise import noise_floors
from earwitness.probe import Probe
from earwitness.steps import undefined_gradients
from earwitness.types import Map


class _Reference(RuleMode):
    """Record the inputs of every nonlinear function in the pass on the baseline."""

    def __init__(self, ledger: Ledger | None) -> None:
        super().__init__(ledger, masks=True)
        self.seen: list[tuple[str, list[Tensor]]] = []

    def rule(self, call: Call) -> None:
        if not is_linear(call):
            self.seen.append((call.name, [one.detach().clone() for one in call.inputs]))


class _Rescale(RuleMode):
    """Replace the gradient of every nonlinear function by its mean slope from the baseline."""

    def __init__(self, reference: _Reference, ledger: Ledger | None) -> None:
        super().__init__(ledger, masks=True)
        self.reference = iter(reference.seen)

    def rule(self, call: Call) -> Tensor | None:
        if is_linear(call):
            return None
        name, there = next(self.reference, ("", []))
        shapes = [one.shape for one in there]
        if name != call.name or shapes != [one.shape for one in call.inputs]:
            raise NotApplicableError(
                f"deep-shap: the network takes another path for the background than for the sound, "
                f"or selects by a mask ({call.title}{inside(call)}), so their activations cannot "
                "be compared; use integrated-gradients"
            )
        if not _differentiable(call):
            return None
        # the slope of a product of two is linear along the line, so the midpoint gives its mean
        linear_slope = not call.masked and call.name in MULTILINEAR and len(call.inputs) == 2
        values = [one.clone() for one in call.inputs]  # the network may modify its own in place
        result: Tensor = MeanSlope.apply(  # type: ignore[no-untyped-call]
            call.function, call.elementwise, linear_slope, there, *values
        )
        return result


def _differentiable(call: Call) -> bool:
    """Return whether a call returns one tensor that has a gradient."""
    with torch.enable_grad():
        result = call.function(*(one.detach().requires_grad_() for one in call.inputs))
    return isinstance(result, Tensor) and result.requires_grad


@register(
    "deep-shap",
    summary="DeepLIFT multipliers averaged over random baselines, noise on a background",
    limits="paths through compiled or custom autograd functions: such models raise an error",
    paper="Lundberg, Lee: A Unified Approach to Interpreting Model Predictions, 2017, section 4.2; "
    "Shrikumar, Greenside, Kundaje: Learning Important Features Through Propagating Activation "
    "Differences, 2017",
    signed=True,
    complete="the mean change of score from noise baselines to the input",
    needs_gradients=True,
    random=True,
    linear=True,
    layerwise=True,
    cost=lambda options: 12 * options["samples"],
    check=check_background,
)
def deep_shap(
    probe: Probe,
    *,
    samples: Annotated[int, Ge(1)] = 8,
    noise: Annotated[float, Ge(0)] = 0.01,
    background: str = "auto",
) -> Map:
    """Compute the mean over ``b`` of ``(m - b)`` times the score's multiplier from ``b`` to ``m``.

    ``m`` is the input's magnitude, ``b`` a baseline (the magnitude of a background with complex
    Gaussian noise added). The multiplier of an elementwise function is the ratio of differences
    (the rescale rule). For a function of several inputs, such as a maximum or a product of two
    activations, it is the mean gradient along the straight line from baseline to input, which
    equals the rescale rule in one dimension. The rules apply to every call, whether by a module, as
    a function, in place or repeatedly. A value computed from the input without a gradient, such as
    the mask ``x > 0``, is part of the function that takes it, so ``x * (x > 0)`` is a ReLU. What
    remains is reported as ``completeness_gap``, the sum of the map minus the change of score; a gap
    of more than half of that change raises an error.

    Parameters
    ----------
    samples : int
        Number of baselines.
    noise : float
        Standard deviation of the noise, relative to the root mean square of the magnitude.
    background : str
        What the noise is added to: ``silence``, ``noise-floor``, ``mean``, ``median``, or the path
        of a sound; ``auto`` is the mean for a regression and for a model that does not depend on
        level, and silence otherwise. Of several, separated by commas, each is used in turn.
    """
    probe.require_gradients()
    baseline = find_baseline(probe, background)
    total = torch.zeros_like(probe.magnitude)
    change = 0.0
    leaks: list[dict[str, Any]] = []
    worst = (LEAK_THRESHOLD, torch.zeros(0))
    for floor in noise_floors(probe, samples, noise, baseline.magnitudes):
        values, difference, _ = _between(probe, floor)
        if not bool(torch.isfinite(values).all()):
            raise undefined_gradients(probe.model.name)
        total += values / samples
        change += difference / samples
        share = completeness(values, difference)["completeness_share"] or 0.0
        worst = max(worst, (share, floor), key=lambda one: one[0])
    details = completeness(total, change)
    other = partial(instead, probe.model, probe.wave[None], probe.target)
    if worst[1].numel():
        ledger = Ledger()
        values, difference, found = _between(probe, worst[1], ledger)
        gap = completeness(values, difference)["completeness_gap"]
        leaks = account("deep-shap", ledger, found, gap, difference, other)
    require_complete("deep-shap", total, details, leaks, other)
    return Map(total, {**details, "leaks": leaks, "samples": samples, **baseline.details})


def _between(
    probe: Probe, background: Tensor, ledger: Ledger | None = None
) -> tuple[Tensor, float, list[Leak]]:
    """Return the map for one baseline, the change of score, and the leaks if a ledger is given."""
    base = None if ledger is None else Ledger()
    reference = _Reference(base)
    with torch.enable_grad(), probe.model.frozen(), tracing(probe.model, ledger):
        quiet = background.unsqueeze(0).requires_grad_()
        with reference:
            low = probe.score_magnitude(quiet)
        loud = probe.magnitude.unsqueeze(0).clone().requires_grad_()
        with _Rescale(reference, ledger):
            high = probe.score_magnitude(loud)
        leaks = find_leaks(ledger, high, _has_rule, base) if ledger is not None else []
        multiplier = probe.differentiate(high, loud)[0]
    difference = float((high - low).detach().double())
    return (probe.magnitude - background) * multiplier, difference, leaks


def _has_rule(call: Call) -> bool:
    return is_linear(call) or _differentiable(call)
