"""Whether a model is asked as it is or in a faster way, decided by asking it both ways.

The first two items of every run go through the model as it is and through the faster way, with
operations fused and, for mixtures of the same pieces, first layers shared; only if the answers
agree does the rest go the faster way alone. So a model that draws at random, keeps state between
calls or does anything else that cannot be followed is asked as it is, and weights that were changed
in any way are noticed. Whether a way pays is measured once per shape.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from earwitness.models.agreement import outputs_agree
from earwitness.models.calls import Ask, watchable
from earwitness.models.fusion import Fusion
from earwitness.models.pattern import LEAST_WORK, Mixtures, Pattern
from earwitness.models.sharing import Sharing

Agree = Callable[[Tensor, Tensor], bool]

_CHECKED = 2  # items of every run that are asked both ways
_LEAST_ITEMS = 5  # in the first batch; what is shorter has nothing to gain
_TRIALS = 2
_TIMED = 16  # items, at most, on which time is measured
_PAYS = 0.97


@dataclass(frozen=True)
class _Trial:
    """A few items with the model's own answers to them, and more items to measure time on.

    ``shape`` is that of an item as the model reads it.
    """

    few: Tensor
    plain: Tensor
    rest: Tensor
    agree: Agree
    shape: torch.Size


class Fast:
    """Ask one model about many batches; kept with the model, and forgotten by copies of it.

    It holds one laid-out copy of the filters it took over, at most as large as the network (two
    where gradients are taken as well).
    """

    def __init__(self) -> None:
        self._fusion = Fusion()
        self._pays: dict[tuple[Any, ...], bool] = {}
        self._patterns: dict[bytes, Pattern | None] = {}

    def __deepcopy__(self, memo: Any) -> Fast:
        return Fast()

    def __reduce__(self) -> Any:
        return (Fast, ())

    def sharing(self, mixtures: Mixtures, shape: torch.Size) -> Sharing:
        """Return what decides whether mixtures of pieces, as inputs of a shape, share layers."""
        key = self._key(outputs_agree, False, shape)
        return Sharing(mixtures, self._patterns, lambda: self._pays.get(key, True))

    def _key(self, agree: Agree, fusing: bool, shape: torch.Size) -> tuple[Any, ...]:
        return (agree, fusing, shape, torch.get_num_threads())

    def answers(
        self,
        ask: Ask,
        batches: Iterable[Tensor],
        agree: Agree = outputs_agree,
        *,
        quick: Ask | None = None,
        shape: torch.Size | None = None,
    ) -> Iterator[Tensor]:
        """Yield ``ask(batch)`` for every batch, drawing no more of them than needed.

        Parameters
        ----------
        ask : callable
            From inputs (batch, ...) to outputs or gradients (batch, ...), item by item.
        batches : iterable of Tensor
        agree : callable
            Whether a faster and a plain answer to the same items are the same.
        quick : callable, optional
            What should give the same answers, only faster.
        shape : torch.Size, optional
            Of an item as the model reads it, if that is not as it comes.
        """
        ways = [quick, ask] if quick is not None else [ask]
        way: Ask | None = None
        asked = False
        for batch in batches:
            if not asked and len(batch) >= _LEAST_ITEMS:
                asked = True
                few, rest = batch[:_CHECKED], batch[_CHECKED:]
                trial = _Trial(few, ask(few), rest, agree, shape or few.shape[1:])
                way = self._best(ways, trial) if watchable(few) else None
                other = None if way is None else self._fused(way, rest)
                yield torch.cat([trial.plain, ask(rest) if other is None else other])
                continue
            answer = None if way is None else self._fused(way, batch)
            yield ask(batch) if answer is None else answer

    def _fused(self, ask: Ask, batch: Tensor) -> Tensor | None:
        """Return the answer of the fused model, or None if it has none."""
        try:
            with torch.random.fork_rng(devices=[]), self._fusion:
                return ask(batch)
        except Exception:  # whatever it is, the model as it is comes next and may raise it again
            return None

    def _best(self, ways: list[Ask], trial: _Trial) -> Ask | None:
        """Return the first way to ask that gives the plain answers and pays; the last is plain."""
        for way in ways:
            fusing = way is ways[-1]  # is all that makes it faster
            key = self._key(trial.agree, fusing, trial.shape)
            if not self._pays.get(key, True):
                continue
            if not self._agrees(way, trial, LEAST_WORK if fusing else 0):
                self._pays[key] = False
            elif key not in self._pays:
                self._pays[key] = self._measured(ways[-1], way, trial.rest[:_TIMED])
            if self._pays[key]:
                return way
        return None

    def _agrees(self, way: Ask, trial: _Trial, least: int) -> bool:
        for _ in range(2):
            found = self._fused(way, trial.few)
            if found is None or self._fusion.work < least * len(found):
                return False
            if found.shape == trial.plain.shape and trial.agree(found, trial.plain):
                return True
            self._fusion.forget()  # a parameter may have been changed where torch does not see it
        return False

    def _measured(self, ask: Ask, way: Ask, batch: Tensor) -> bool:
        plain = fused = float("inf")
        for _ in range(_TRIALS):
            begun = time.perf_counter()
            self._fused(way, batch)
            between = time.perf_counter()
            with torch.random.fork_rng(devices=[]):
                ask(batch)
            fused = min(fused, between - begun)
            plain = min(plain, time.perf_counter() - between)
        return fused < _PAYS * plain
