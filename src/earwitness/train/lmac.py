"""Training of L-MAC's decoder. The classifier is frozen; its own decision is the label."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from earwitness.decoders.folder import Explainer, make_decoder, save_explainer
from earwitness.decoders.objective import Weights
from earwitness.decoders.published import PublishedDecoder, published_layers
from earwitness.decoders.slim import Decoder, default_widths
from earwitness.errors import ModelError, NotApplicableError, ParameterError
from earwitness.files import digest_of, held
from earwitness.layers.finding import find_layers
from earwitness.models.declared import outputs_for
from earwitness.models.fingerprint import digest, identity
from earwitness.models.model import Model
from earwitness.models.target import overall
from earwitness.train.contamination import Contaminator, Sounds
from earwitness.train.explaining import evaluate_batch, evaluate_sides, loss_of
from earwitness.train.progress import STATE, History, Workers, finished, restore, store
from earwitness.train.settings import Settings
from earwitness.train.validation import Validation

_WARM_UP = 0.1  # share of the steps in which the learning rate rises
_RAMP = 0.3  # share of the steps in which the size term is ramped up
_GAIN_DB = (-20.0, 10.0)  # dB, lowest and highest gain of a training sound
_LONGEST_CROP = 2.5  # s, default length of a training example
_SOUNDS_FOR_SCALE = 64  # enough for a standard deviation within 10 %


class Training:
    """State of the training between epochs.

    Parameters
    ----------
    model : Model
        Not modified.
    sounds, held_out : sequence of Path
        Training and validation sounds.
    settings : Settings
    layers : sequence of str
        Modules whose activations the decoder uses; chosen by ``find_layers`` by default.
    start : Explainer, optional
        Decoder to fine-tune; its layers are used.
    workers : Workers, optional
        Processes of a distributed training.
    """

    def __init__(
        self,
        model: Model,
        sounds: Sequence[Path],
        held_out: Sequence[Path],
        settings: Settings,
        *,
        layers: Sequence[str] = (),
        start: Explainer | None = None,
        workers: Workers | None = None,
    ) -> None:
        if len(sounds) < settings.batch:
            raise ParameterError(
                f"{len(sounds)} sounds are too few to train on with a batch of {settings.batch}"
            )
        self.workers = workers or Workers()
        if settings.batch < self.workers.count:
            raise ParameterError(
                f"a batch of {settings.batch} cannot be shared by {self.workers.count} processes"
            )
        if start and (layers or settings.decoder == "published"):
            raise ParameterError("fine-tuning keeps layers and kind of the decoder it starts from")
        if not model.differentiable:
            raise NotApplicableError(f"{model.name} is a black box: a decoder needs its gradients")
        self.model, self.settings = model, settings
        self.length = crop_length(model, settings.crop)
        self.frames = model.plane.frames(self.length)
        self.sounds = Sounds(sounds, model.rate)
        self.contaminator = Contaminator(settings.contamination, self.sounds)
        if start:
            self.layers = start.layers
        elif settings.decoder == "published" and not layers:
            self.layers = published_layers(model)
        else:
            self.layers = find_layers(model, layers, samples=self.length)
        self.widths = start.widths if start else default_widths(self.layers)
        self.domain = start.domain if start else settings.domain
        self.ramp = 0.0 if start else _RAMP
        self.decoder = self._decoder(start).to(model.device)
        self.joined = self.workers.joined(self.decoder)
        with model.undisturbed():  # outputs that are not what is declared are refused
            first = self.sounds.part(0, self.length, torch.Generator().manual_seed(settings.seed))
            outputs_for(model, first.to(model.device))
        self.target_counts = [0] * len(model.labels)
        self.scale = self._scale()
        self.validation = Validation(
            model, held_out, settings.contamination, self.length, self.domain
        )
        self.optimiser = torch.optim.AdamW(
            self.decoder.parameters(), lr=settings.rate, weight_decay=settings.decay
        )
        self.steps = len(sounds) // settings.batch
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            max_lr=settings.rate,
            total_steps=settings.epochs * self.steps,
            pct_start=_WARM_UP,
        )
        self.history = History()
        self.best = {name: one.clone() for name, one in self.decoder.state_dict().items()}
        self.identity = identity(model)

    def _decoder(self, start: Explainer | None) -> Decoder | PublishedDecoder:
        if start:
            start.require(self.model)
            return copy.deepcopy(start.decoder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            return make_decoder(self.settings.decoder, self.layers, self.model.plane, self.widths)

    def _scale(self) -> Tensor | float:
        """Return the unit of a regression's values: their standard deviation over some sounds."""
        if self.model.task != "regression":
            return 1.0
        generator = torch.Generator().manual_seed(self.settings.seed)
        some = range(min(len(self.sounds), _SOUNDS_FOR_SCALE))
        waves = torch.stack([self.sounds.part(k, self.length, generator) for k in some])
        with self.model.undisturbed(), torch.no_grad():
            outputs = self.model(waves.to(self.model.device))
        return overall(self.model, outputs).std(dim=0).clamp(min=1e-6)

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
                total += self._step(self.workers.share(some).tolist(), own)
        figures = {"loss": total / self.steps}
        if self.workers.rank == 0:
            figures |= self._validate()
        figures = self.workers.broadcast(figures)
        if self.history.add(figures):
            self.best = {name: one.clone() for name, one in self.decoder.state_dict().items()}
        return figures

    def _step(self, numbers: list[int], generator: torch.Generator) -> float:
        parts = [self.sounds.part(number, self.length, generator) for number in numbers]
        waves, clean = self.contaminator.over(torch.stack(parts), numbers, generator)
        low, high = _GAIN_DB
        gain = 10 ** ((low + (high - low) * torch.rand(len(waves), 1, generator=generator)) / 20)
        others = torch.rand(len(waves), generator=generator) < self.settings.others
        outputs = len(self.model.labels) if self.decoder.conditioned else 1
        rank = others.long() if outputs > 1 else torch.zeros_like(others, dtype=torch.int64)
        if self.model.task == "regression" and outputs > 1:
            rank = torch.randint(outputs, (len(waves),), generator=generator)
        device = self.model.device
        waves, clean, rank = (gain * waves).to(device), (gain * clean).to(device), rank.to(device)
        with self._precision():
            batch = evaluate_batch(
                self.model, self.layers, waves, rank, conditioned=self.decoder.conditioned
            )
            gains = self.joined(batch.maps, batch.conditioning, self.frames)
            source = None
            if self.settings.weights.guidance:
                source = self._source(waves, clean, rank)
            sides = evaluate_sides(self.model, batch.spectrum, gains, self.length, self.domain)
            losses = loss_of(
                self.model, batch, gains, sides, self._weights(), self.scale, source, self.domain
            )
        for index in batch.target.tolist():
            self.target_counts[index] += 1
        self._learn(losses.float().mean() * len(numbers) * self.workers.count)
        return float(losses.detach().float().mean())

    def _source(self, waves: Tensor, clean: Tensor, rank: Tensor) -> Tensor:
        """Return the magnitude of the target's source: the sound, or the contamination if the
        target is not the decided class; zero where nothing was mixed in.
        """
        other = waves - clean
        if self.model.task == "regression":
            rank = torch.zeros_like(rank)
        wanted = torch.where((rank > 0)[:, None], other, clean)
        wanted = torch.where(other.abs().amax(dim=1, keepdim=True) > 0, wanted, 0.0)
        return self.model.plane.analyse(wanted).abs()

    def _learn(self, loss: Tensor) -> None:
        parameters = list(self.decoder.parameters())
        self.optimiser.zero_grad()
        try:
            (loss / self.settings.batch).backward(inputs=parameters)
        except RuntimeError as error:
            text = str(error).strip().split("\n")[0]
            raise NotApplicableError(
                f"{self.model.name} cannot be differentiated ({text}); a decoder needs gradients"
            ) from error
        if not all(bool(torch.isfinite(p.grad).all()) for p in parameters if p.grad is not None):
            raise ModelError(
                f"{self.model.name} has infinite or undefined gradients at a sound in epoch "
                f"{len(self.history) + 1} (a root or a logarithm of silence, perhaps); add a small "
                "constant to its argument"
            )
        self.optimiser.step()
        self.schedule.step()

    def _weights(self) -> Weights:
        """Return the current weights: the size term is ramped up linearly from 0."""
        weights = self.settings.weights
        steps = self.ramp * self.settings.epochs * self.steps
        done = self.schedule.last_epoch
        return weights if done >= steps else replace(weights, size=done / steps * weights.size)

    def _precision(self) -> Any:
        if not self.settings.mixed_precision:
            return nullcontext()
        return torch.autocast(self.model.device.type, torch.bfloat16)

    def _validate(self) -> dict[str, float]:
        self.decoder.eval()
        weights = self.settings.weights
        return self.validation.figures(self.decoder, self.layers, weights, self.scale)

    def explainer(self, facts: dict[str, Any] | None = None) -> Explainer:
        """Return the best decoder so far."""
        best = copy.deepcopy(self.decoder)
        best.load_state_dict(self.best)
        return Explainer(
            best.eval(), self.layers, self.widths, self.model.plane, self.identity,
            self.model.name, facts or {}, self.domain,
        )  # fmt: skip


