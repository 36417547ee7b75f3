"""What a network does with a layer's output: the activation function it goes into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_flatten

from earwitness.backward.calls import Call, is_rectifier, varies
from earwitness.backward.rules import RuleMode

ACTIVATIONS = frozenset(
    """relu relu6 hardtanh leaky_relu prelu rrelu elu selu celu gelu silu mish softplus threshold
    hardswish""".split()  # noqa: SIM905
)
_THROUGH = frozenset(["clone", "contiguous", "dropout", "dropout1d", "dropout2d", "dropout3d"])


class Following(RuleMode):
    """Follow ``start``, a tensor set within the context, into the functions that take it.

    Attributes
    ----------
    start : Tensor or None
        A layer's output.
    """

    def __init__(self) -> None:
        super().__init__(masks=True)
        self.start: Tensor | None = None
        # by the id of a followed tensor: the functions that take it, with results to follow on
        self._takers: dict[int, list[tuple[str, Tensor | None]]] = {}
        # by the id of what the network has: that, and the tensor it is a copy of
        self._copies: dict[int, tuple[Tensor, Tensor]] = {}
        self._current: tuple[Tensor, str, Tensor | None] | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if self.start is None:  # nothing to follow yet
            return func(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)

    def rule(self, call: Call) -> Tensor | None:
        """Compute an activation function of a followed tensor apart from the network's copy."""
        for one in call.sources:
            own = self._copies.get(id(one), (one, one))[1]
            if own is self.start or id(own) in self._takers:
                break
        else:
            return None
        self._takers.setdefault(id(own), [])
        active = call.name in ACTIVATIONS or is_rectifier(call)
        if not (active or call.name in _THROUGH):
            self._current = (own, call.name, None)
            return None
        result: Tensor = call.function(own)
        self._current = (own, call.name if active else "", result)
        return result.clone()  # the network may modify its own in place

    def made(self, call: Call, result: object) -> None:
        """Note who took a followed tensor, unless only its shape or a mask was taken."""
        if self._current is None:
            return
        (own, name, follow), self._current = self._current, None
        graph = any(varies(leaf) for leaf in tree_flatten(result)[0])
        if not (graph or call.in_place):
            return
        self._takers[id(own)].append((name, follow))
        if follow is not None and isinstance(result, Tensor):
            self._copies[id(result)] = (result, follow)
            if not name:
                self._takers[id(follow)] = []

    def end(self) -> tuple[Tensor, str]:
        """Return the activation that the tensor goes straight into, and the function's name.

        If there is none, or another function takes the tensor too, it is the tensor itself.
        """
        assert self.start is not None
        here = self.start
        while len(takers := self._takers.get(id(here), [])) == 1:
            name, follow = takers[0]
            if follow is None:
                break
            if name:
                return follow, name
            here = follow
        return self.start, ""
