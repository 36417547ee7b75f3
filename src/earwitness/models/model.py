"""The interface of a model, independent of its framework."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from threading import RLock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.errors import EarwitnessError, ModelError, ParameterError
from earwitness.files import same_folder
from earwitness.models.batching import Batching
from earwitness.models.calling.failures import failure
from earwitness.models.calling.inputs import Inputs
from earwitness.models.calling.lengths import Lengths, in_samples
from earwitness.models.calling.modes import differentiable_kernels, evaluating, frozen
from earwitness.models.calling.readout import Readout, similarity
from earwitness.models.calling.restoring import fixed_draws, kept_buffers
from earwitness.models.frontend import FrontEnd
from earwitness.models.outputs import check_count, check_values, shaped, value_range
from earwitness.plane.observed import observed_plane
from earwitness.plane.stft import Plane, default_plane
from earwitness.types import Longer, Optimise, Output, Pad, Pool, Task

_TASKS = ("single-label", "multi-label", "regression")
_OUTPUTS = ("logits", "probabilities", "scores")
_TURN = RLock()  # one thread at a time uses a model


class Model(ABC):
    """A model on mono waveforms, with the facts needed to evaluate it.

    Calling it maps waves (batch, samples) at ``rate`` to outputs (batch, output), or (batch,
    output, frame) if it has outputs per frame. Sounds shorter than ``shortest`` are padded with
    silence at the end; sounds longer than ``longest`` are read in windows that overlap by half, and
    the outputs of the windows are averaged, those per frame where they overlap.

    Attributes
    ----------
    name : str
    rate : int
        Sampling rate in Hz.
    labels : tuple of str
        Names of the outputs.
    task : str
        ``single-label`` (one of many), ``multi-label`` (several at once) or ``regression``.
    output : str
        What the outputs are: ``logits``, ``probabilities`` or ``scores``.
    declared : bool
        Whether ``output`` was given, and is not the default.
    labelled : bool
        Whether ``labels`` were given.
    per_frame : bool
        Whether it has outputs for every frame of the sound.
    shortest, longest : int or None
        Range of lengths that it takes, in samples.
    plane : Plane
        The plane of its explanations.
    frontend : FrontEnd or None
        Present if it can be evaluated on magnitudes (``from_magnitude``).
    module : torch.nn.Module or None
        The network; None for a black box.
    differentiable : bool
        Whether gradients reach the waveform.
    optimise : bool or "compile"
        How forward passes on many inputs are accelerated (``earwitness.models.prepare``).
    source : str
        Digest of the Python files that made it, if it was loaded from one; else empty.
    loaded : str
        The name that ``load_model`` loaded it by; empty if it was wrapped.
    notes : tuple of str
        What every explanation of it should say.
    range : (float, float) or None
        Least and largest value of a regression, if declared.
    inputs : Inputs
        Its inputs beside the waveform, which are constants.
    trained_seconds : float or None
        Length of the sounds it was trained on, if known: that of the windows of a scan.
    """

    frontend: FrontEnd | None = None
    source = ""
    loaded = ""
    notes: tuple[str, ...] = ()
    trained_seconds: float | None = None

    def __init__(
        self,
        *,
        name: str,
        rate: int,
        labels: Sequence[str] | None,
        output: Output | None,
        task: Task | None,
        lengths: tuple[float | None, float | None],
        module: nn.Module | None,
        plane: Plane | None = None,
        per_frame: bool = False,
        optimise: Optimise = True,
        range: tuple[float, float] | None = None,  # noqa: A002
        inputs: Inputs | None = None,
        batch: int | None = None,
        pad: Pad = "end",
        longer: Longer = "windows",
        pool: Pool = "mean",
        readout: Readout | None = None,
    ) -> None:
        if optimise not in (True, False, "compile"):
            raise ParameterError(f"optimise is True, False or 'compile', got {optimise!r}")
        self.declared, self.labelled = output is not None, labels is not None
        if output is None:
            output = "scores" if task == "regression" else "logits"
        if output not in _OUTPUTS:
            raise ParameterError(f"output must be one of {', '.join(_OUTPUTS)}; got {output!r}")
        self.task: Task = task or ("regression" if output == "scores" else "single-label")
        if self.task not in _TASKS:
            raise ParameterError(f"task must be one of {', '.join(_TASKS)}; got {task!r}")
        if (self.task == "regression") != (output == "scores"):
            raise ParameterError(
                f"task {self.task!r} does not go with output {output!r}: regression has scores, "
                "classifiers have logits or probabilities"
            )
        if not isinstance(rate, int | float | np.number) or not rate > 0 or rate % 1:
            raise ParameterError(f"sample_rate must be a positive whole number, got {rate!r}")
        if labels is None and self.task == "regression":
            labels = ("value",)
        if isinstance(labels, str) or (labels is not None and not isinstance(labels, Iterable)):
            raise ParameterError(f"labels is a list of names, got {labels!r}")
        if labels is not None and len(set(map(str, labels))) != len(labels):
            raise ParameterError("labels must all be different")
        self.name = name
        self.rate = int(rate)
        self.output: Output = output
        self.per_frame = bool(per_frame)
        self.module = module
        self._plane = plane
        self.lengths = Lengths(
            *in_samples(lengths, self.rate), pad, longer, pool, per_frame=self.per_frame
        )
        self._labels = None if labels is None else tuple(map(str, labels))
        self.optimise: Optimise = optimise
        self.range = value_range(range, self.task)
        if batch not in (None, 1):
            raise ParameterError(f"batch is 1 for a network of one sound at a time, got {batch!r}")
        self._batching = Batching(alone=batch == 1)
        self.inputs = inputs or Inputs()
        self._readout = readout or Readout()

    def __repr__(self) -> str:
        return f"<Model {self.name}: {self.task}, {len(self.labels)} outputs, {self.rate} Hz>"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the outputs; numbers, found by one forward pass, if none were given."""
        if self._labels is None:
            with self.undisturbed(), torch.no_grad():
                samples = self.shortest or self.rate
                self(torch.zeros(1, samples, device=self.device))
        return self._labels or ()

    def forget_labels(self) -> None:
        """Number the outputs, as if no labels had been given."""
        self._labels, self.labelled = None, False

    @property
    def plane(self) -> Plane:
        """The plane of its explanations: the given one, the model's own, or the default."""
        if self._plane is None:
            self._plane = self._own_plane() or default_plane(self.rate)
        return self._plane

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """All torch modules of the model, the network first."""
        return () if self.module is None else (self.module,)

    @property
    def differentiable(self) -> bool:
        """Whether gradients reach the waveform."""
        return self.module is not None

    @property
    def device(self) -> torch.device:
        """Device of its parameters."""
        tensor = self._first_tensor()
        return torch.device("cpu") if tensor is None else tensor.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of its parameters; float32 if it has none."""
        tensor = self._first_tensor()
        return torch.float32 if tensor is None else tensor.dtype

    def to(self, device: str | torch.device) -> Model:
        """Move everything to a device and return the model."""
        for part in self.parts:
            part.to(device)
        return self

    def __call__(self, waves: Tensor) -> Tensor:
        """Map waves (batch, samples) to outputs (batch, output[, frame])."""
        return self._route(waves, self._evaluate)

    def settle(self, waves: Tensor) -> Tensor:
        """Return the same as a call, after deciding whether inputs can share a batch.

        A call decides it for the first batch of several inputs. Methods that record layers need it
        decided before.
        """

        def settled(data: Tensor) -> Tensor:
            self._batching.together(data, self._evaluate_together, self.dtype)
            return self._evaluate(data)

        return self._route(waves, settled)

    def fixed(self, wave: Tensor) -> Model:  # noqa: ARG002 - for those that measure something
        """Return the model with what its features measure of a whole sound fixed to this one's.

        Features that are relative to the loudest band of the sound change everywhere where that
        band is masked. With the level of the input fixed, they change where the sound does.

        Parameters
        ----------
        wave : Tensor, shape (samples,)
        """
        return self

    @property
    def one_by_one(self) -> bool:
        """Whether it is evaluated on one input at a time, because inputs of a batch interact."""
        return self._batching.one_by_one

    @property
    def declared_alone(self) -> bool:
        """Whether it was declared to take one input at a time."""
        return self._batching.alone

    def _route(
        self, waves: Tensor, evaluate: Callable[[Tensor], Tensor], *, pooled: bool = True
    ) -> Tensor:
        return self._windowed(waves, self.shortest, self.longest, evaluate, pooled=pooled)

    def from_magnitude(self, magnitude: Tensor) -> Tensor:
        """Map magnitudes on the plane (batch, freq, frame) to outputs, without an inverse."""
        raise NotImplementedError(f"{self.name} has no front end on the plane")

    def from_linear(self, linear: Tensor) -> Tensor:
        """Map bands of the front end's linear part (batch, band, frame) to outputs."""
        raise NotImplementedError(f"{self.name} has no front end with a linear part")

    def windows(self, samples: int) -> list[tuple[int, int]]:
        """Return (start, length) in samples of the windows in which a sound is read.

        The start is negative where silence is put before a short sound.
        """
        length = max(samples, self.shortest or 0)
        before = self.lengths.padding(samples, self.shortest)
        starts = self.lengths.starts(length, self.longest)
        return [(start - before, min(length, self.longest or length)) for start in starts]

    def each_window(self, waves: Tensor) -> Tensor:
        """Return the outputs of every window (window, batch, output[, frame]), before pooling."""
        return self._route(waves, self._evaluate, pooled=False)

    @property
    def shortest(self) -> int | None:
        """Shortest sound that it takes, in samples."""
        return self.lengths.shortest

    @property
    def longest(self) -> int | None:
        """Longest sound that it takes, in samples."""
        return self.lengths.longest

    @abstractmethod
    def _forward(self, waves: Tensor) -> Any:
        """Evaluate the network on waves of a length that it takes."""

    def _evaluate(self, data: Tensor, forward: Callable[[Tensor], Any] | None = None) -> Tensor:
        """Evaluate in one batch, or one by one if inputs of a batch affect each other."""

        def evaluate(some: Tensor) -> Tensor:
            return self._evaluate_together(some, forward)

        if len(data) > 1 and not self._batching.together(data, evaluate, self.dtype):
            return torch.cat([evaluate(one) for one in data.split(1)])
        return evaluate(data)

    def _evaluate_together(
        self, data: Tensor, forward: Callable[[Tensor], Any] | None = None
    ) -> Tensor:
        forward = forward or self._forward
        try:
            outputs = forward(data.clone())  # may modify its input
        except EarwitnessError:
            raise
        except (Exception, SystemExit) as error:
            raise failure(self, error, data, forward) from error
        return self._checked(self._read_out(outputs, data), len(data))

    def _read_out(self, outputs: Any, data: Tensor) -> Any:
        """Return what is explained of what the network returned for data (batch, ...)."""
        outputs = self._readout(outputs, len(data), data.shape[-1])
        if self._readout.reference is None:
            return outputs
        reference = self._readout.reference.to(self.device).unsqueeze(0)
        with torch.no_grad():
            embedding = self._route(reference, self._embed)
        return similarity(self._embeddings(outputs, len(data)), embedding)

    def _embed(self, data: Tensor) -> Tensor:
        found = self._readout(self._forward(data.clone()), len(data), data.shape[-1])
        return self._embeddings(found, len(data))

    def _embeddings(self, outputs: Any, batch: int) -> Tensor:
        if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != batch:
            shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise ModelError(
                f"{self.name}: embeddings must be ({batch}, dimension), got {shape}; choose them "
                "with select="
            )
        return outputs

    def _cast(self, data: Tensor) -> Tensor:
        """Return data in the precision of the parameters; complex features stay complex."""
        return data if data.is_complex() else data.to(self.dtype)

    def _own_plane(self) -> Plane | None:
        """Return the plane of a spectrogram that the model computes itself, if it does."""
        if self.module is None:
            return None
        samples = self.shortest or min(self.rate, self.longest or self.rate)
        with self.undisturbed(), torch.no_grad():
            noise = 0.1 * torch.randn(1, samples, device=self.device)
            return observed_plane(self.parts, self._forward, noise, self.rate)

    def _windowed(
        self,
        data: Tensor,
        shortest: int | None,
        longest: int | None,
        evaluate: Callable[[Tensor], Tensor],
        *,
        pooled: bool,
    ) -> Tensor:
        """Pad or window the last axis to lengths of the network, evaluate, and pool windows."""
        read = self.lengths.read if pooled else self.lengths.each
        return read(data, shortest, longest, evaluate)

    def _checked(self, outputs: Any, batch: int) -> Tensor:
        outputs = shaped(self, outputs, batch)
        if self._labels is None:
            self._labels = tuple(str(index) for index in range(outputs.shape[1]))
        check_count(self, outputs, len(self._labels))
        check_values(self, outputs.detach())
        return outputs

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Run the model in evaluation mode with a fixed seed; restore all that it may change.

        These are modes, buffers, random states and the process's folder. Other threads wait for the
        end, because these belong to the process or to a network that models may share.

        A model that draws at random makes the same draws in every use.
        """
        with (
            _TURN,
            same_folder(),
            kept_buffers(self.parts),
            evaluating(self.parts),
            fixed_draws(),
            differentiable_kernels(self.parts, self.device),
        ):
            yield

    def frozen(self) -> AbstractContextManager[None]:
        """Switch off gradients of parameters, and restore them afterwards."""
        return frozen(self.parts)

    def _first_tensor(self) -> Tensor | None:
        floats = (
            tensor
            for part in self.parts
            for tensor in chain(part.parameters(), part.buffers())
            if tensor.is_floating_point()
        )
        return next(floats, None)
