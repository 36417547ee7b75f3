"""Adapters: a torch module on waveforms, a torch module on features, a black box on numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.errors import ModelError, ParameterError
from earwitness.models.frontend import FrontEnd, LinearFrontEnd
from earwitness.models.model import Model
from earwitness.types import Optimise, Output, Task


class WaveModel(Model):
    """A torch module on waveforms (batch, samples)."""

    module: nn.Module

    def _forward(self, waves: Tensor) -> Any:
        return self.module(waves.to(self.dtype))


class FeatureModel(Model):
    """A torch module on features, with the torch function that computes them from waveforms."""

    module: nn.Module

    def __init__(self, features: Callable[[Tensor], Tensor], **facts: Any) -> None:
        super().__init__(**facts)
        self._features = features

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """The network, and the features if they are a module."""
        return tuple(p for p in (self.module, self._features) if isinstance(p, nn.Module))

    def _forward(self, waves: Tensor) -> Any:
        return self.module(self._features(waves).to(self.dtype))


class SpectralModel(Model):
    """A torch module on features that a front end computes from the plane's magnitude.

    Lengths are handled in frames, so that the shortcut and the whole model agree.
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

    def __call__(self, waves: Tensor) -> Tensor:
        """Map waves (batch, samples) to outputs by way of the plane."""
        return self.from_magnitude(self.plane.analyse(waves).abs())

    def from_magnitude(self, magnitude: Tensor) -> Tensor:
        """Map magnitudes (batch, freq, frame) to outputs."""
        return self._in_frames(magnitude, self._answer)

    def from_linear(self, linear: Tensor) -> Tensor:
        """Map what the linear part of the front end gives (batch, band, frame) to outputs."""
        return self._in_frames(linear, lambda data: self._answer(data, self._rest))

    def _in_frames(self, data: Tensor, ask: Callable[[Tensor], Tensor]) -> Tensor:
        shortest = self.plane.frames(self.shortest) if self.shortest else None
        longest = self.plane.frames(self.longest) if self.longest else None
        return self._windowed(data, shortest, longest, ask)

    def windows(self, samples: int) -> list[tuple[int, int]]:
        """Return (start, length) in samples of the windows, which start on frames."""
        hop = self.plane.hop
        frames = self.plane.frames(max(samples, self.shortest or 0))
        longest = self.plane.frames(self.longest) if self.longest else None
        length = max(samples, self.shortest or 0)
        length = min(length, self.longest or length)
        return [(start * hop, length) for start in self._starts(frames, longest)]

    def _forward(self, magnitude: Tensor) -> Any:
        return self.module(self.frontend(magnitude).to(self.dtype))

    def _rest(self, linear: Tensor) -> Any:
        frontend = cast(LinearFrontEnd, self.frontend)
        return self.module(frontend.nonlinear(linear).to(self.dtype))


class BlackBox(Model):
    """Any function from numpy waveforms (batch, samples) to outputs (batch, output)."""

    def __init__(self, function: Callable[[Any], Any], **facts: Any) -> None:
        super().__init__(module=None, **facts)
        self._function = function

    def _forward(self, waves: Tensor) -> Any:
        answer = np.asarray(self._function(waves.detach().cpu().numpy().astype(np.float32)))
        if not np.issubdtype(answer.dtype, np.number):
            raise ModelError(f"{self.name}: must answer with numbers, got {answer.dtype}")
        return torch.from_numpy(np.ascontiguousarray(answer, dtype=np.float32))


def wrap(
    model: nn.Module | Callable[[Any], Any],
    *,
    sample_rate: int,
    labels: Sequence[str] | None = None,
    output: Output = "logits",
    task: Task | None = None,
    features: Callable[[Tensor], Tensor] | FrontEnd | None = None,
    lengths: tuple[float | None, float | None] = (None, None),
    per_frame: bool = False,
    optimise: Optimise = True,
    name: str | None = None,
) -> Model:
    """Tell earwitness what a model is.

    Parameters
    ----------
    model : torch.nn.Module or callable
        A module maps float waveforms (batch, samples), or ``features`` of them, to outputs
        (batch, output). Any other callable is a black box: it gets a numpy array (batch, samples)
        of float32 and returns an array (batch, output); methods that need gradients refuse it.
    sample_rate : int
        Rate in Hz of the waveforms it takes.
    labels : sequence of str, optional
        Names of the outputs; numbers if None.
    output : {"logits", "probabilities", "scores"}
        What the outputs are. It is never guessed: a softmax applied twice is a classic artefact.
    task : {"single-label", "multi-label", "regression"}, optional
        By default regression for scores, single-label otherwise.
    features : callable, optional
        For a module on features: a differentiable torch function from waveforms to its input, or a
        front end on the plane (such as ``earwitness.models.frontend.LogMel``), which lets
        explanations skip the inverse transform.
    lengths : (float or None, float or None)
        Shortest and longest sound it takes, in seconds. Others are padded with silence, or read in
        overlapping windows.
    per_frame : bool
        Whether it answers (batch, frame, output) for frames that divide the sound evenly; then a
        span of time can be explained.
    optimise : bool or "compile"
        Whether passes over many inputs use a copy of the network with batch norms folded into
        convolutions (True), one by ``torch.compile``, or the network as it is (False). Results are
        compared with the network's own in every run.
    name : str, optional

    Returns
    -------
    Model

    Raises
    ------
    ParameterError
        If the declarations contradict each other.
    """
    facts: dict[str, Any] = {
        "name": name or getattr(model, "__name__", type(model).__name__),
        "rate": sample_rate,
        "labels": labels,
        "output": output,
        "task": task,
        "lengths": lengths,
        "per_frame": per_frame,
        "optimise": optimise,
    }
    if isinstance(model, type):
        raise ParameterError(f"{model.__name__} is a class: give an instance, {model.__name__}()")
    if isinstance(model, nn.Module):
        if features is None:
            return WaveModel(module=model, **facts)
        if hasattr(features, "plane"):
            return SpectralModel(cast(FrontEnd, features), module=model, **facts)
        return FeatureModel(features, module=model, **facts)
    if not callable(model):
        raise ParameterError(f"a model is a torch module or a function, got {type(model).__name__}")
    if features is not None:
        raise ParameterError("features go with a torch module; let the function compute its own")
    return BlackBox(model, **facts)
