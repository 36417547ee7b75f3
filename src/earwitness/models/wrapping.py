"""``wrap``: describe a model, and get the adapter for it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.audio import as_audio, read_audio
from earwitness.errors import ParameterError
from earwitness.models.adapters.black_box import BlackBox
from earwitness.models.adapters.spectral import SpectralModel
from earwitness.models.adapters.torch import FeatureModel, WaveModel
from earwitness.models.calling.inputs import Inputs
from earwitness.models.calling.readout import Readout, frames_in_samples
from earwitness.models.frontend import FrontEnd
from earwitness.models.model import Model
from earwitness.plane.stft import LEAST_WINDOW, Plane, default_plane
from earwitness.types import Longer, Optimise, Output, Pad, Pool, Task

_LONGEST_WINDOW = 10.0  # s


def wrap(
    model: nn.Module | Callable[[Any], Any],
    *,
    sample_rate: int,
    labels: Sequence[str] | Mapping[Any, Any] | None = None,
    output: Output | None = None,
    task: Task | None = None,
    features: Callable[[Tensor], Tensor] | FrontEnd | None = None,
    plane: Plane | float | None = None,
    lengths: tuple[float | None, float | None] = (None, None),
    per_frame: bool = False,
    optimise: Optimise = True,
    range: tuple[float, float] | None = None,  # noqa: A002
    extra: Mapping[str, Any] | None = None,
    select: Callable[[Any], Any] | None = None,
    frames: tuple[float, float] | None = None,
    reference: Any = None,
    pad: Pad = "end",
    longer: Longer = "windows",
    pool: Pool = "mean",
    batch: Literal[1] | None = None,
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
    labels : sequence of str or mapping, optional
        Names of the outputs; numbers if None. A mapping goes from index to name (``id2label``, also
        with indices as text) or from name to index (``label2id``).
    output : {"logits", "probabilities", "scores"}, optional
        What the outputs are: by default scores of a regression, and logits otherwise. It is not
        guessed, but outputs that cannot be what they are declared as are refused with the first
        sound: logits that lie in [0, 1] and sum to one for the sound and for noise, and, if
        ``output`` is not given, any that lie in [0, 1] for both.
    task : {"single-label", "multi-label", "regression"}, optional
        By default regression for scores, single-label otherwise.
    features : callable, optional
        For a module on features: a differentiable torch function from waveforms to its input, or a
        front end on the plane (such as ``earwitness.models.frontend.LogMel``), with which
        explanations skip the inverse transform.
    plane : Plane or float, optional
        The plane of explanations, or the length of its window in seconds (rounded to a power of two
        in samples, hop a quarter of it): as long as the events to be told apart, such as 0.002 for
        calls of bats. By default that of ``features``; else window and hop of the first
        ``torch.stft`` that the network computes (or its attributes ``n_fft`` and ``hop_length``);
        else about 50 ms.
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
    extra : mapping of str to object, optional
        Constants for inputs beside the waveform, by the names of the parameters: place and week of
        a model of birds, a language. Arrays, tensors and lists of numbers are the values for one
        sound, shape (...), and are passed as (batch, ...); anything else is passed as it is.
    select : callable, optional
        From what the model returns to its outputs, such as ``lambda found: found["scores"]``.
    frames : (float, float), optional
        Window and hop in seconds of a model that cuts the sound into frames and returns them as a
        batch, (batch x frame, output), those of the first sound first. Implies ``per_frame``.
    reference : path, Audio, (samples, rate) or mapping, optional
        A sound, for a model whose outputs are embeddings: what is explained is the cosine of the
        angle between the embeddings of both sounds, a score from -1 to 1. Every batch evaluates the
        reference once more.
    pad : {"end", "start", "repeat"}
        Where silence is added to a sound shorter than ``lengths``; or the sound is repeated.
    longer : {"windows", "first", "last"}
        Whether a longer sound is read in windows, or only its beginning or end is read.
    pool : {"mean", "max", "topk"}
        Whether the outputs of windows are averaged, or the largest is taken for each output, or the
        mean of the three largest. ``Model.each_window`` returns those of every window.
    batch : 1, optional
        For a model that takes one sound at a time.
    name : str, optional

    Returns
    -------
    Model

    Raises
    ------
    ParameterError
        If the declarations contradict each other, or the model has inputs beside the waveform
        that ``extra`` has no constants for.
    """
    if isinstance(model, torch.export.ExportedProgram):
        model = model.module()
    facts: dict[str, Any] = {
        "name": name or getattr(model, "__name__", type(model).__name__),
        "rate": sample_rate,
        "labels": _names(labels),
        "output": output,
        "task": task,
        "lengths": lengths,
        "per_frame": per_frame,
        "optimise": optimise,
        "range": range,
    }
    if isinstance(model, type):
        raise ParameterError(f"{model.__name__} is a class: give an instance, {model.__name__}()")
    if not callable(model):
        raise ParameterError(f"a model is a torch module or a function, got {type(model).__name__}")
    facts["inputs"] = Inputs(model, extra, facts["name"])
    facts |= {"pad": pad, "longer": longer, "pool": pool, "batch": batch}
    facts |= _readout(facts, select, frames, reference)
    if frames is not None and hasattr(features, "plane"):
        raise ParameterError(
            "frames are those of a model on waveforms, and features on a plane have theirs"
        )
    if hasattr(features, "plane") and isinstance(model, nn.Module):
        if plane is not None:
            raise ParameterError("plane: features on a plane have their own; leave plane out")
        return SpectralModel(cast(FrontEnd, features), module=model, **facts)
    facts["plane"] = _plane(plane, sample_rate)
    if isinstance(model, nn.Module):
        if features is None:
            return WaveModel(module=model, **facts)
        return FeatureModel(features, module=model, **facts)
    if features is not None:
        raise ParameterError("features need a torch module; let the function compute its own")
    return BlackBox(model, **facts)


