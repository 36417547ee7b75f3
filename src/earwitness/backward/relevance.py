"""Backward passes of layer-wise relevance propagation: linear layers, ratios, added constants.

Relevance is an activation times the modified gradient at it. It is computed in single precision
where the network, or a part of it under autocast, is in half precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from earwitness.backward.linear import HALF, Layer


@dataclass(frozen=True)
class Rule:
    """How a layer distributes relevance: epsilon rule if gamma is 0, else gamma rule."""

    gamma: float
    epsilon: float
    share_biases: bool


@dataclass(eq=False)
class Use:
    """One call of a layer or of an addition of a constant in a forward pass.

    Attributes
    ----------
    layer : Layer or None
        None for an addition.
    values : Tensor
        Its input.
    convolution : bool
    last : bool
        Whether only linear functions follow it before the score. Its bias is then a constant term
        of the score, independent of the input.
    kept : float
        Relevance that its bias kept, if it is last.
    made : Tensor
        Its output.
    """

    layer: Layer | None
    values: Tensor
    convolution: bool = False
    last: bool = False
    kept: float = 0.0
    made: Tensor | None = None


class LinearRule(torch.autograd.Function):
    """A linear layer whose backward pass is an LRP rule."""

    @staticmethod
    def forward(ctx: Any, use: Use, rule: Rule, result: Tensor, values: Tensor) -> Tensor:
        """Return the layer's result, which was computed before."""
        ctx.use, ctx.rule = use, rule
        ctx.save_for_backward(values, result)
        return result.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Distribute relevance over the inputs by the rule."""
        given, result = ctx.saved_tensors
        layer, rule = ctx.use.layer.wide(), ctx.rule
        values, result = _wide(given), _wide(result)
        relevance = result * _wide(gradients[0])
        least = rule.epsilon * result.square().mean().sqrt()
        offset = layer.offset(result)
        signs = (values.clamp(min=0), values.clamp(max=0))
        weights = (layer.weights.clamp(min=0), layer.weights.clamp(max=0))
        back = torch.zeros_like(values)
        shared = torch.zeros_like(result)
        # gamma favours positive contributions to positive outputs, negative ones to negative
        for order, chosen, bound in ((1, result >= 0, {"min": 0}), (-1, result < 0, {"max": 0})):
            favoured = torch.zeros_like(result)
            if rule.gamma:
                for sign, weight in zip(signs, weights[::order], strict=True):
                    favoured = favoured + layer.apply(sign, weight)
            whole = result + rule.gamma * (favoured + offset.clamp(**bound))
            shares = _shares(torch.where(chosen, relevance, 0.0), whole, least, order)
            shared += shares * (result - offset + rule.gamma * favoured)
            back += _backward(layer, values, layer.weights, shares)
            if rule.gamma:
                for sign, weight in zip(signs, weights[::order], strict=True):
                    extra = rule.gamma * _backward(layer, values, weight, shares)
                    back += torch.where(sign != 0, extra, 0.0)
        if ctx.use.last:
            ctx.use.kept += float((relevance - shared).double().sum())
        elif rule.share_biases:
            # the bias's share goes to the inputs in proportion to |input * weight|
            size = layer.apply(values.abs(), layer.weights.abs())
            rest = torch.where(size > 0, (relevance - shared) / size.clamp(min=1e-30), 0.0)
            back += values.sign() * _backward(layer, values, layer.weights.abs(), rest)
        return None, None, None, back.to(given.dtype)


def _wide(values: Tensor) -> Tensor:
    """Return half precision as single precision, and anything else unchanged."""
    return values.float() if values.dtype in HALF else values


def _shares(relevance: Tensor, whole: Tensor, least: Tensor, sign: int) -> Tensor:
    """Return relevance over the stabilised output, and 0 where that is 0."""
    stable = whole + sign * least
    some = stable != 0
    return torch.where(some, relevance / torch.where(some, stable, 1.0), 0.0)


def _backward(layer: Layer, values: Tensor, weights: Tensor, upstream: Tensor) -> Tensor:
    with torch.enable_grad():
        at = values.detach().requires_grad_()
        (found,) = torch.autograd.grad(layer.apply(at, weights), at, upstream)
    return found


class Ratio(torch.autograd.Function):
    """An elementwise function that passes all relevance to its input: its gradient is the ratio of
    output to input.
    """

    @staticmethod
    def forward(
        ctx: Any, function: Callable[[Tensor], Tensor], epsilon: float, values: Tensor
    ) -> Tensor:
        """Apply the function."""
        result = function(values)
        ctx.function, ctx.epsilon = function, epsilon
        ctx.save_for_backward(values, result)
        return result.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Multiply the gradient by the ratio of output to input."""
        given, result = ctx.saved_tensors
        values, result = _wide(given), _wide(result)
        with torch.enable_grad():
            at = values.detach().requires_grad_()
            (slope,) = torch.autograd.grad(ctx.function(at).sum(), at)
        silent = ctx.function(torch.zeros_like(values))
        # if f(0) is not 0, the ratio has a pole at 0
        pole = ctx.epsilon * values.square().mean().sqrt()
        least = torch.where(silent == 0, torch.zeros_like(values), pole)
        stable = torch.where(values < 0, values - least, values + least)
        some = stable != 0
        ratio = torch.where(some, result / torch.where(some, stable, 1.0), slope)
        return None, None, (gradients[0] * ratio).to(given.dtype)


class Addition(torch.autograd.Function):
    """A constant added to an input, which is a bias.

    It keeps its relevance, or passes it to the input, element by element, unless that is 0 there. A
    constant term of the score always keeps it.
    """

    @staticmethod
    def forward(
        ctx: Any, use: Use, rule: Rule, function: Callable[[Tensor], Tensor], values: Tensor
    ) -> Tensor:
        """Add the constant."""
        result = function(values)
        own = result - function(torch.zeros_like(values))  # plus or minus the input, or a multiple
        ctx.use, ctx.rule = use, rule
        ctx.save_for_backward(values, own, result)
        return result.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Pass all relevance to the input, or its own part if the constant keeps the rest."""
        given, own, result = ctx.saved_tensors
        values, own, result = _wide(given), _wide(own), _wide(result)
        if ctx.use.last:
            ctx.use.kept += float(((result - own) * gradients[0]).double().sum())
        whole = own
        if ctx.rule.share_biases and not ctx.use.last:
            whole = torch.where(own != 0, result, 0.0)
        some = values != 0
        ratio = torch.where(some, whole / torch.where(some, values, 1.0), 0.0)
        return None, None, None, (gradients[0] * ratio).to(given.dtype)
