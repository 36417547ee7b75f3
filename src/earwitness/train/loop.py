"""The loop that trains a learned explainer of a frozen model: batches, steps and epochs."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from earwitness.errors import ModelError, NotApplicableError, ParameterError
from earwitness.files import digest_of
from earwitness.layers.finding import HiddenLayer
from earwitness.models.declared import outputs_for
from earwitness.models.fingerprint import identity
from earwitness.models.model import Model
from earwitness.train.contamination import Contaminator, Sounds
from earwitness.train.progress import (
    STATE,
    History,
    Trained,
    Workers,
    finished,
    restore,
    store,
)
from earwitness.train.settings import LoopSettings

_WARM_UP = 0.1  # share of the steps in which the learning rate rises
_GAIN_DB = (-20.0, 10.0)  # dB, lowest and highest gain of a training sound
_LONGEST_CROP = 2.5  # s, default length of a training example
OnEpoch = Callable[[int, dict[str, float]], None]
T = TypeVar("T", bound=Trained)
M = TypeVar("M", bound=nn.Module)


class Loop(ABC):
    """State of a training between epochs.

    Parameters
    ----------
    model : Model
        Not modified.
    sounds : sequence of Path
        Training sounds.
    settings : LoopSettings
    what : str
        What is trained, for messages: ``decoder``.
    workers : Workers, optional
        Processes of a distributed training.
    """

    decoder: nn.Module
    settings: LoopSettings
    layers: tuple[HiddenLayer, ...]

    def __init__(
        self,
        model: Model,
        sounds: Sequence[Path],
        settings: LoopSettings,
        *,
        what: str,
        workers: Workers | None = None,
    ) -> None:
        if len(sounds) < settings.batch:
            raise ParameterError(
                f"{len(sounds)} sounds are too few to train on with a batch of {settings.batch}"
            )
        self.workers, self.what = workers or Workers(), what
        if settings.batch < self.workers.count:
            raise ParameterError(
                f"a batch of {settings.batch} cannot be shared by {self.workers.count} processes"
            )
        self.model, self.settings = model, settings
        self.length = crop_length(model, settings.crop)
        self.frames = model.plane.frames(self.length)
        self.sounds = Sounds(sounds, model.rate)
        self.contaminator = Contaminator(settings.contamination, self.sounds)
        self.steps = len(sounds) // settings.batch
        self.history = History()
        self.identity = identity(model)

    def begin(self, network: nn.Module) -> None:
        """Set the network to train, after trying the model on a sound."""
        self.decoder = network.to(self.model.device)
        self.joined = self.workers.joined(self.decoder)
        with self.model.undisturbed():  # outputs that are not what is declared are refused
            first = self.sounds.part(
                0, self.length, torch.Generator().manual_seed(self.settings.seed)
            )
            outputs_for(self.model, first.to(self.model.device), batches=True)
        if self.model.one_by_one:
            raise NotApplicableError(
                f"{self.model.name} is evaluated on one input at a time, and {self.what} is "
                "trained on batches of activations"
            )
        self.target_counts = [0] * len(self.model.labels)
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=self.settings.rate, weight_decay=self.settings.decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            max_lr=self.settings.rate,
            total_steps=self.settings.epochs * self.steps,
            pct_start=_WARM_UP,
        )
        self.best = {name: one.clone() for name, one in network.state_dict().items()}

    def best_of(self, network: M) -> M:
        """Return a copy of the network that is trained, with the best weights, for evaluation."""
        best = copy.deepcopy(network)
        best.load_state_dict(self.best)
        return best.eval()

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or early stopping applies."""
        patience = self.settings.patience
        stale = patience and self.history.since_best() >= patience
        return len(self.history) >= self.settings.epochs or bool(stale)

    def epoch(self) -> dict[str, float]:
        """Run one epoch and return its figures; random numbers depend on seed and epoch only."""
        number = len(self.history)
        seed = self.settings.seed * 1_000_003 + number
        order = torch.randperm(len(self.sounds), generator=torch.Generator().manual_seed(seed))
        own = torch.Generator().manual_seed(seed * 1009 + self.workers.rank)
        total = 0.0
        self.decoder.train()
        with torch.random.fork_rng(devices=[]), self.model.undisturbed(), self.model.frozen():
            for some in order[: self.steps * self.settings.batch].split(self.settings.batch):
                losses = self.step(self.workers.share(some).tolist(), own)
                self._learn(losses.float().mean() * len(losses) * self.workers.count)
                total += float(losses.detach().float().mean())
        figures = {"loss": total / self.steps}
        if self.workers.rank == 0:
            self.decoder.eval()
            figures |= self.validate()
        figures = self.workers.broadcast(figures)
        if self.history.add(figures):
            self.best = {name: one.clone() for name, one in self.decoder.state_dict().items()}
        return figures

    @abstractmethod
    def step(self, numbers: list[int], generator: torch.Generator) -> Tensor:
        """Return the loss (batch,) of the sounds of some numbers."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Return figures of the network on held-out sounds, among them ``valid_loss``."""

    def draw(self, numbers: list[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return random segments (batch, samples) with contaminations and levels, and clean ones.

        Both have the same level, and lie on the CPU.
        """
        parts = [self.sounds.part(number, self.length, generator) for number in numbers]
        waves, clean = self.contaminator.over(torch.stack(parts), numbers, generator)
        low, high = _GAIN_DB
        gain = 10 ** ((low + (high - low) * torch.rand(len(waves), 1, generator=generator)) / 20)
        return gain * waves, gain * clean

    def precision(self) -> Any:
        """Return the context of forward passes: mixed precision if it is wanted."""
        if not self.settings.mixed_precision:
            return nullcontext()
        return torch.autocast(self.model.device.type, torch.bfloat16)

    def _learn(self, loss: Tensor) -> None:
        parameters = list(self.decoder.parameters())
        self.optimiser.zero_grad()
        try:
            (loss / self.settings.batch).backward(inputs=parameters)
        except RuntimeError as error:
            text = str(error).strip().split("\n")[0]
            raise NotApplicableError(
                f"{self.model.name} cannot be differentiated ({text}); {self.what} needs gradients"
            ) from error
        if not all(bool(torch.isfinite(p.grad).all()) for p in parameters if p.grad is not None):
            raise ModelError(
                f"{self.model.name} has infinite or undefined gradients at a sound in epoch "
                f"{len(self.history) + 1} (a root or a logarithm of silence, perhaps); add a small "
                "constant to its argument"
            )
        if self.settings.clip:
            torch.nn.utils.clip_grad_norm_(parameters, self.settings.clip)
        self.optimiser.step()
        self.schedule.step()


def run(loop: Loop, folder: Path, key: dict[str, Any], on_epoch: OnEpoch | None = None) -> None:
    """Go on with a training in its folder until it is finished, with a checkpoint per epoch.

    Parameters
    ----------
    key : dict
        What the training depends on; a checkpoint of another is refused.
    on_epoch : callable, optional
        Called with the number of finished epochs and the figures of the last one.
    """
    restore(loop, folder, key)
    while not loop.finished:
        figures = loop.epoch()
        if loop.workers.rank == 0:
            store(loop, folder, key)
        if on_epoch:
            on_epoch(len(loop.history), figures)


def carry_out(
    loop: Loop,
    folder: Path,
    held_out: Sequence[Path],
    *,
    what: str,
    load: Callable[[Path], T],
    result: Callable[[dict[str, Any]], T],
    save: Callable[[Path, T], None],
    content: Mapping[str, Any] | None = None,
    prepare: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    on_epoch: OnEpoch | None = None,
) -> T:
    """Train in a folder until a result is written there; a finished equal training is not repeated.

    Parameters
    ----------
    what : str
        What is written: ``decoder``, described by ``decoder.json``.
    load, save : callable
        Read the result from a folder, and write it there.
    result : callable
        Returns the result of the training with its facts.
    content : mapping, optional
        What the training depends on beside its settings, sounds and layers.
    prepare : callable, optional
        Called with the key of the training before the first epoch; what it returns belongs to the
        key of checkpoints.
    """
    every: dict[str, Any] = {
        "sounds": digest_of(loop.sounds.paths),
        "held out": digest_of(held_out),
        "contaminations": digest_of(loop.contaminator.paths),
        "layers": [layer.name for layer in loop.layers],
        "processes": loop.workers.count,
        **(content or {}),
    }
    made: dict[str, Any] = {"settings": asdict(loop.settings), "content": every}
    before = finished(folder, made, loop.identity, what, load)
    if before is not None:
        return before
    key = {"settings": made["settings"], "model": loop.identity, **every}
    run(loop, folder, {**key, **(prepare(key) if prepare else {})}, on_epoch)
    found = result({
        **made,
        "trained": {"sounds": len(loop.sounds), "epochs": len(loop.history)},
        "asked": loop.target_counts,
        "validation": {**loop.history.best, "sounds": len(held_out)},
        "torch": torch.__version__,
    })  # fmt: skip
    if loop.workers.rank == 0:
        save(folder, found)
        (folder / STATE).unlink(missing_ok=True)
    return found


def crop_length(model: Model, seconds: float) -> int:
    """Return the samples per training example: as requested, within the model's limits."""
    length = round((seconds or _LONGEST_CROP) * model.rate)
    longest = model.longest or length
    return max(min(length, longest), model.shortest or 0, model.plane.n_fft)