def _readout(
    facts: Mapping[str, Any],
    select: Callable[[Any], Any] | None,
    frames: tuple[float, float] | None,
    reference: Any,
) -> dict[str, Any]:
    """Return the read-out, and the facts that follow from it."""
    rate = facts["rate"]
    if not isinstance(rate, int | float | np.number) or not 0 < rate < math.inf:
        return {}  # an invalid rate is refused by the model
    cut = frames_in_samples(frames, float(rate))
    if reference is None:
        per_frame = {"per_frame": True} if cut else {}
        return {"readout": Readout(select, cut), **per_frame}
    given = [name for name in ("labels", "output", "task", "range") if facts[name] is not None]
    if given or facts["per_frame"] or cut:
        raise ParameterError(
            f"reference: the one output is the similarity to it; leave out "
            f"{', '.join(given) or 'frames'}"
        )
    if isinstance(reference, str | os.PathLike):
        sound = read_audio(reference, rate=int(rate))
    else:
        sound = as_audio(as_audio(reference), rate=int(rate))
    return {
        "readout": Readout(select, None, torch.from_numpy(sound.samples)),
        "labels": ("similarity",), "output": "scores", "range": (-1.0, 1.0),
    }  # fmt: skip


def _names(labels: Any) -> Any:
    """Return the names in a mapping between indices and names, in order; else what was given."""
    if isinstance(labels, set | frozenset):
        raise ParameterError("labels: a set has no order; give a list of names")
    if not isinstance(labels, Mapping):
        if hasattr(labels, "tolist"):  # an array or a tensor, of numbers perhaps
            labels = labels.tolist()
        several = isinstance(labels, Iterable) and not isinstance(labels, str)
        return list(labels) if several else labels
    pairs = list(labels.items())
    if not all(_is_index(key) for key, _ in pairs) or (
        all(isinstance(key, str) and _is_index(value, text=False) for key, value in pairs)
    ):
        pairs = [(value, key) for key, value in pairs]
    if not all(_is_index(key) for key, _ in pairs):
        raise ParameterError(
            "labels: a mapping goes from index to name or from name to index, got "
            f"{dict(list(labels.items())[:3])!r}"
        )
    by_index = {int(key): str(name) for key, name in pairs}
    missing = [k for k in range(len(pairs)) if k not in by_index]
    if missing:
        raise ParameterError(f"labels: {len(pairs)} names, but none for output {missing[0]}")
    return [by_index[k] for k in range(len(pairs))]


def _is_index(value: object, *, text: bool = True) -> bool:
    if isinstance(value, str):
        return text and value.isdecimal()
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _plane(plane: Plane | float | None, rate: int) -> Plane | None:
    """Return a plane given as such, or by its window in seconds."""
    if plane is None or not isinstance(rate, int | float | np.number) or not rate > 0:
        return None  # an invalid rate is refused by the model
    if isinstance(plane, Plane):
        if plane.rate != rate:
            raise ParameterError(f"plane: its rate is {plane.rate} Hz, the model's {rate} Hz")
        return plane
    least = LEAST_WINDOW / rate
    if not isinstance(plane, int | float | np.number) or not least <= plane <= _LONGEST_WINDOW:
        raise ParameterError(
            f"plane is a Plane, or a window of {least:.2g} to {_LONGEST_WINDOW:g} s at {rate} Hz; "
            f"got {plane!r}"
        )
    return default_plane(rate, float(plane))
