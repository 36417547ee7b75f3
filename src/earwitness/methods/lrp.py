"""Layer-wise relevance propagation by rules at the level of torch functions.

Relevance is an activation times the modified gradient at it. A rule replaces the backward pass of
one function so that relevance is conserved: the relevance of the inputs sums to that of the output,
except for the share of the biases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from earwitness.backward.completeness import LEAK_THRESHOLD, account, completeness
from earwitness.backward.functions import DIVISIONS, ELEMENTWISE, SHAPING
from earwitness.backward.linear import CONVOLUTIONS, DENSE, NORMS, Layer, normalised, read_layer
from earwitness.backward.rules import (
    Call,
    Leak,
    Ledger,
    RuleMode,
    find_leaks,
    is_linear,
    tracing,
)
from earwitness.methods.registry import register
from earwitness.probe import Probe
from earwitness.types import Map

_PRODUCTS = frozenset(["mul", "multiply", "__mul__", "__rmul__", "__imul__"]) | DENSE
_GATES = frozenset(["sigmoid", "hardsigmoid", "softmax"])


@dataclass(frozen=True)
class _Rule:
    """How a layer distributes relevance: epsilon rule if gamma is 0, else gamma rule."""

    gamma: float
    epsilon: float
    share_biases: bool


@dataclass
class _Use:
    """One call of a layer in a forward pass.

    Attributes
    ----------
    layer : Layer
    values : Tensor
        Its input.
    convolution : bool
    last : bool
        Whether only linear functions follow it before the score. Its bias is then a constant term
        of the score, independent of the input.
    passed : float
        Relevance that the last layer propagated to its inputs, without the share of its bias.
    made : Tensor
        Its output.
    """

    layer: Layer
    values: Tensor
    convolution: bool
    last: bool = False
    passed: float = 0.0
    made: Tensor | None = None


class _Linear(torch.autograd.Function):
    """A linear layer whose backward pass is an LRP rule."""

    @staticmethod
    def forward(ctx: Any, use: _Use, rule: _Rule, result: Tensor, values: Tensor) -> Tensor:
        ctx.use, ctx.rule = use, rule
        ctx.save_for_backward(values, result)
        return result.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        values, result = ctx.saved_tensors
        layer, rule = ctx.use.layer, ctx.rule
        relevance = result * gradients[0]
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
            ctx.use.passed += float(shared.double().sum())
        elif rule.share_biases:
            # the bias's share goes to the inputs in proportion to |input * weight|
            size = layer.apply(values.abs(), layer.weights.abs())
            rest = torch.where(size > 0, (relevance - shared) / size.clamp(min=1e-30), 0.0)
            back += values.sign() * _backward(layer, values, layer.weights.abs(), rest)
        return None, None, None, back


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


class _Ratio(torch.autograd.Function):
    """An elementwise function that passes all relevance to its input: its gradient is the ratio of
    output to input.
    """

    @staticmethod
    def forward(
        ctx: Any, function: Callable[[Tensor], Tensor], epsilon: float, values: Tensor
    ) -> Tensor:
        result = function(values)
        ctx.function, ctx.epsilon = function, epsilon
        ctx.save_for_backward(values, result)
        return result.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        values, result = ctx.saved_tensors
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
        return None, None, gradients[0] * ratio


class _Relevance(RuleMode):
    """The LRP rules of one pass.

    Parameters
    ----------
    convolution, dense : _Rule
        For convolutions, and for all other functions.
    """

    def __init__(self, convolution: _Rule, dense: _Rule, ledger: Ledger | None) -> None:
        super().__init__(ledger)
        self.rules = {True: convolution, False: dense}
        # keyed by the id of an output tensor, which is kept alive so that its id is not reused:
        # outputs of layers, and outputs of linear functions of these
        self._uses: dict[int, tuple[Tensor, _Use]] = {}
        self._reaching: dict[int, tuple[Tensor, _Use]] = {}
        self._latest: _Use | None = None
        self._gates: dict[int, Tensor] = {}

    def rule(self, call: Call) -> Any:
        alone = len(call.inputs) == 1 and not call.inputs[0].is_complex()
        if call.name == "batch_norm":
            return self._folded(call) if is_linear(call) else None
        layer = read_layer(call) if alone else None
        if layer is not None:
            return self._shared(layer, call)
        if alone and call.name in ELEMENTWISE:
            values = call.inputs[0].clone()  # the network may modify its own in place
            return _Ratio.apply(call.function, self.rules[False].epsilon, values)  # type: ignore[no-untyped-call]
        if len(call.inputs) == 2 and call.name in _PRODUCTS:
            return self._product(call)
        if len(call.inputs) == 2 and call.name in DIVISIONS:
            return call.function(call.inputs[0], call.inputs[1].detach())
        if call.name in NORMS and alone:
            return normalised(call)
        return None

    def made(self, call: Call, result: Any) -> None:
        first = id(call.sources[0])
        if call.in_place:  # the tensor no longer holds the recorded output
            for known in (self._uses, self._reaching, self._gates):
                known.pop(first, None)
        if isinstance(result, Tensor):
            if self._latest is None and is_linear(call):
                before = self._uses.get(first) or self._reaching.get(first)
                if before is not None:
                    self._reaching[id(result)] = (result, before[1])
            if self._latest is not None:
                self._uses[id(result)] = (result, self._latest)
            if call.name in _GATES or (call.name in SHAPING and first in self._gates):
                self._gates[id(result)] = result
        self._latest = None

    def last(self, score: Tensor) -> _Use | None:
        """Mark and return the layer whose bias is a constant term of the score, if there is one."""
        found = {**self._uses, **self._reaching}.get(id(score))
        if found is not None:
            found[1].last = True
        return None if found is None else found[1]

    def _shared(self, layer: Layer, call: Call) -> Tensor:
        call.inputs = [call.inputs[0].clone()]  # the network may modify its own in place
        use = _Use(layer, call.inputs[0], call.name in CONVOLUTIONS)
        return self._apply(use, call.function(*call.inputs))

    def _apply(self, use: _Use, result: Tensor) -> Tensor:
        self._latest = use
        rule = self.rules[use.convolution]
        made: Tensor = _Linear.apply(use, rule, result.detach(), use.values)  # type: ignore[no-untyped-call]
        use.made = made
        return made

    def _folded(self, call: Call) -> Tensor | None:
        """Apply the rule to a batch norm folded into the layer before it."""
        made, before = self._uses.get(id(call.sources[0]), (None, None))
        if made is None or before is None or before.layer.channels is None:
            if not self.rules[False].share_biases:
                return None
            values = call.inputs[0].clone()
            return _Ratio.apply(call.function, self.rules[False].epsilon, values)  # type: ignore[no-untyped-call]
        layer = before.layer
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum")
        given = {**dict(zip((*names, "eps"), call.args, strict=False)), **call.kwargs}
        scale = (given["running_var"] + given.get("eps", 1e-5)).rsqrt()
        if given.get("weight") is not None:
            scale = scale * given["weight"]
        bias = ((0 if layer.bias is None else layer.bias) - given["running_mean"]) * scale
        if given.get("bias") is not None:
            bias = bias + given["bias"]
        along = [1] * layer.weights.ndim
        along[before.layer.channels] = -1
        folded = replace(layer, weights=layer.weights * scale.reshape(along), bias=bias)
        call.inputs = [before.values]
        return self._apply(replace(before, layer=folded), call.function(made))

    def _product(self, call: Call) -> Tensor:
        """Pass all relevance to the signal if the other factor is a gate, else half to each."""
        first, second = call.inputs
        places = [one for one in (*call.args, *call.kwargs.values()) if isinstance(one, Tensor)]
        gates = [id(one) in self._gates for one in places if one.requires_grad]
        if gates == [True, False]:
            return call.function(first.detach(), second)
        if gates == [False, True]:
            return call.function(first, second.detach())
        return 0.5 * (call.function(first, second.detach()) + call.function(first.detach(), second))


def _has_rule(call: Call) -> bool:
    known = _PRODUCTS | DIVISIONS | NORMS | _GATES | ELEMENTWISE
    return is_linear(call) or call.name in known


@register(
    "lrp",
    summary="the score propagated back layer by layer in proportion to each contribution",
    limits="the effect of removing a cell; the map depends on the rule",
    paper="Bach et al.: On Pixel-Wise Explanations for Non-Linear Classifier Decisions by "
    "Layer-Wise Relevance Propagation, 2015, eq. 58; Montavon et al.: Layer-Wise Relevance "
    "Propagation: An Overview, 2019, sections 10.2 and 10.3",
    signed=True,
    complete="the score minus the bias of the last layer",
    needs_gradients=True,
    linear=True,
    layerwise=True,
    cost=12,
)
def lrp(
    probe: Probe,
    *,
    rule: Literal["composite", "epsilon", "gamma"] = "composite",
    gamma: Annotated[float, Ge(0)] = 0.25,
    epsilon: Annotated[float, Ge(0)] = 1e-6,
    biases: Literal["share", "keep"] = "share",
) -> Map:
    """Propagate the score back to the magnitudes by LRP rules, function by function.

    The epsilon rule is ``R_j = sum_k a_j w_jk / (z_k + epsilon rms(z) sign(z_k)) R_k``. The gamma
    rule adds ``gamma`` times the positive contributions to a positive ``z_k`` (the negative ones to
    a negative ``z_k``), which gives smoother maps. A batch norm is folded into the layer before it.
    Elementwise functions pass all relevance on. In a product, a gate (a sigmoid or a softmax) gets
    none and two other factors get half each. The scale of a norm is held constant. Recurrent and
    attention layers are first unrolled into elementary functions.

    The relevance of a bias is distributed over the layer's inputs in proportion to the size of
    their contributions, or kept by the bias. The bias of the last layer is a constant term of the
    score and always keeps its share. ``completeness_gap`` is the sum of the map minus the score
    without that constant, ``kept_by_biases`` is the share kept by other biases, and ``leaks`` lists
    the functions where most is kept or lost. A function without a rule raises an error.

    Parameters
    ----------
    rule : str
        Composite: gamma for convolutions, epsilon for dense layers.
    gamma : float
        Weight of the positive contributions in the gamma rule; 0 for the epsilon rule.
    epsilon : float
        Stabiliser, relative to the root mean square of a layer's output.
    biases : str
        Share: all relevance goes to the input, except in layers whose inputs are all zero. Keep:
        biases keep their relevance.
    """
    share = biases == "share"
    convolution = _Rule(0.0 if rule == "epsilon" else gamma, epsilon, share)
    dense = _Rule(gamma if rule == "gamma" else 0.0, epsilon, share)
    probe.require_gradients()
    values, score, _ = _propagate(probe, convolution, dense)
    details = completeness(values, score)
    leaks: list[dict[str, Any]] = []
    kept = 0.0
    if (details["completeness_share"] or 0) > LEAK_THRESHOLD:
        ledger = Ledger()
        *_, found = _propagate(probe, convolution, dense, ledger)
        leaks = account("lrp", ledger, found, details["completeness_gap"], score)
        kept = -sum(leak.amount for leak in found if leak.linear) / score
    return Map(values, {**details, "kept_by_biases": kept, "leaks": leaks, "rule": rule})


def _propagate(
    probe: Probe, convolution: _Rule, dense: _Rule, ledger: Ledger | None = None
) -> tuple[Tensor, float, list[Leak]]:
    """Return the map, the value it should sum to, and the leaks if a ledger is given."""
    with torch.enable_grad(), probe.model.frozen(), tracing(probe.model, ledger):
        magnitude = probe.magnitude.unsqueeze(0).clone().requires_grad_()
        mode = _Relevance(convolution, dense, ledger)
        with mode:
            score = probe.score_magnitude(magnitude)
        last = mode.last(score)
        leaks = []
        if ledger is not None:
            # the share of the last layer's bias is expected and not a leak
            made = None if last is None else last.made
            ledger.entries[:] = [
                entry for entry in ledger.entries if all(one is not made for one in entry.results)
            ]
            leaks = find_leaks(ledger, score, _has_rule)
        if last is not None:
            last.passed = 0.0  # the search for leaks ran its backward pass too
        gradient = probe.differentiate(score, magnitude)[0]
    wanted = float(score.detach().double()) if last is None else last.passed
    return probe.magnitude * gradient, wanted, leaks
