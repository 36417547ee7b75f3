"""The mean slope of a function between two inputs, which makes DeepLIFT complete.

For an elementwise function it is the ratio of differences (the rescale rule of Shrikumar et al.
2017, eq. 3). For a function of several inputs it is the gradient averaged along the straight line
between them (Sundararajan et al. 2017, eq. 1), whose products with the change of each input sum to
the change of the output. The average is an integral. A norm is steep where its input has little
variance, close to a quiet baseline, so intervals of the line are halved where the sum is off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

_NODES = (0.06943184420297371, 0.33000947820757187)  # Gauss-Legendre, four points in (0, 1)
_WEIGHTS = (0.17392742256872692, 0.32607257743127307)
_INTERVALS = 4  # of the line before any is halved
_MOST_INTERVALS = 40  # a function that jumps has no mean slope, however many there are
_TOLERANCE = 2e-3  # error of the sum relative to the change of the output
_ROUNDING = 1e-6  # the same relative to the sum of absolute changes, for float32
_SAME = 1e-6  # relative difference below which a ratio of float32 differences is rounding noise

Function = Callable[..., Tensor]


class MeanSlope(torch.autograd.Function):
    """A function whose backward pass uses its mean slope between reference inputs and inputs.

    Called as ``apply(function, elementwise, linear_slope, there, *values)``; ``linear_slope`` says
    that the slope is linear along the line, so that its value at the midpoint is the mean.
    """

    @staticmethod
    def forward(
        ctx: Any,
        function: Function,
        elementwise: bool,
        linear_slope: bool,
        there: list[Tensor],
        *values: Tensor,
    ) -> Tensor:
        """Compute the function and keep the change of its output."""
        result = function(*values)
        elementwise = elementwise and result.shape == values[0].shape
        ctx.function, ctx.there = function, there
        ctx.elementwise, ctx.linear_slope = elementwise, linear_slope
        change = result - function(*there) if elementwise else result.new_zeros(0)
        ctx.save_for_backward(change, *values)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Multiply the gradient by the mean slope."""
        change, *values = ctx.saved_tensors
        line = _Line(ctx.function, ctx.there, values, gradients[0])
        if not (ctx.elementwise or ctx.linear_slope):
            return (None, None, None, None, *line.mean_slope())
        slopes = line.slopes([(0.5, 1.0)])
        if ctx.elementwise:
            here, there = values[0], ctx.there[0]
            apart = here - there
            far = apart.abs() > _SAME * (here.abs() + there.abs())
            ratio = change / torch.where(far, apart, torch.ones_like(apart))
            slopes = [torch.where(far, gradients[0] * ratio, slopes[0])]
        return (None, None, None, None, *slopes)


class _Line:
    """The straight line from reference inputs to inputs, with the gradient of a function's output.

    Parameters
    ----------
    function : callable
    start, end : sequence of Tensor
        Inputs of the function.
    upstream : Tensor
        Gradient with respect to its output.
    """

    def __init__(
        self, function: Function, start: Sequence[Tensor], end: Sequence[Tensor], upstream: Tensor
    ) -> None:
        self.function, self.start, self.end, self.upstream = function, start, end, upstream

    def at(self, place: float) -> list[Tensor]:
        """Return the inputs at a place in [0, 1]."""
        return [a + place * _change(a, b) for a, b in zip(self.start, self.end, strict=True)]

    def slopes(self, rule: Sequence[tuple[float, float]]) -> list[Tensor]:
        """Return the weighted sum of vector-Jacobian products at places of a quadrature rule."""
        totals = [torch.zeros_like(one) for one in self.end]
        for place, weight in rule:
            points = [one.requires_grad_() for one in self.at(place)]
            with torch.enable_grad():
                found = torch.autograd.grad(
                    self.function(*points), points, self.upstream, allow_unused=True
                )
            for total, slope in zip(totals, found, strict=True):
                if slope is not None:  # an input may matter through a mask only
                    total += weight * slope
        return totals

    def mean_slope(self) -> list[Tensor]:
        """Return the mean vector-Jacobian product along the line."""
        edges = [k / _INTERVALS for k in range(_INTERVALS + 1)]
        outputs = [self.output(place) for place in edges]
        whole = outputs[-1] - outputs[0]
        tolerance = _TOLERANCE * abs(_sum(whole)) + _ROUNDING * _sum(whole.abs())
        parts = [
            self.part(low, high, before, after)
            for (low, high), (before, after) in zip(pairwise(edges), pairwise(outputs), strict=True)
        ]
        while abs(sum(one.error for one in parts)) > tolerance and len(parts) < _MOST_INTERVALS:
            worst = max(range(len(parts)), key=lambda k: abs(parts[k].error))
            one = parts.pop(worst)
            middle = (one.low + one.high) / 2
            between = self.output(middle)
            parts.append(self.part(one.low, middle, one.before, between))
            parts.append(self.part(middle, one.high, between, one.after))
        return [
            torch.stack(slopes).sum(dim=0)
            for slopes in zip(*(one.slopes for one in parts), strict=True)
        ]

    def part(self, low: float, high: float, before: Tensor, after: Tensor) -> _Part:
        """Integrate over one interval, with the output at both ends."""
        width = high - low
        slopes = self.slopes(
            [
                (low + width * place, width * weight)
                for node, weight in zip(_NODES, _WEIGHTS, strict=True)
                for place in (node, 1 - node)
            ]
        )
        made = sum(
            _sum(_product(slope, _change(a, b)))
            for slope, a, b in zip(slopes, self.start, self.end, strict=True)
        )
        return _Part(low, high, before, after, slopes, made - _sum(after - before))

    def output(self, place: float) -> Tensor:
        """Return the output at a place times its gradient, element by element."""
        output = self.function(*self.at(place)).detach()
        live = self.upstream != 0
        return _product(self.upstream, torch.where(live, output, torch.zeros_like(output)))


@dataclass(frozen=True)
class _Part:
    """An interval of the line: outputs at both ends, its integral and the error of its sum."""

    low: float
    high: float
    before: Tensor
    after: Tensor
    slopes: list[Tensor]
    error: float


def _change(start: Tensor, end: Tensor) -> Tensor:
    """Return the difference; 0 where both are the same, as the -inf of masked attention."""
    return torch.where(start == end, torch.zeros_like(end), end - start)


def _product(gradient: Tensor, change: Tensor) -> Tensor:
    return (gradient.conj() * change).real if gradient.is_complex() else gradient * change


def _sum(values: Tensor) -> float:
    return float(values.double().sum())