def train_lmac(
    model: Model,
    sounds: Sequence[Path],
    held_out: Sequence[Path],
    settings: Settings,
    folder: Path,
    *,
    layers: Sequence[str] = (),
    start: Explainer | None = None,
    workers: Workers | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> Explainer:
    """Train a decoder and write it to a folder that ``lmac`` can load.

    An interrupted training resumes after the last complete epoch and ends with the same weights as
    an uninterrupted one. A finished one of the same settings and sounds is not repeated.
    ``log.csv`` in the folder contains the figures of every epoch.

    Parameters
    ----------
    model : Model
        Not modified.
    sounds, held_out : sequence of Path
        Training and validation sounds; labels are not needed.
    settings : Settings
    folder : Path
    layers : sequence of str
        Modules of the model whose activations the decoder uses.
    start : Explainer, optional
        Decoder to fine-tune.
    workers : Workers, optional
    on_epoch : callable, optional
        Called with the number of finished epochs and the figures of the last one.

    Raises
    ------
    OutputError
        If the folder contains a decoder or another training, or cannot be written.
    NotApplicableError
        If the model cannot be differentiated or has no suitable layer.
    """
    workers = workers or Workers()
    with held(folder) if workers.rank == 0 else nullcontext():
        training = Training(
            model, sounds, held_out, settings, layers=layers, start=start, workers=workers
        )
        return _trained(training, sounds, held_out, folder, start, on_epoch)


def _trained(
    training: Training,
    sounds: Sequence[Path],
    held_out: Sequence[Path],
    folder: Path,
    start: Explainer | None,
    on_epoch: Callable[[int, dict[str, float]], None] | None,
) -> Explainer:
    """Go on with a training in its folder until it is finished."""
    content = {
        "sounds": digest_of(sounds),
        "held out": digest_of(held_out),
        "contaminations": digest_of(training.contaminator.paths),
        "layers": [layer.name for layer in training.layers],
        "start": None if start is None else digest(start.decoder),
        "processes": training.workers.count,
    }
    made: dict[str, Any] = {"settings": asdict(training.settings), "content": content}
    before = finished(folder, made, training.identity)
    if before is not None:
        return before
    key = {"settings": made["settings"], "model": training.identity, **content}
    restore(training, folder, key)
    first = training.workers.rank == 0
    while not training.finished:
        figures = training.epoch()
        if first:
            store(training, folder, key)
        if on_epoch:
            on_epoch(len(training.history), figures)
    facts = {
        **made,
        "trained": {"sounds": len(sounds), "epochs": len(training.history)},
        "asked": training.target_counts,
        "validation": {**training.history.best, "sounds": len(held_out)},
        "torch": torch.__version__,
    }
    explainer = training.explainer(facts)
    if first:
        save_explainer(folder, explainer)
        (folder / STATE).unlink(missing_ok=True)
    return explainer


def crop_length(model: Model, seconds: float) -> int:
    """Return the samples per training example: as requested, within the model's limits."""
    length = round((seconds or _LONGEST_CROP) * model.rate)
    longest = model.longest or length
    return max(min(length, longest), model.shortest or 0, model.plane.n_fft)
