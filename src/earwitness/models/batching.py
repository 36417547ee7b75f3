"""Whether a model's output for one input depends on the other inputs of its batch.

It does for a dB floor relative to the maximum of a batch, a division by the batch's peak, batch
statistics in normalisation, dynamic quantisation, and recurrent layers along the wrong axis. Such a
model is evaluated on one input at a time, because an explanation is of the model on one sound.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from earwitness.errors import EarwitnessError

_TOLERANCE = 1e-4  # relative to the standard deviation of outputs; batching rounds differently
_ROUNDING = 32  # units in the last place of the model's precision
_QUIET = 1e-3  # -60 dB; below a floor of 80 dB under a louder input's maximum
Evaluate = Callable[[Tensor], Tensor]


class Batching:
    """Decides once per model and length of input whether batches are evaluated at once.

    Parameters
    ----------
    alone : bool
        Whether the model was declared to take one input at a time.
    """

    def __init__(self, *, alone: bool = False) -> None:
        self.alone = alone
        self._together: dict[int, bool] = {}

    @property
    def one_by_one(self) -> bool:
        """Whether outputs depended on the batch, or batches failed, at any length."""
        return self.alone or not all(self._together.values())

    def together(self, data: Tensor, evaluate: Evaluate, precision: torch.dtype) -> bool:
        """Return whether inputs like ``data`` (batch, ...) can be evaluated in one batch.

        Three inputs (the first of the batch, its first half 60 dB lower, and noise) are evaluated
        together and alone. A model whose outputs for equal inputs differ draws at random; it is
        evaluated in batches.
        """
        length = data.shape[-1]
        if self.alone:
            return False
        if length not in self._together:
            self._together[length] = True  # while it is being decided
            with torch.no_grad():
                self._together[length] = _independent(data.detach(), evaluate, precision)
        return self._together[length]


def _independent(data: Tensor, evaluate: Evaluate, precision: torch.dtype) -> bool:
    items, alone = [], []
    for item in _different(data[:1]):
        output = _tried(item, evaluate)
        if output is not None:
            items.append(item)
            alone.append(output)
    if len(items) < 2:
        return True
    again = _tried(items[0], evaluate)
    wanted = torch.cat(alone).float()
    allowed = _allowed(wanted, data.device, precision)
    if again is None or _distance(again, alone[0]) > allowed:
        return True
    found = _tried(torch.cat(items), evaluate)
    return found is not None and found.shape == wanted.shape and _distance(found, wanted) <= allowed


def _different(item: Tensor) -> list[Tensor]:
    """Return inputs (1, ...) of different level and content; magnitudes stay non-negative."""
    length = item.shape[-1]
    quiet = _QUIET * item
    quiet[..., length // 2 :] = 0
    noise = torch.randn(item.shape, generator=torch.Generator().manual_seed(0)).to(item)
    noise = noise.abs() if bool((item >= 0).all()) else noise
    return [item, quiet, noise * item.square().mean().sqrt().clamp(min=_QUIET)]


def _tried(data: Tensor, evaluate: Evaluate) -> Tensor | None:
    try:
        return evaluate(data)
    except EarwitnessError:  # if it concerns the input itself, its own evaluation raises it again
        return None


def _allowed(wanted: Tensor, device: torch.device, precision: torch.dtype) -> float:
    """Return the largest difference that rounding can make."""
    smallest = torch.finfo(precision).eps
    if device.type == "cuda" and torch.backends.cudnn.allow_tf32:
        smallest = max(smallest, 2.0**-10)  # TF32 has ten bits of mantissa
    spread = max(_TOLERANCE, _ROUNDING * smallest) * float(wanted.std())
    return max(spread, _ROUNDING * smallest * float(wanted.abs().max()))


def _distance(found: Tensor, wanted: Tensor) -> float:
    return float((found.float() - wanted.float()).abs().max())
