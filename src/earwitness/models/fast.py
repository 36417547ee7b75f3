"""Whether a model is asked as it is or with its operations fused, decided by asking it both ways.

The first two items of every run go through the model as it is and through the fused one, and only
if the answers agree does the rest go through the fused one alone. So a model that draws at random,
keeps state between calls or does anything else that fusing cannot follow is asked as it is, and
weights that were changed in any way are noticed. Whether fusing pays is measured once per shape.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from earwitness.models.fusion import Fusion

Ask = Callable[[Tensor], Tensor]
Agree = Callable[[Tensor, Tensor], bool]

OUTPUT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
_ROUNDING = 5e-6
_CHECKED = 2  # items of every run that are asked both ways
_LEAST_ITEMS = 5  # in the first batch; what is shorter has nothing to gain
_LEAST_WORK = 2_000_000  # multiplications per item, below which there is nothing to gain
_TRIALS = 2
_PAYS = 0.97


def outputs_agree(found: Tensor, wanted: Tensor) -> bool:
    """Whether outputs differ by at most 1e-4 of their standard deviation, over items and outputs.

    Where the outputs hardly vary at all, rounding is allowed for.
    """
    allowed = max(OUTPUT_TOLERANCE * float(wanted.std()), _ROUNDING * float(wanted.abs().max()))
    return float((found - wanted).abs().max()) <= allowed


def gradients_agree(found: Tensor, wanted: Tensor) -> bool:
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
            Whether a fused and a plain answer to the same items are the same.
        """
        fused: bool | None = None
        for batch in batches:
            if fused is None and len(batch) >= _LEAST_ITEMS:
                few, rest = batch[:_CHECKED], batch[_CHECKED:]
                plain = ask(few)
                fused = self._trusted(ask, few, plain, rest, agree)
                other = self._fused(ask, rest) if fused else None
                yield torch.cat([plain, ask(rest) if other is None else other])
                continue
            answer = self._fused(ask, batch) if fused else None
            yield ask(batch) if answer is None else answer

    def _fused(self, ask: Ask, batch: Tensor) -> Tensor | None:
        """Return the answer of the fused model, or None if it has none."""
        try:
            with torch.random.fork_rng(devices=[]), self._fusion:
                return ask(batch)
        except Exception:  # whatever it is, the model as it is comes next and may raise it again
            return None

    def _trusted(self, ask: Ask, few: Tensor, plain: Tensor, rest: Tensor, agree: Agree) -> bool:
        key = (agree, tuple(few.shape[1:]), torch.get_num_threads())
        if not _possible(few) or not self._pays.get(key, True):
            return False
        for _ in range(2):
            found = self._fused(ask, few)
            if found is None or self._fusion.work < _LEAST_WORK * len(few):
                break
            if found.shape == plain.shape and agree(found, plain):
                if key not in self._pays:
                    self._pays[key] = self._measured(ask, rest)
                return self._pays[key]
            self._fusion.forget()  # a parameter may have been changed where torch does not see it
        self._pays[key] = False
        return False

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
