"""DeepSHAP: DeepLIFT multipliers, averaged over random noise baselines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor

from earwitness.backward.completeness import LEAK_THRESHOLD, account, completeness
from earwitness.backward.functions import ELEMENTWISE, MULTILINEAR
from earwitness.backward.rules import (
    Call,
    Leak,
    Ledger,
    RuleMode,
    find_leaks,
    is_linear,
    tracing,
)
from earwitness.errors import NotApplicableError
from earwitness.methods.registry import register
from earwitness.perturbation.background.registry import check_background
from earwitness.perturbation.baseline import find_baseline
from earwitness.perturbation.noise import noise_floors
from earwitness.probe import Probe
from earwitness.steps import undefined_gradients
from earwitness.types import Map

_STEPS = (  # midpoints of a mean slope without closed form; the error falls as 1/n^2
    16  # quadrature points of a mean slope without closed form; the midpoint error falls as 1/n^2
)
_SAME = 1e-6  # relative difference below which a ratio of float32 differences is rounding noise


class _MeanSlope(torch.autograd.Function):
    """A function whose backward pass uses its mean slope between reference inputs and inputs.

    For an elementwise function the mean slope is DeepLIFT's rescale rule, a ratio of differences;
    for others it is the gradient averaged along the straight line between the two.
    """

    @staticmethod
    def forward(
        ctx: Any,
        function: Callable[..., Tensor],
        elementwise: bool,
        steps: int,
        there: list[Tensor],
        *values: Tensor,
    ) -> Tensor:
        result = function(*values)
        ctx.function, ctx.elementwise, ctx.there, ctx.steps = function, elementwise, there, steps
        change = result - function(*there) if elementwise else result.new_zeros(0)
        ctx.save_for_backward(change, *values)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        change, *values = ctx.saved_tensors
        slopes = _mean_vjp(ctx.function, values, ctx.there, gradients[0], ctx.steps)
        if ctx.elementwise:
            here, there = values[0], ctx.there[0]
            apart = here - there
            far = apart.abs() > _SAME * (here.abs() + there.abs())
            ratio = change / torch.where(far, apart, torch.ones_like(apart))
            slopes = [torch.where(far, gradients[0] * ratio, slopes[0])]
        return (None, None, None, None, *slopes)


def _mean_vjp(
    function: Callable[..., Tensor],
    here: list[Tensor],
    there: list[Tensor],
    upstream: Tensor,
    steps: int,
) -> list[Tensor]:
    """Return the vector-Jacobian product, averaged along the line between two sets of inputs."""
    totals = [torch.zeros_like(one) for one in here]
    for step in range(steps):
        place = (step + 0.5) / steps
        points = [
            (start + place * (end - start)).requires_grad_()
            for start, end in zip(there, here, strict=True)
        ]
        with torch.enable_grad():
            found = torch.autograd.grad(function(*points), points, upstream)
        for total, slope in zip(totals, found, strict=True):
            total += slope / steps
    return totals


class _Reference(RuleMode):
    """Record the inputs of every nonlinear function in the pass on the baseline."""

    def __init__(self, ledger: Ledger | None) -> None:
        super().__init__(ledger)
        self.seen: list[tuple[str, list[Tensor]]] = []

    def rule(self, call: Call) -> None:
        if not is_linear(call):
            self.seen.append((call.name, [one.detach().clone() for one in call.inputs]))


class _Rescale(RuleMode):
    """Replace the gradient of every nonlinear function by its mean slope from the baseline."""

    def __init__(self, reference: _Reference, ledger: Ledger | None) -> None:
        super().__init__(ledger)
        self.reference = iter(reference.seen)

    def rule(self, call: Call) -> Tensor | None:
        if is_linear(call):
            return None
        name, there = next(self.reference, ("", []))
        shapes = [one.shape for one in there]
        if name != call.name or shapes != [one.shape for one in call.inputs]:
            raise NotApplicableError(
                "deep-shap: the network takes another path for the background than for the sound, "
                "so their activations cannot be compared; use integrated-gradients"
            )
        if not _differentiable(call):
            return None
        alone = len(call.inputs) == 1 and not call.inputs[0].is_complex()
        elementwise = alone and call.name in ELEMENTWISE
        # the slope of a product of two is linear along the line, so the midpoint gives its mean;
        # an elementwise function uses the midpoint only where input and reference are equal
        exact = elementwise or (call.name in MULTILINEAR and len(call.inputs) == 2)
        values = [one.clone() for one in call.inputs]  # the network may modify its own in place
        steps = 1 if exact else _STEPS
        result: Tensor = _MeanSlope.apply(call.function, elementwise, steps, there, *values)  # type: ignore[no-untyped-call]
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
    a function, in place or repeatedly. Functions without a rule keep their gradient; the resulting
    error is reported as ``completeness_gap``, the sum of the map minus the change of score.

    Parameters
    ----------
    samples : int
        Number of baselines.
    noise : float
        Standard deviation of the noise, relative to the root mean square of the magnitude.
    background : str
        What the noise is added to: ``silence``, ``noise-floor``, ``mean``, or the path of a sound;
        ``auto`` is the mean for a regression and for a model that does not depend on level, and
        silence otherwise. Of several, separated by commas, each is used in turn.
    """
    probe.require_gradients()
    baseline = find_baseline(probe, background)
    total = torch.zeros_like(probe.magnitude)
    change = 0.0
    leaks: list[dict[str, Any]] = []
    floors = noise_floors(probe, samples, noise, baseline.magnitudes)
    for number, floor in enumerate(floors):
        values, difference, _ = _between(probe, floor)
        if not bool(torch.isfinite(values).all()):
            raise undefined_gradients(probe.model.name)
        total += values / samples
        change += difference / samples
        own = completeness(values, difference)
        if number == 0 and (own["completeness_share"] or 0) > LEAK_THRESHOLD:
            ledger = Ledger()
            *_, found = _between(probe, floor, ledger)
            leaks = account("deep-shap", ledger, found, own["completeness_gap"], difference)
    details = {**completeness(total, change), "leaks": leaks, "samples": samples}
    return Map(total, {**details, **baseline.details})


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
