"""What an explanation may ask of a model, whatever the model is made of."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.errors import EarwitnessError, ModelError, ParameterError
from earwitness.models.frontend import FrontEnd
from earwitness.plane.stft import Plane, default_plane
from earwitness.plane.windows import joined
from earwitness.types import Optimise, Output, Task

_TASKS = ("single-label", "multi-label", "regression")
_OUTPUTS = ("logits", "probabilities", "scores")
_LEAST_SECONDS = 0.01


class Model(ABC):
    """A model on mono waveforms, with everything needed to ask it.

    Calling it maps waves (batch, samples) at ``rate`` to outputs (batch, output), or (batch,
    output, frame) if it answers per frame. Sounds shorter than ``shortest`` are padded with silence
    at the end; longer ones than ``longest`` are read in windows that overlap by half, and the
    outputs of the windows are averaged, those per frame where they overlap.

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
    per_frame : bool
        Whether it answers for every frame of the sound.
    shortest, longest : int or None
        Range of lengths it takes, in samples.
    plane : Plane
        The plane its explanations live on.
    frontend : FrontEnd or None
        Present if it can be asked on magnitudes directly (``from_magnitude``).
    module : torch.nn.Module or None
        The network, where there is one to look into.
    differentiable : bool
        Whether gradients reach the waveform.
    optimise : bool or "compile"
        How passes over many inputs are made faster (``earwitness.models.prepare``).
    """

    frontend: FrontEnd | None = None

    def __init__(
        self,
        *,
        name: str,
        rate: int,
        labels: Sequence[str] | None,
        output: Output,
        task: Task | None,
        lengths: tuple[float | None, float | None],
        module: nn.Module | None,
        plane: Plane | None = None,
        per_frame: bool = False,
        optimise: Optimise = True,
    ) -> None:
        if optimise not in (True, False, "compile"):
            raise ParameterError(f"optimise is True, False or 'compile', got {optimise!r}")
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
        if not isinstance(rate, int | float | np.number) or not rate > 0 or int(rate) != rate:
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
        self.plane = plane or default_plane(self.rate)
        self.shortest, self.longest = _lengths(lengths, self.rate)
        self._labels = None if labels is None else tuple(map(str, labels))
        self.optimise: Optimise = optimise

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the outputs; numbers, found by asking once, if none were given."""
        if self._labels is None:
            with self.undisturbed(), torch.no_grad():
                samples = self.shortest or self.rate
                self(torch.zeros(1, samples, device=self.device))
        return self._labels or ()

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """Every torch module it is made of, the network first."""
        return () if self.module is None else (self.module,)

    @property
    def differentiable(self) -> bool:
        """Whether gradients reach the waveform."""
        return self.module is not None

    @property
    def device(self) -> torch.device:
        """Where its parameters live."""
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
        return self._windowed(waves, self.shortest, self.longest, self._answer)

    def from_magnitude(self, magnitude: Tensor) -> Tensor:
        """Map magnitudes on the plane (batch, freq, frame) to outputs, without an inverse."""
        raise NotImplementedError(f"{self.name} has no front end on the plane")

    def from_linear(self, linear: Tensor) -> Tensor:
        """Map what the linear part of the front end gives (batch, band, frame) to outputs."""
        raise NotImplementedError(f"{self.name} has no front end with a linear part")

    def windows(self, samples: int) -> list[tuple[int, int]]:
        """Return (start, length) in samples of the windows a sound is read in."""
        length = max(samples, self.shortest or 0)
        return [(start, min(length, self.longest or length)) for start in self._starts(length)]

    @abstractmethod
    def _forward(self, waves: Tensor) -> Any:
        """Ask the network about waves of a length it takes."""

    def _answer(self, data: Tensor, forward: Callable[[Tensor], Any] | None = None) -> Tensor:
        try:
            answer = (forward or self._forward)(data.clone())  # it may write on what it is given
        except EarwitnessError:
            raise
        except (Exception, SystemExit) as error:
            text = str(error).strip().split("\n")[0]
            raise ModelError(
                f"{self.name}: {type(error).__name__} while reading {tuple(data.shape)}: {text} (a "
                "model that takes some lengths only wants wrap(..., lengths=(shortest, longest)))"
            ) from error
        return self._checked(answer, len(data))

    def _starts(self, length: int, longest: int | None = None) -> list[int]:
        longest = longest or self.longest
        if longest is None or length <= longest:
            return [0]
        hop = max(1, longest // 2)
        count = math.ceil((length - longest) / hop) + 1
        return [round(k * (length - longest) / (count - 1)) for k in range(count)]

    def _windowed(
        self, data: Tensor, shortest: int | None, longest: int | None, ask: Any
    ) -> Tensor:
        """Pad or cut the last axis to lengths the network takes, ask, and average the windows."""
        length = data.shape[-1]
        if shortest and length < shortest:
            answers = ask(nn.functional.pad(data, (0, shortest - length)))
            if not self.per_frame:
                return answers
            return answers[..., : math.ceil(answers.shape[-1] * length / shortest)]
        starts = self._starts(length, longest) if longest else [0]
        if len(starts) == 1:
            return ask(data)
        parts = torch.stack([data[..., start : start + (longest or 0)] for start in starts])
        answers = ask(parts.flatten(0, 1)).unflatten(0, parts.shape[:2])
        return _overlap(answers, starts, length) if self.per_frame else answers.mean(dim=0)

    def _checked(self, outputs: Any, batch: int) -> Tensor:
        outputs = getattr(outputs, "logits", outputs)
        if isinstance(outputs, Tensor) and outputs.is_complex():
            raise ModelError(f"{self.name}: must answer with real numbers, got {outputs.dtype}")
        if not isinstance(outputs, Tensor):
            raise ModelError(
                f"{self.name}: must answer with a tensor (batch, output), got "
                f"{type(outputs).__name__}; wrap a module that returns the one you want explained"
            )
        shape = tuple(outputs.shape)
        if outputs.ndim == 1 + self.per_frame and len(outputs) == batch:
            outputs = outputs.unsqueeze(-1)
        if outputs.ndim != 2 + self.per_frame or len(outputs) != batch:
            wanted = "(batch, frame, output)" if self.per_frame else "(batch, output)"
            hint = ""
            if outputs.ndim == 3 and len(outputs) == batch:
                hint = "; if it answers per frame, say per_frame=True"
            raise ModelError(
                f"{self.name}: must answer {wanted} = ({batch}, ...), got shape {shape}{hint}"
            )
        if self.per_frame:
            outputs = outputs.movedim(1, -1)
        if self.task == "single-label" and outputs.shape[1] == 1:
            raise ModelError(
                f"{self.name}: one output cannot be one of many; say task='multi-label' for a "
                "detector, or output='scores' for a regression"
            )
        if self._labels is None:
            self._labels = tuple(str(index) for index in range(outputs.shape[1]))
        if outputs.shape[1] != len(self._labels):
            raise ModelError(
                f"{self.name}: {len(self._labels)} labels were given, but the model has "
                f"{outputs.shape[1]} outputs; give one label for each"
            )
        self._check_values(outputs.detach())
        return outputs

    def _check_values(self, outputs: Tensor) -> None:
        if not bool(torch.isfinite(outputs).all()):
            raise ModelError(
                f"{self.name}: answers with NaN or infinite values; if it divides by the level of "
                "its input, add a small constant: explanations ask about silence too"
            )
        if self.output != "probabilities":
            return
        if bool((outputs < -1e-3).any()) or bool((outputs > 1 + 1e-3).any()):
            raise ModelError(
                f"{self.name}: outputs were declared probabilities but leave [0, 1]; if they come "
                "before the softmax, say output='logits'"
            )
        if self.task == "single-label" and bool(((outputs.sum(dim=1) - 1).abs() > 1e-2).any()):
            raise ModelError(
                f"{self.name}: probabilities of one of many must sum to 1; for several labels at "
                "once, say task='multi-label'"
            )

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Run everything in evaluation mode, and leave modes and chance as they were.

        A model that draws at random draws the same every time.
        """
        modes = [(module, module.training) for part in self.parts for module in part.modules()]
        try:
            for part in self.parts:
                part.eval()
            with torch.random.fork_rng(devices=[]), self._differentiable_kernels():
                torch.default_generator.manual_seed(0)
                yield
        finally:
            for module, training in modes:
                module.training = training

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let only what depends on the sound ask for gradients, and leave it as it was."""
        asking = [one for part in self.parts for one in part.parameters() if one.requires_grad]
        try:
            for one in asking:
                one.requires_grad_(False)
            yield
        finally:
            for one in asking:
                one.requires_grad_(True)

    def _differentiable_kernels(self) -> AbstractContextManager[None]:
        """Do without cuDNN for recurrent networks: it has no backward pass in evaluation mode."""
        recurrent = any(isinstance(m, nn.RNNBase) for part in self.parts for m in part.modules())
        if not recurrent or self.device.type != "cuda":
            return nullcontext()
        cudnn = torch.backends.cudnn
        return cudnn.flags(
            enabled=False, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic
        )

    def _first_tensor(self) -> Tensor | None:
        floats = (
            tensor
            for part in self.parts
            for tensor in (*part.parameters(), *part.buffers())
            if tensor.is_floating_point()
        )
        return next(floats, None)


def _lengths(
    lengths: tuple[float | None, float | None], rate: int
) -> tuple[int | None, int | None]:
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
    shortest = None if low is None else math.ceil(low * rate)
    longest = None if high is None else math.floor(high * rate)
    return shortest, longest


def _overlap(outputs: Tensor, starts: list[int], length: int) -> Tensor:
    """Join outputs (window, batch, output, frame) of windows that start at samples of a sound."""
    count = outputs.shape[-1]
    per_window = length - starts[-1]  # samples; the last window ends where the sound does
    last = max(1, round(starts[-1] * count / per_window))
    places = [round(start / starts[-1] * last) for start in starts]
    return joined(list(outputs), places, last + count)
