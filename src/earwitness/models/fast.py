"""Whether a model is asked as it is or with its operations fused, decided by asking it both ways.

The first batch of every run goes through the model as it is. Two of its items go through the fused
one too, and only if the answers agree does the rest. So a model that draws at random, keeps state
between calls or does anything else that fusing cannot follow is asked as it is, and weights that
were changed in any way are noticed. Whether fusing pays is measured once per shape and kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from earwitness.models.fusion import Fusion

Ask = Callable[[Tensor], Tensor]
Agree = Callable[[Tensor, Tensor, Tensor], bool]

OUTPUT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
_ROUNDING = 2e-6
_CHECKED = 2  # items of every run that are asked both ways
_LEAST_WORK = 2_000_000  # multiplications per item, below which there is nothing to gain
_TRIALS = 2
_PAYS = 0.97


def outputs_agree(found: Tensor, wanted: Tensor, batch: Tensor) -> bool:
    """Whether outputs differ by at most 1e-4 of the standard deviation of those of the batch.

    Where the outputs hardly vary at all, rounding is allowed for.
    """
    spread = float(batch.std()) if batch.numel() > 1 else 0.0
    allowed = max(OUTPUT_TOLERANCE * spread, _ROUNDING * float(batch.abs().max()))
    return float((found - wanted).abs().max()) <= allowed


def gradients_agree(found: Tensor, wanted: Tensor, _batch: Tensor) -> bool:
    """Whether gradients differ by at most 1e-3 of their length.

    A unit that sits on the corner of a ReLU may go either way, so the whole is compared, not the
    cells.
    """
    return float((found - wanted).norm()) <= GRADIENT_TOLERANCE * float(wanted.norm())


class Fast:
    """Ask one model about many batches; kept with the model, and forgotten by copies of it.

    It holds one laid-out copy of the filters it took over, at most as large as the network (two
    where gradients are taken as well).
    """

    def __init__(self) -> None:
        self._fusion = Fusion()
        self._pays: dict[tuple[Any, ...], bool] = {}

    def __deepcopy__(self, memo: Any) -> Fast:
        return Fast()

    def __reduce__(self) -> Any:
        return (Fast, ())

    def answers(
        self, ask: Ask, batches: Iterable[Tensor], agree: Agree = outputs_agree
    ) -> Iterator[Tensor]:
        """Yield ``ask(batch)`` for every batch, drawing no more of them than needed.

        Parameters
        ----------
        ask : callable
            From inputs (batch, ...) to outputs or gradients (batch, ...), item by item.
        batches : iterable of Tensor
        agree : callable
            Whether a fused and a plain answer to the same items are the same, given the plain
            answer to their whole batch.
        """
        fused: bool | None = None
        last: tuple[Tensor, Tensor] | None = None
        for batch in batches:
            if fused is None and last is not None:
                fused, last = self._trusted(ask, *last, agree), None
            answer = self._fused(ask, batch) if fused else None
            if answer is None:
                fused = False if fused else fused
                answer = ask(batch)
                last = (batch, answer) if fused is None else None
            yield answer

    def _fused(self, ask: Ask, batch: Tensor) -> Tensor | None:
        """Return the answer of the fused model, or None if it has none."""
        try:
            with torch.random.fork_rng(devices=[]), self._fusion:
                return ask(batch)
        except Exception:  # whatever it is, the model as it is comes next and may raise it again
            return None

    def _trusted(self, ask: Ask, batch: Tensor, plain: Tensor, agree: Agree) -> bool:
        key = (agree, tuple(batch.shape[1:]), torch.get_num_threads())
        if not _possible(batch) or not self._pays.get(key, True):
            return False
        few = batch[:_CHECKED]
        for attempt in range(2):
            found = self._fused(ask, few)
            if found is None or self._fusion.work < _LEAST_WORK * len(few):
                self._pays[key] = False
                return False
            if found.shape == plain[:_CHECKED].shape and agree(found, plain[:_CHECKED], plain):
                break
            self._fusion.forget()  # a parameter may have been changed where torch does not see it
            if attempt:
                self._pays[key] = False
                return False
        if key not in self._pays:
            self._pays[key] = self._measured(ask, batch)
        return self._pays[key]

    def _measured(self, ask: Ask, batch: Tensor) -> bool:
        plain = fused = float("inf")
        for _ in range(_TRIALS):
            begun = time.perf_counter()
            self._fused(ask, batch)
            between = time.perf_counter()
            with torch.random.fork_rng(devices=[]):
                ask(batch)
            fused = min(fused, between - begun)
            plain = min(plain, time.perf_counter() - between)
        return fused < _PAYS * plain


def _possible(batch: Tensor) -> bool:
    """Whether nothing is going on that sees the model's calls itself or changes their precision."""
    return (
        batch.device.type == "cpu"
        and not torch.is_inference_mode_enabled()
        and not torch.is_autocast_enabled("cpu")
        and torch._C._len_torch_function_stack() == 0
    )
