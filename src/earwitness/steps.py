"""Steps of a path in batches, and their gradients, of which single ones may be undefined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from earwitness.errors import EarwitnessError, ModelError, NotApplicableError

T = TypeVar("T")
_MOST = 0.1  # share of the steps; with more undefined, the rest is no longer the path


class Steps:
    """Weights of the steps of a path; a step without a finite gradient is left out.

    The weight of such a step goes to the next one, or to the last if there is none.

    Parameters
    ----------
    name : str
        The model's, for messages.
    weights : sequence of float

    Attributes
    ----------
    skipped : list of int
        Numbers of the steps left out so far, from 0.
    """

    def __init__(self, name: str, weights: Sequence[float]) -> None:
        self.skipped: list[int] = []
        self._name, self._weights = name, list(weights)
        self._done, self._waiting = 0, 0.0
        self._last: Tensor | None = None
        self._error: EarwitnessError = undefined_gradients(name)

    def sum(self, gradient: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
        """Return the weighted sum of the gradients at the next steps, shape (...).

        Parameters
        ----------
        gradient : callable
            From a batch of points to their gradients, both of shape (batch, ...).
        batch : Tensor
            The next points of the path.

        Raises
        ------
        EarwitnessError
            As soon as more than one step in ten is undefined, or all of them are.
        """
        found = self._each(gradient, batch)
        shares = torch.zeros(len(batch))
        first = self._done
        for row, one in enumerate(found):
            self._waiting += self._weights[first + row]
            if one is None:
                self.skipped.append(first + row)
            else:
                self._last, shares[row], self._waiting = one, self._waiting, 0.0
        self._done += len(found)
        if self._last is None or len(self.skipped) > max(1.0, _MOST * len(self._weights)):
            raise self._error
        if self._done == len(self._weights) and self._waiting:
            found[-1], shares[-1] = self._last, self._waiting
        rows = torch.stack([torch.zeros_like(self._last) if one is None else one for one in found])
        return torch.tensordot(shares.to(rows), rows, dims=1)

    def _each(self, gradient: Callable[[Tensor], Tensor], batch: Tensor) -> list[Tensor | None]:
        """Return the gradient of each point, or None where it is undefined."""
        try:
            found = gradient(batch)
        except ModelError as error:  # at one of them, perhaps
            if len(batch) > 1:
                return [one for point in batch.split(1) for one in self._each(gradient, point)]
            self._error = error
            return [None]
        finite = torch.isfinite(found).flatten(1).all(dim=1).tolist()
        return [one if good else None for one, good in zip(found, finite, strict=True)]


def undefined_gradients(name: str) -> NotApplicableError:
    """Return the error for gradients that are not finite."""
    return NotApplicableError(
        f"{name} has infinite or undefined gradients at this sound (a root or a logarithm at "
        "silence, perhaps); add a small constant there, or use lime or occlusion"
    )


def no_gradient(name: str, layer: str = "") -> NotApplicableError:
    """Return the error for a score that does not depend differentiably on sound or layer."""
    if layer:
        return NotApplicableError(
            f"the score of {name} does not depend on its layer {layer!r}: the gradient there is "
            "zero or undefined (the layer leads to another output, or the graph is detached after "
            "it); name another layer, or use integrated-gradients"
        )
    return NotApplicableError(
        f"the score of {name} does not depend differentiably on its waveform (an operation in the "
        "model or its features detaches the graph); use lime or occlusion"
    )


def chunks(maps: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield maps in lists of at most ``size``; the iterable is consumed lazily."""
    some: list[T] = []
    for one in maps:
        some.append(one)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
