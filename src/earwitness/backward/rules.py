"""Backward rules for torch functions, independent of how a network calls them.

A network may call an activation as a module, a function or a method, in place, or one module many
times; hooks on modules miss most of these. Here a ``TorchFunctionMode`` intercepts every call of a
torch function during the forward pass, and calls that depend on the sound can get another backward
pass. Fused functions (recurrent layers, attention) are first unrolled into elementary functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

from earwitness.backward.calls import (
    Call,
    bare_name,
    inside,
    is_in_place,
    is_linear,
    read_call,
    varies,
)
from earwitness.backward.functions import SHAPING
from earwitness.backward.outside import Origins
from earwitness.backward.unfold import UNFOLDED
from earwitness.models.model import Model


@dataclass
class Entry:
    """A call in a ledger: inputs and outputs, as graph tensors and as detached copies."""

    call: Call
    inputs: list[Tensor]
    results: list[Tensor]
    taken: list[Tensor]
    given: list[Tensor]


@dataclass(frozen=True)
class Leak:
    """A call that does not conserve relevance.

    Attributes
    ----------
    at : str
        The function and its calling module.
    amount : float
        Relevance of its inputs minus relevance of its outputs, in units of the score.
    known : bool
        Whether there is a rule for the function.
    linear : bool
        Whether the function is affine, so that only its constant can leak.
    """

    at: str
    amount: float
    known: bool
    linear: bool


@dataclass
class Ledger:
    """All calls of a forward pass, in order; recorded only to find leaks.

    Attributes
    ----------
    entries : list of Entry
    path : list of str
        The modules being evaluated, the innermost last.
    strangers : list of str
        Functions that were not intercepted, with their calling module.
    """

    entries: list[Entry] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    _known: dict[int, Tensor] = field(default_factory=dict)  # kept alive, so that ids stay unique

    def enter(self, call: Call) -> None:
        """Record inputs of the call that are outputs of no intercepted call."""
        for one in call.inputs:
            if id(one) not in self._known and one.grad_fn is not None:
                self.strangers.append(one.grad_fn.name() + inside(call))
            self._known[id(one)] = one

    def leave(self, call: Call, results: list[Tensor]) -> None:
        """Record the outputs of a call."""
        values = [[one.detach().clone() for one in some] for some in (call.inputs, results)]
        self.entries.append(Entry(call, list(call.inputs), results, *values))

    def meet(self, result: Any) -> None:
        """Record tensors as outputs of an intercepted call."""
        self._known.update({id(one): one for one in tree_flatten(result)[0] if varies(one)})


class RuleMode(TorchFunctionMode):
    """Pass every call that depends on the sound to ``rule`` within the context.

    Parameters
    ----------
    ledger : Ledger, optional
        Where to record the calls.
    masks : bool
        Whether masks and other values outside the graph are part of the calls that take them, or
        constants.
    """

    def __init__(self, ledger: Ledger | None = None, *, masks: bool = False) -> None:
        super().__init__()
        self.ledger = ledger
        self.origins = Origins() if masks else None

    def rule(self, call: Call) -> Any:
        """Return the output of a call with another backward pass, or None to keep the original.

        A rule may replace ``call.inputs`` by the tensors that its output depends on.
        """
        raise NotImplementedError

    def made(self, call: Call, result: Any) -> None:
        """Process the output of a call; does nothing by default."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if not torch.is_grad_enabled():
            return self._plain(func, args, given)
        if func in UNFOLDED:
            with self:
                return UNFOLDED[func](*args, **given)
        path = self.ledger.path if self.ledger is not None else []
        call = read_call(func, args, given, path[-1] if path else "", self.origins)
        if call is None:
            return self._plain(func, args, given)
        if self.ledger is None:
            result = self.rule(call)
            if result is None:
                result = self._plain(func, args, given)
            elif call.in_place:
                result = _written(call, result)
            self._note(call, result)
            return result
        self.ledger.enter(call)
        # separate input tensors, so that the gradient through this call alone can be computed
        call.inputs = [one.clone() if call.in_place else one.view_as(one) for one in call.inputs]
        ruled = self.rule(call)
        result = call.function(*call.inputs) if ruled is None else ruled
        if not any(map(varies, tree_flatten(result)[0])) and not call.in_place:
            return self._plain(func, args, given)
        results = [one for one in tree_flatten(result)[0] if varies(one)]
        if results:
            self.ledger.leave(call, results)
        if call.in_place:
            result = _written(call, result)
        elif isinstance(result, Tensor) and not result._is_view():
            result = result.clone()  # in-place changes must not reach the ledger's copy
        self.ledger.meet(result)
        self._note(call, result)
        return result

    def _note(self, call: Call, result: Any) -> None:
        if self.origins is not None and call.name in ("clone", "contiguous"):
            self.origins.copied(result, call.sources[0])
        self.made(call, result)

    def _plain(self, func: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """Make a call as it is; what it computes outside the graph is recorded."""
        if self.origins is None:
            return func(*args, **given)
        name = getattr(func, "__name__", "")
        in_place = is_in_place(name, args, given)
        return self.origins.evaluate(func, bare_name(name), in_place, args, given)


def _written(call: Call, result: Tensor) -> Tensor:
    """Copy a result into the first argument of an in-place function."""
    own: Tensor = call.args[0] if call.args else call.kwargs["input"]
    if call.name in SHAPING:  # squeeze_ and the like change its shape too
        call.func(*call.args, **call.kwargs)
    return own.copy_(result)


@contextmanager
def tracing(model: Model, ledger: Ledger | None) -> Iterator[None]:
    """Keep ``ledger.path`` at the module being evaluated; hooks are removed afterwards."""
    if ledger is None:
        with nullcontext():
            yield
        return
    path, handles = ledger.path, []
    try:
        for part in model.parts:
            for name, module in part.named_modules():
                if isinstance(module, torch.jit.ScriptModule):
                    continue  # it does not support hooks
                title = name or type(part).__name__
                handles.append(
                    module.register_forward_pre_hook(lambda *_, title=title: path.append(title))
                )
                handles.append(
                    module.register_forward_hook(lambda *_: (path.pop(), None)[1], always_call=True)
                )
        yield
    finally:
        for handle in handles:
            handle.remove()


def find_leaks(
    ledger: Ledger,
    score: Tensor,
    has_rule: Callable[[Call], bool],
    reference: Ledger | None = None,
) -> list[Leak]:
    """Return the calls that lose or create relevance, the largest amounts first.

    Relevance is a tensor's value (or its change from a reference) times its gradient. For each call
    the relevance of the inputs through this call is compared with that of the outputs.

    Parameters
    ----------
    ledger : Ledger
        Ledger of the forward pass that computed ``score``.
    score : Tensor, shape (1,)
    has_rule : callable
        Returns whether there is a rule for a call.
    reference : Ledger, optional
        Ledger of the same network for the reference input.
    """
    entries = ledger.entries
    others: list[Entry | None] = [*(reference.entries if reference else [None] * len(entries))]
    if len(others) != len(entries):
        return []
    every = [one for entry in entries for one in entry.results]
    arriving = iter(torch.autograd.grad(score.sum(), every, retain_graph=True, allow_unused=True))
    leaks: list[Leak] = []
    for entry, other in zip(entries, others, strict=True):
        arrived = [next(arriving) for _ in entry.results]
        live = [k for k, gradient in enumerate(arrived) if gradient is not None]
        if not live:
            continue
        passed = torch.autograd.grad(
            [entry.results[k] for k in live],
            entry.inputs,
            [arrived[k] for k in live],
            retain_graph=True,
            allow_unused=True,
        )
        sides = [
            (entry.taken, other.taken if other else None, passed),
            (entry.given, other.given if other else None, arrived),
        ]
        inwards, outwards = (
            sum(
                _product(value - (there[k] if there else 0), gradients[k])
                for k, value in enumerate(values)
            )
            for values, there, gradients in sides
        )
        where = entry.call.title + inside(entry.call)
        leaks.append(Leak(where, inwards - outwards, has_rule(entry.call), is_linear(entry.call)))
    return sorted(leaks, key=lambda leak: -abs(leak.amount))


def _product(values: Tensor, gradient: Tensor | None) -> float:
    if gradient is None:
        return 0.0
    product = (values.conj() * gradient).real if values.is_complex() else values * gradient
    return float(product.detach().double().sum())
