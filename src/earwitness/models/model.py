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
from earwitness.models.fast import Fast
from earwitness.models.frontend import FrontEnd
from earwitness.plane.stft import Plane, default_plane
from earwitness.registry import unknown
from earwitness.types import Kind, Output, Target, Task

_TASKS = ("single-label", "multi-label", "regression")
_OUTPUTS = ("logits", "probabilities", "scores")
_LEAST_SECONDS = 0.01


class Model(ABC):
    """A model on mono waveforms, with everything needed to ask it.

    Calling it maps waves (batch, samples) at ``rate`` to outputs (batch, output). Sounds shorter
    than ``shortest`` are padded with silence at the end; longer ones than ``longest`` are read in
    windows that overlap by half, and the outputs of the windows are averaged.

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
    ) -> None:
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
        self.module = module
        self.plane = plane or default_plane(self.rate)
        self.shortest, self.longest = _lengths(lengths, self.rate)
        self._labels = None if labels is None else tuple(map(str, labels))
        self.layers: dict[tuple[str, int], Any] = {}  # where layers lie, once found
        self.fast = Fast()

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
        """Map waves (batch, samples) to outputs (batch, output)."""
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
        if shortest and data.shape[-1] < shortest:
            data = nn.functional.pad(data, (0, shortest - data.shape[-1]))
        starts = self._starts(data.shape[-1], longest) if longest else [0]
        if len(starts) == 1:
            return ask(data)
        parts = torch.stack([data[..., start : start + (longest or 0)] for start in starts])
        return ask(parts.flatten(0, 1)).unflatten(0, parts.shape[:2]).mean(dim=0)

    def _checked(self, outputs: Any, batch: int) -> Tensor:
        outputs = getattr(outputs, "logits", outputs)
        if isinstance(outputs, Tensor) and outputs.is_complex():
            raise ModelError(f"{self.name}: must answer with real numbers, got {outputs.dtype}")
        if not isinstance(outputs, Tensor):
            raise ModelError(
                f"{self.name}: must answer with a tensor (batch, output), got "
                f"{type(outputs).__name__}; wrap a module that returns the one you want explained"
            )
        if outputs.ndim == 1 and len(outputs) == batch:
            outputs = outputs.unsqueeze(1)
        if outputs.ndim != 2 or len(outputs) != batch:
            raise ModelError(
                f"{self.name}: must answer (batch, output) = ({batch}, ...), got shape "
                f"{tuple(outputs.shape)}"
            )
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

    # Targets ------------------------------------------------------------------------------------

    def target(
        self, outputs: Tensor, target: str | int | None = None, versus: str | int | None = None
    ) -> Target:
        """Resolve what the user names to outputs of this model.

        Parameters
        ----------
        outputs : Tensor, shape (output,)
            The model's answer to the input; the decided class is its largest entry. A regression
            with several outputs is explained for the first one.
        target, versus : label or index, optional
        """
        decided = target is None
        if decided:
            index = 0 if self.task == "regression" else int(outputs.argmax())
        else:
            index = self.index(target)
        if versus is None:
            unit: Kind = "value" if self.task == "regression" else "probability"
            return Target(index, self.labels[index], unit, decided=decided)
        other = self.index(versus)
        if other == index:
            raise ParameterError(
                f"target and versus are both {self.labels[index]!r}; there is no difference to "
                "explain"
            )
        unit = "value" if self.task == "regression" else "logit-difference"
        return Target(index, self.labels[index], unit, other, self.labels[other], decided)

    def index(self, name: str | int | np.integer[Any] | None) -> int:
        """Return the number of an output named by label or number, or raise with the nearest."""
        noun = "output" if self.task == "regression" else "class"
        if isinstance(name, str):
            if name in self.labels:
                return self.labels.index(name)
            folded = {label.lower(): index for index, label in enumerate(self.labels)}
            key = name.lower()
            key = key if key in folded else key.replace(" ", "_").replace("-", "_")
            if key not in folded:
                raise unknown(noun, name, self.labels)
            return folded[key]
        if isinstance(name, np.integer):
            name = int(name)
        if not isinstance(name, int) or isinstance(name, bool) or not 0 <= name < len(self.labels):
            raise ParameterError(
                f"{noun} {name!r} is not in 0..{len(self.labels) - 1} and no label of {self.name}"
            )
        return name

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return what people read: probabilities (after one softmax), or values."""
        if self.output != "logits":
            return outputs
        return outputs.sigmoid() if self.task == "multi-label" else outputs.softmax(dim=-1)

    def explained(self, outputs: Tensor, target: Target) -> Tensor:
        """Return the score that methods explain, shape (batch,).

        The logit of a class where there are logits, its probability or value otherwise; against
        another class, the difference of logits (of log-probabilities, which is the same for a
        softmax).
        """
        if target.versus_index is None:
            return outputs[:, target.index]
        scale = self._logits(outputs) if self.output == "probabilities" else outputs
        return scale[:, target.index] - scale[:, target.versus_index]

    def reported(self, outputs: Tensor, target: Target) -> Tensor:
        """Return the score that people read, in the unit ``target.kind``, shape (batch,)."""
        if target.kind == "probability":
            return self.probabilities(outputs)[:, target.index]
        return self.explained(outputs, target)

    def _logits(self, probabilities: Tensor) -> Tensor:
        safe = probabilities.clamp(min=1e-12)
        if self.task == "multi-label":
            return safe.log() - (1 - probabilities).clamp(min=1e-12).log()
        return safe.log()


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
