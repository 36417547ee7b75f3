"""Values that depend on the input outside the graph: comparisons, detached copies, indices.

``torch.where(x > 0, x, 0)`` depends on ``x`` twice, once through the mask ``x > 0``, which has no
gradient. Seen without its mask the call is linear; seen with it, it is a ReLU. So it is recorded
how each such value was computed, and a call that takes one becomes a function of the tensors that
the value was computed from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from earwitness.backward.functions import BLANK, CELLWISE, ELEMENTWISE


@dataclass(frozen=True)
class Origin:
    """How a value outside the graph was computed.

    Attributes
    ----------
    inputs : tuple of Tensor
        The tensors of the graph that it was computed from.
    versions : tuple of int
        Their version counts at that time.
    compute : callable
        From tensors by the ids of ``inputs`` to the value for these.
    elementwise : bool
        Whether each element depends on the same element of one input only.
    """

    inputs: tuple[Tensor, ...]
    versions: tuple[int, ...]
    compute: Callable[[Mapping[int, Tensor]], Tensor]
    elementwise: bool


class Origins:
    """The origins of all values outside the graph in one forward pass."""

    def __init__(self) -> None:
        # tensors are kept, so that their ids stay unique
        self._known: dict[int, tuple[Tensor, Origin]] = {}
        self._copies: dict[int, tuple[Tensor, int, Tensor, int]] = {}

    def of(self, leaf: Any) -> Origin | None:
        """Return the origin of a value; None for others, or if its inputs were written over."""
        known = self._known.get(id(leaf))
        if known is None or leaf.requires_grad:
            return None
        origin = known[1]
        fresh = all(
            one._version == v for one, v in zip(origin.inputs, origin.versions, strict=True)
        )
        return origin if fresh else None

    def copied(self, copy: Tensor, original: Tensor) -> None:
        """Record that a tensor of the graph is a copy of another, unless it is the same tensor."""
        if copy is original:  # what is contiguous already is returned as it is
            return
        self._copies[id(copy)] = (copy, copy._version, original, original._version)

    def original(self, tensor: Tensor) -> Tensor:
        """Return what a tensor is a copy of, unless either was written over since; else itself."""
        copy, own, other, version = self._copies.get(id(tensor), (tensor, -1, tensor, -1))
        if copy._version != own or other._version != version:
            return tensor
        return self.original(other)

    def evaluate(
        self, func: Callable[..., Any], name: str, in_place: bool, args: Any, kwargs: Any
    ) -> Any:
        """Call a function and record its results if they depend on the input outside the graph."""
        leaves, shape = tree_flatten((args, kwargs))
        origins = {k: one for k, leaf in enumerate(leaves) if (one := self.of(leaf)) is not None}
        graph = [
            k for k, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.requires_grad
        ]
        if name in BLANK or not (origins or graph) or (in_place and 0 in graph):
            return func(*args, **kwargs)
        if in_place and isinstance(leaves[0], Tensor):
            leaves[0] = leaves[0].detach().clone()
        result = func(*args, **kwargs)
        outputs = tree_flatten(args[0] if in_place and args else result)[0]
        distinct = {id(leaves[k]): leaves[k] for k in graph}
        distinct |= {id(one): one for origin in origins.values() for one in origin.inputs}
        inputs = tuple(distinct.values())
        local = name in CELLWISE or name in ELEMENTWISE
        local = local and len(inputs) == 1 and all(one.elementwise for one in origins.values())

        def compute(place: int, values: Mapping[int, Tensor]) -> Tensor:
            replaced = [values.get(id(leaf), leaf) for leaf in leaves]
            for k, origin in origins.items():
                replaced[k] = origin.compute(values)
            if in_place:
                replaced[0] = replaced[0].clone()
            again, named = tree_unflatten(replaced, shape)
            with torch.no_grad():
                found = func(*again, **named)
            one: Tensor = tree_flatten(replaced[0] if in_place else found)[0][place]
            return one

        for place, one in enumerate(outputs):
            if isinstance(one, Tensor) and not one.requires_grad:
                self._known[id(one)] = (
                    one,
                    Origin(
                        inputs,
                        tuple(x._version for x in inputs),
                        partial(compute, place),
                        local and one.shape == inputs[0].shape,
                    ),
                )
        return result
