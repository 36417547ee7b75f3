"""Layer-wise relevance propagation by rules at the level of functions.

Relevance is a value times the modified gradient that arrives at it. A rule replaces the backward
pass of one function so that the relevance it passes on is what it was handed, apart from what the
biases keep.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from earwitness.backward.completeness import LOOK_CLOSER, account, completeness
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
from earwitness.errors import ParameterError
from earwitness.methods.registry import register
from earwitness.probe import Probe
from earwitness.types import Map

_RULES = ("composite", "epsilon", "gamma")
_PRODUCTS = frozenset(["mul", "multiply", "__mul__", "__rmul__", "__imul__"]) | DENSE
_GATES = frozenset(["sigmoid", "hardsigmoid", "softmax"])


@dataclass(frozen=True)
class _Rule:
    """How layers share relevance out: the epsilon rule if gamma is 0, else the gamma rule."""

    gamma: float
    epsilon: float
    share_biases: bool


@dataclass
class _Use:
    """One use of a layer in a pass.

    Attributes
    ----------
    layer : Layer
    values : Tensor
        What it was given.
    convolution : bool
    last : bool
        Whether its result reaches the score through nothing but linear functions. Its bias is then
        a constant of the score, which no sound contributed.
    passed : float
        What the last layer handed on to its inputs, its bias keeping the rest.
    made : Tensor
        Its result.
    """

    layer: Layer
    values: Tensor
    convolution: bool
    last: bool = False
    passed: float = 0.0
    made: Tensor | None = None


class _Linear(torch.autograd.Function):
    """A layer whose backward pass is a rule."""

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
        # positive results favour what speaks for them, negative ones what speaks against
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
            # what would stay with the bias goes to the inputs by the size of what they contribute
            size = layer.apply(values.abs(), layer.weights.abs())
            rest = torch.where(size > 0, (relevance - shared) / size.clamp(min=1e-30), 0.0)
            back += values.sign() * _backward(layer, values, layer.weights.abs(), rest)
        return None, None, None, back


def _shares(relevance: Tensor, whole: Tensor, least: Tensor, sign: int) -> Tensor:
    """Return relevance over the stabilised whole, and 0 where there is nothing to share."""
    stable = whole + sign * least
    some = stable != 0
    return torch.where(some, relevance / torch.where(some, stable, 1.0), 0.0)


def _backward(layer: Layer, values: Tensor, weights: Tensor, upstream: Tensor) -> Tensor:
    with torch.enable_grad():
        at = values.detach().requires_grad_()
        (found,) = torch.autograd.grad(layer.apply(at, weights), at, upstream)
    return found


class _Ratio(torch.autograd.Function):
    """A function of one number that hands its relevance to its argument: the gradient is the ratio
    of result and argument.
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
        # where 0 does not give 0 the ratio has a pole there
        pole = ctx.epsilon * values.square().mean().sqrt()
        least = torch.where(silent == 0, torch.zeros_like(values), pole)
        stable = torch.where(values < 0, values - least, values + least)
        some = stable != 0
        ratio = torch.where(some, result / torch.where(some, stable, 1.0), slope)
        return None, None, gradients[0] * ratio


