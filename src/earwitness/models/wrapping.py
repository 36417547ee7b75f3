"""``wrap``: describe a model, and get the adapter for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from torch import Tensor, nn

from earwitness.errors import ParameterError
from earwitness.models.adapters.black_box import BlackBox
from earwitness.models.adapters.spectral import SpectralModel
from earwitness.models.adapters.torch import FeatureModel, WaveModel
from earwitness.models.frontend import FrontEnd
from earwitness.models.model import Model
from earwitness.types import Optimise, Output, Task


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
    range: tuple[float, float] | None = None,  # noqa: A002
    name: str | None = None,
) -> Model:
    """Wrap a torch module or a function as a model.

    Parameters
    ----------
    model : torch.nn.Module or callable
        A module maps float waveforms (batch, samples), or ``features`` of them, to outputs
        (batch, output). Any other callable is a black box: it gets a numpy array (batch, samples)
        of float32 and returns an array (batch, output); methods that need gradients refuse it.
    sample_rate : int
        Sampling rate in Hz of its input.
    labels : sequence of str, optional
        Names of the outputs; numbers if None.
    output : {"logits", "probabilities", "scores"}
        What the outputs are. It is not guessed, because a softmax applied twice is a common error.
    task : {"single-label", "multi-label", "regression"}, optional
        By default regression for scores, single-label otherwise.
    features : callable, optional
        For a module on features: a differentiable torch function from waveforms to its input, or a
        front end on the plane (such as ``earwitness.models.frontend.LogMel``), with which
        explanations skip the inverse transform.
    lengths : (float or None, float or None)
        Shortest and longest sound that it takes, in seconds. Shorter sounds are padded with
        silence, longer ones are read in overlapping windows.
    per_frame : bool
        Whether its outputs are (batch, frame, output), for frames that divide the sound evenly; a
        span of time can then be explained.
    optimise : bool or "compile"
        Whether passes on many inputs use a copy of the network with batch norms folded into
        convolutions (True), a copy by ``torch.compile``, or the network itself (False). Results
        are compared with those of the network in every run.
    range : (float, float), optional
        Least and largest value of scores, such as ``(1, 5)`` for a mean opinion score. Effects are
        stated as a share of it.
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
        "range": range,
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
        raise ParameterError("features need a torch module; let the function compute its own")
    return BlackBox(model, **facts)
