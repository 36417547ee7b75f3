"""Layer-wise relevance propagation by rules at the level of torch functions.

Relevance is an activation times the modified gradient at it. A rule replaces the backward pass of
one function so that relevance is conserved: the relevance of the inputs sums to that of the output,
except for the share of the biases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from earwitness.backward.calls import Call, is_linear
from earwitness.backward.completeness import (
    LEAK_THRESHOLD,
    account,
    completeness,
    require_complete,
)
from earwitness.backward.functions import DIVISIONS, ELEMENTWISE, SHAPING
from earwitness.backward.linear import CONVOLUTIONS, DENSE, NORMS, Layer, normalised, read_layer
from earwitness.backward.relevance import Addition, LinearRule, Ratio, Rule, Use
from earwitness.backward.rules import Leak, Ledger, RuleMode, find_leaks, tracing
from earwitness.methods.registry import register
from earwitness.models.calling.alternatives import instead
from earwitness.probe import Probe
from earwitness.types import Map

_PRODUCTS = frozenset(["mul", "multiply", "__mul__", "__rmul__", "__imul__"]) | DENSE
_ADDITIONS = frozenset(
    [
        "add",
        "sub",
        "subtract",
        "rsub",
        "__add__",
        "__radd__",
        "__iadd__",
        "__sub__",
        "__rsub__",
        "__isub__",
    ]
)
_LIMITS = frozenset(["maximum", "minimum", "fmax", "fmin"])  # with a constant, as clamp
_GATES = frozenset(["sigmoid", "hardsigmoid", "softmax"])


class _Relevance(RuleMode):
    """The LRP rules of one pass.

    Parameters
    ----------
    convolution, dense : Rule
        For convolutions, and for all other functions.
    """

    def __init__(self, convolution: Rule, dense: Rule, ledger: Ledger | None) -> None:
        super().__init__(ledger)
        self.rules = {True: convolution, False: dense}
        # keyed by the id of an output tensor, which is kept alive so that its id is not reused:
        # layers by their outputs, and the calls whose biases are constant terms of a tensor
        self._uses: dict[int, tuple[Tensor, Use]] = {}
        self._terms: dict[int, tuple[Tensor, tuple[Use, ...]]] = {}
        self._latest: Use | None = None
        self._gates: dict[int, Tensor] = {}

    def rule(self, call: Call) -> Any:
        alone = len(call.inputs) == 1 and not call.inputs[0].is_complex()
        if call.name == "batch_norm":
            return self._folded(call) if is_linear(call) else None
        layer = read_layer(call) if alone else None
        if layer is not None:
            return self._shared(layer, call)
        if alone and (call.name in ELEMENTWISE or call.name in _LIMITS):
            values = call.inputs[0].clone()  # the network may modify its own in place
            return Ratio.apply(call.function, self.rules[False].epsilon, values)  # type: ignore[no-untyped-call]
        if len(call.inputs) == 2 and call.name in _PRODUCTS:
            return self._product(call)
        if len(call.inputs) == 2 and call.name in DIVISIONS:
            return call.function(call.inputs[0], call.inputs[1].detach())
        if call.name in NORMS and alone:
            return normalised(call, self._added)
        if call.name in _ADDITIONS and alone:
            return self._added(call.inputs[0], call.function)
        return None

    def made(self, call: Call, result: Any) -> None:
        first = id(call.sources[0])
        terms: list[Use] = []
        for one in call.sources:
            terms += [use for use in self._terms.get(id(one), (one, ()))[1] if use not in terms]
        if call.in_place:  # the tensor no longer holds the recorded output
            for known in (self._uses, self._terms, self._gates):
                known.pop(first, None)
        if isinstance(result, Tensor):
            if self._latest is not None and self._latest.layer is not None:
                self._uses[id(result)] = (result, self._latest)
                terms = []
            if self._latest is not None:
                terms.append(self._latest)
            if terms and (self._latest is not None or is_linear(call)):
                self._terms[id(result)] = (result, tuple(terms))
            if call.name in _GATES or (call.name in SHAPING and first in self._gates):
                self._gates[id(result)] = result
        self._latest = None

    def last(self, score: Tensor) -> tuple[Use, ...]:
        """Mark and return the calls whose biases are constant terms of the score."""
        found = self._terms.get(id(score), (score, ()))[1]
        for use in found:
            use.last = True
        return found

    def _added(self, values: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply the rule for an added constant."""
        values = values.broadcast_to(function(values).shape).clone()
        use = Use(None, values)
        rule = self.rules[False]
        made: Tensor = Addition.apply(use, rule, function, values)  # type: ignore[no-untyped-call]
        use.made, self._latest = made, use
        return made

    def _shared(self, layer: Layer, call: Call) -> Tensor:
        call.inputs = [call.inputs[0].clone()]  # the network may modify its own in place
        use = Use(layer, call.inputs[0], call.name in CONVOLUTIONS)
        return self._apply(use, call.function(*call.inputs))

    def _apply(self, use: Use, result: Tensor) -> Tensor:
        self._latest = use
        rule = self.rules[use.convolution]
        made: Tensor = LinearRule.apply(use, rule, result.detach(), use.values)  # type: ignore[no-untyped-call]
        use.made = made
        return made

    def _folded(self, call: Call) -> Tensor | None:
        """Apply the rule to a batch norm folded into the layer before it."""
        made, before = self._uses.get(id(call.sources[0]), (None, None))
        if made is None or before is None or before.layer is None or before.layer.channels is None:
            if not self.rules[False].share_biases:
                return None
            values = call.inputs[0].clone()
            return Ratio.apply(call.function, self.rules[False].epsilon, values)  # type: ignore[no-untyped-call]
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
        along[layer.channels or 0] = -1
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
    their contributions, or kept by the bias. A constant that is added to an activation, such as a
    position embedding or the 1 of ``log(1 + x)``, is a bias too. Those of the last layer, or added
    after it, are constant terms of the score and always keep their share. ``completeness_gap`` is
    the sum of the map minus the score without these constants, ``kept_by_biases`` is the share kept
    by other biases, and ``leaks`` lists the functions where most is kept or lost. A function
    without a rule raises an error.

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
    convolution = Rule(0.0 if rule == "epsilon" else gamma, epsilon, share)
    dense = Rule(gamma if rule == "gamma" else 0.0, epsilon, share)
    probe.require_gradients()
    values, score, _ = _propagate(probe, convolution, dense)
    details = completeness(values, score)
    leaks: list[dict[str, Any]] = []
    kept = 0.0
    if (details["completeness_share"] or 0) > LEAK_THRESHOLD:
        ledger = Ledger()
        other = partial(instead, probe.model, probe.wave[None], probe.target)
        *_, found = _propagate(probe, convolution, dense, ledger)
        leaks = account("lrp", ledger, found, details["completeness_gap"], score, other)
        kept = -sum(leak.amount for leak in found if leak.linear) / score
        lost = {**details, "completeness_gap": details["completeness_gap"] + kept * score}
        require_complete("lrp", values, lost, leaks, other)
    return Map(values, {**details, "kept_by_biases": kept, "leaks": leaks, "rule": rule})


def _propagate(
    probe: Probe, convolution: Rule, dense: Rule, ledger: Ledger | None = None
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
            made = [use.made for use in last]
            ledger.entries[:] = [
                entry
                for entry in ledger.entries
                if all(one is not own for one in entry.results for own in made)
            ]
            leaks = find_leaks(ledger, score, _has_rule)
        for use in last:
            use.kept = 0.0  # the search for leaks ran its backward pass too
        gradient = probe.differentiate(score, magnitude)[0]
    wanted = float(score.detach().double()) - sum(use.kept for use in last)
    return probe.magnitude * gradient, wanted, leaks