class _Relevance(RuleMode):
    """The rules of one pass.

    Parameters
    ----------
    convolution, dense : _Rule
        For convolutions, and for dense layers and all else.
    """

    def __init__(self, convolution: _Rule, dense: _Rule, ledger: Ledger | None) -> None:
        super().__init__(ledger)
        self.rules = {True: convolution, False: dense}
        # by the id of a result, which is held so that no id is used twice: layers, and what is
        # linear in their results
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
            values = call.inputs[0].clone()  # the network may write on its own
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
        if call.in_place:  # the tensor is no longer what it was known as
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
        """Return the layer whose bias is a constant of the score, if there is one, and mark it."""
        found = {**self._uses, **self._reaching}.get(id(score))
        if found is not None:
            found[1].last = True
        return None if found is None else found[1]

    def _shared(self, layer: Layer, call: Call) -> Tensor:
        call.inputs = [call.inputs[0].clone()]  # the network may write on its own
        use = _Use(layer, call.inputs[0], call.name in CONVOLUTIONS)
        return self._apply(use, call.function(*call.inputs))

    def _apply(self, use: _Use, result: Tensor) -> Tensor:
        self._latest = use
        rule = self.rules[use.convolution]
        made: Tensor = _Linear.apply(use, rule, result.detach(), use.values)  # type: ignore[no-untyped-call]
        use.made = made
        return made

    def _folded(self, call: Call) -> Tensor | None:
        """Let a batch norm and the layer before it share relevance as the one layer they are."""
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
        """Hand all relevance to the signal if the other factor is a gate, and halves otherwise."""
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
    summary="the score handed back layer by layer, each cell getting the share it contributed",
    limits="what would happen without a cell: it shares out the score, and each rule differently",
    paper="Bach et al.: On Pixel-Wise Explanations for Non-Linear Classifier Decisions by "
    "Layer-Wise Relevance Propagation, 2015, eq. 58; Montavon et al.: Layer-Wise Relevance "
    "Propagation: An Overview, 2019, sections 10.2 and 10.3",
    signed=True,
    complete="the score less the bias of the last layer",
    needs_gradients=True,
    cost=12,
)
def lrp(
    probe: Probe,
    *,
    rule: str = "composite",
    gamma: float = 0.25,
    epsilon: float = 1e-6,
    biases: str = "share",
) -> Map:
    """Propagate the score back to the magnitudes by LRP rules, function by function.

    The epsilon rule hands ``R_j = sum_k a_j w_jk / (z_k + epsilon rms(z) sign(z_k)) R_k`` back; the
    gamma rule adds ``gamma`` times what speaks for ``z_k`` (against it, if it is negative) to every
    contribution, which favours the stronger side and makes calmer maps. A batch norm is one with
    the layer before it. Functions of one number pass all on; of two factors a gate (a sigmoid or a
    softmax) gets nothing and equals get halves; the scale of a norm counts as constant. Recurrent
    and attention layers are written out first.

    The relevance that a bias contributed is handed on to the layer's inputs, by the size of what
    each contributes, or kept with the bias. The bias of the last layer is a constant of the score
    and always keeps its part. ``completeness_gap`` is the sum of the map minus the score less that
    constant, ``kept_by_biases`` the share that other biases kept, and ``leaks`` names where most is
    kept or lost. A function for which there is no rule is refused.

    Parameters
    ----------
    rule : {"composite", "epsilon", "gamma"}
        Composite: gamma for convolutions, epsilon for dense layers.
    gamma : float >= 0
    epsilon : float >= 0
        Relative to the root mean square of a layer's result.
    biases : {"share", "keep"}
        Share: all relevance goes to the sound, but for layers that hear nothing at all.
    """
    if biases not in ("share", "keep"):
        raise ParameterError(f"lrp: biases is share or keep, got {biases!r}")
    if rule not in _RULES or gamma < 0 or epsilon < 0:
        raise ParameterError(
            f"lrp: rule is one of {', '.join(_RULES)}, gamma and epsilon are not negative; got "
            f"{rule!r}, {gamma} and {epsilon}"
        )
    share = biases == "share"
    convolution = _Rule(0.0 if rule == "epsilon" else float(gamma), float(epsilon), share)
    dense = _Rule(float(gamma) if rule == "gamma" else 0.0, float(epsilon), share)
    probe.require_gradients()
    values, score, _ = _propagate(probe, convolution, dense)
    details = completeness(values, score)
    leaks: list[dict[str, Any]] = []
    kept = 0.0
    if (details["completeness_share"] or 0) > LOOK_CLOSER:
        ledger = Ledger()
        *_, found = _propagate(probe, convolution, dense, ledger)
        leaks = account("lrp", ledger, found, details["completeness_gap"], score)
        kept = -sum(leak.amount for leak in found if leak.linear) / score
    return Map(values, {**details, "kept_by_biases": kept, "leaks": leaks, "rule": rule})


def _propagate(
    probe: Probe, convolution: _Rule, dense: _Rule, ledger: Ledger | None = None
) -> tuple[Tensor, float, list[Leak]]:
    """Return the map, what it must add up to, and leaks if there is a ledger."""
    with torch.enable_grad(), probe.model.frozen(), tracing(probe.model, ledger):
        magnitude = probe.magnitude.unsqueeze(0).clone().requires_grad_()
        mode = _Relevance(convolution, dense, ledger)
        with mode:
            score = probe.score_magnitude(magnitude)
        last = mode.last(score)
        leaks = []
        if ledger is not None:
            # what the last layer's bias keeps is promised to no one, and so no leak
            made = None if last is None else last.made
            ledger.entries[:] = [
                entry for entry in ledger.entries if all(one is not made for one in entry.results)
            ]
            leaks = find_leaks(ledger, score, _has_rule)
        if last is not None:
            last.passed = 0.0  # looking for leaks went through it too
        gradient = probe.differentiate(score, magnitude)[0]
    wanted = float(score.detach().double()) if last is None else last.passed
    return probe.magnitude * gradient, wanted, leaks
