"""Sounds of lengths that a network does not take: padded, or read in windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from earwitness.errors import ParameterError
from earwitness.plane.windows import overlapped
from earwitness.types import Longer, Pad, Pool

_ROUNDING = 1e-3  # samples; a length of whole samples in seconds, times the rate, is rounded
_LEAST_SECONDS = 0.01  # s, about one frame of a spectrogram
_TOP = {"max": 1, "topk": 3}  # windows of the largest outputs that are averaged
_TOGETHER = 8  # windows evaluated in one batch, where each counts; all are too many for the caches


@dataclass(frozen=True)
class Lengths:
    """The lengths that a network takes, and how other sounds are read.

    Attributes
    ----------
    shortest, longest : int or None
        In samples.
    pad : {"end", "start", "repeat"}
        Where silence is added to a shorter sound; or the sound is repeated.
    longer : {"windows", "first", "last"}
        A longer sound is read in windows that overlap by half, or only its first or last part is.
    pool : {"mean", "max", "topk"}
        The outputs of windows are averaged, or the largest is taken for each output, or the mean of
        the three largest.
    per_frame : bool
        Whether outputs have frames; those of windows are averaged where they overlap.
    at : tuple of int or None
        Where the windows of a longer sound start, in units of its last axis, if not evenly.
    """

    shortest: int | None
    longest: int | None
    pad: Pad = "end"
    longer: Longer = "windows"
    pool: Pool = "mean"
    per_frame: bool = False
    at: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name, choices in (("pad", Pad), ("longer", Longer), ("pool", Pool)):
            value = getattr(self, name)
            if value not in get_args(choices):
                raise ParameterError(
                    f"{name} must be one of {', '.join(get_args(choices))}; got {value!r}"
                )
        if self.per_frame and self.longer != "windows":
            raise ParameterError(
                f"longer={self.longer!r} would leave frames of the sound without outputs; a model "
                "with outputs per frame reads windows"
            )
        if self.per_frame and self.pool != "mean":
            raise ParameterError(
                f"pool={self.pool!r} is for one output per window; outputs per frame are averaged "
                "where windows overlap"
            )

    def starts(self, length: int, longest: int | None) -> list[int]:
        """Return where windows start; before the sound (negative) if silence comes first."""
        if longest is None or length <= longest:
            return [0]
        if self.at is not None:
            return list(self.at)
        if self.longer != "windows":
            return [0 if self.longer == "first" else length - longest]
        hop = max(1, longest // 2)
        count = math.ceil((length - longest) / hop) + 1
        return [round(k * (length - longest) / (count - 1)) for k in range(count)]

    @property
    def deciding(self) -> int | None:
        """Number of windows that an output is pooled from; None for all of them."""
        return _TOP.get(self.pool)

    def padding(self, length: int, shortest: int | None) -> int:
        """Return how much silence comes before a sound."""
        return max((shortest or 0) - length, 0) if self.pad == "start" else 0

    def each(
        self,
        data: Tensor,
        shortest: int | None,
        longest: int | None,
        evaluate: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Pad or window the last axis and return the outputs of every window (window, batch, ...).

        Parameters
        ----------
        data : Tensor, shape (batch, ..., time)
        shortest, longest : int or None
            In units of the last axis.
        evaluate : callable
            It must not modify its input, which may be ``data`` itself.
        """
        return torch.cat(list(self._outputs(data, shortest, longest, evaluate, _TOGETHER)))

    def _outputs(
        self,
        data: Tensor,
        shortest: int | None,
        longest: int | None,
        evaluate: Callable[[Tensor], Tensor],
        together: int | None,
    ) -> Iterator[Tensor]:
        """Yield the outputs (window, batch, ...) of so many windows at a time, or of all."""
        if shortest and data.shape[-1] < shortest:
            yield evaluate(self._padded(data, shortest)).unsqueeze(0)
            return
        starts = self.starts(data.shape[-1], longest)
        size = min(longest or data.shape[-1], data.shape[-1])
        for first in range(0, len(starts), together or len(starts)):
            some = starts[first : first + (together or len(starts))]
            parts = [data[..., start : start + size] for start in some]
            inputs = torch.cat(parts) if len(parts) > 1 else parts[0].contiguous()
            yield evaluate(inputs).unflatten(0, (len(parts), len(data)))

    def read(
        self,
        data: Tensor,
        shortest: int | None,
        longest: int | None,
        evaluate: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Return the outputs (batch, ...) for data of any length, all windows in one batch."""
        length = data.shape[-1]
        (outputs,) = self._outputs(data, shortest, longest, evaluate, None)
        if self.per_frame and shortest and length < shortest:
            count = outputs.shape[-1]
            kept = math.ceil(count * length / shortest)
            first = count - kept if self.pad == "start" else 0
            return outputs[0][..., first : first + kept]
        if len(outputs) == 1:
            return outputs[0]
        if self.per_frame:
            return overlapped(outputs, self.starts(length, longest), length)
        return self.pooled(outputs)

    def pooled(self, outputs: Tensor) -> Tensor:
        """Return the outputs of windows (window, ...) as those of the sound (...)."""
        if self.deciding is None:
            return outputs.mean(dim=0)
        return outputs.topk(min(self.deciding, len(outputs)), dim=0).values.mean(dim=0)

    def _padded(self, data: Tensor, shortest: int) -> Tensor:
        missing = shortest - data.shape[-1]
        if self.pad == "repeat":
            copies = math.ceil(shortest / data.shape[-1])
            return torch.cat([data] * copies, dim=-1)[..., :shortest]
        return nn.functional.pad(data, (missing, 0) if self.pad == "start" else (0, missing))


def in_samples(
    lengths: tuple[float | None, float | None], rate: int
) -> tuple[int | None, int | None]:
    """Return (shortest, longest) of seconds in samples.

    Raises
    ------
    ParameterError
        If these are no lengths.
    """
    try:
        low, high = lengths
        for seconds in (low, high):
            if seconds is not None and not _LEAST_SECONDS <= seconds < math.inf:
                raise ValueError
    except (TypeError, ValueError):
        raise ParameterError(
            f"lengths are (shortest, longest) in seconds, from {_LEAST_SECONDS} on; got {lengths!r}"
        ) from None
    if low is not None and high is not None and low > high:
        raise ParameterError(f"lengths: the shortest ({low} s) is above the longest ({high} s)")
    shortest = None if low is None else math.ceil(low * rate - _ROUNDING)
    longest = None if high is None else math.floor(high * rate + _ROUNDING)
    return shortest, longest
