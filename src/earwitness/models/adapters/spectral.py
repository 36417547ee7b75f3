"""Torch modules on features that a front end computes from the plane's magnitude."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn

from earwitness.models.frontend import FrontEnd, LinearFrontEnd
from earwitness.models.model import Model


class SpectralModel(Model):
    """A torch module on features that a front end computes from the plane's magnitude.

    Lengths are handled in frames, so that outputs from magnitudes and from waveforms agree.
    """

    module: nn.Module
    frontend: FrontEnd

    def __init__(self, frontend: FrontEnd, **facts: Any) -> None:
        super().__init__(plane=frontend.plane, **facts)
        self.frontend = frontend

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """The network, and the front end if it is a module."""
        return tuple(p for p in (self.module, self.frontend) if isinstance(p, nn.Module))

    def _route(
        self, waves: Tensor, evaluate: Callable[[Tensor], Tensor], *, pooled: bool = True
    ) -> Tensor:
        return self._in_frames(self.plane.analyse(waves).abs(), evaluate, pooled=pooled)

    def from_magnitude(self, magnitude: Tensor) -> Tensor:
        """Map magnitudes (batch, freq, frame) to outputs."""
        return self._in_frames(magnitude, self._evaluate)

    def each_window_of(self, magnitude: Tensor) -> Tensor:
        """Return the outputs of every window (window, batch, output) of magnitudes."""
        return self._in_frames(magnitude, self._evaluate, pooled=False)

    def from_linear(self, linear: Tensor) -> Tensor:
        """Map bands of the front end's linear part (batch, band, frame) to outputs."""
        return self._in_frames(linear, lambda data: self._evaluate(data, self._rest))

    def _in_frames(
        self, data: Tensor, evaluate: Callable[[Tensor], Tensor], *, pooled: bool = True
    ) -> Tensor:
        shortest = self.plane.frames(self.shortest) if self.shortest else None
        longest = self.plane.frames(self.longest) if self.longest else None
        return self._windowed(data, shortest, longest, evaluate, pooled=pooled)

    def windows(self, samples: int) -> list[tuple[int, int]]:
        """Return (start, length) in samples of the windows, which start on frames."""
        hop = self.plane.hop
        shortest = self.plane.frames(self.shortest) if self.shortest else 0
        frames = max(self.plane.frames(samples), shortest)
        before = self.lengths.padding(self.plane.frames(samples), shortest)
        longest = self.plane.frames(self.longest) if self.longest else None
        length = max(samples, self.shortest or 0)
        length = min(length, self.longest or length)
        starts = self.lengths.starts(frames, longest)
        return [((start - before) * hop, length) for start in starts]

    def _forward(self, magnitude: Tensor) -> Any:
        return self.inputs.call(self.module, self._cast(self.frontend(magnitude)))

    def _rest(self, linear: Tensor) -> Any:
        frontend = cast(LinearFrontEnd, self.frontend)
        return self.inputs.call(self.module, self._cast(frontend.nonlinear(linear)))
