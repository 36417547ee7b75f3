"""Training of L-MAC's decoder. The classifier is frozen; its own decision is the label."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from earwitness.decoders.folder import Explainer, load_explainer, make_decoder, save_explainer
from earwitness.decoders.objective import Weights
from earwitness.decoders.published import PublishedDecoder, published_layers
from earwitness.decoders.slim import Decoder, default_widths
from earwitness.errors import NotApplicableError, ParameterError
from earwitness.files import held
from earwitness.layers.finding import find_layers
from earwitness.models.fingerprint import digest
from earwitness.models.model import Model
from earwitness.models.target import overall
from earwitness.train.explaining import (
    evaluate_batch,
    evaluate_heard,
    evaluate_sides,
    loss_of,
    true_source,
)
from earwitness.train.loop import Loop, OnEpoch, carry_out
from earwitness.train.progress import Workers
from earwitness.train.settings import Settings
from earwitness.train.validation import Validation

_RAMP = 0.3  # share of the steps in which the size term is ramped up and all masks are soft
_SOUNDS_FOR_SCALE = 64  # enough for a standard deviation within 10 %


class Training(Loop):
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

    decoder: Decoder | PublishedDecoder
    settings: Settings

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
        super().__init__(model, sounds, settings, what="a decoder", workers=workers)
        if start and (layers or settings.decoder == "published"):
            raise ParameterError("fine-tuning keeps layers and kind of the decoder it starts from")
        if not model.differentiable:
            raise NotApplicableError(f"{model.name} is a black box: a decoder needs its gradients")
        if start:
            self.layers = start.layers
        elif settings.decoder == "published" and not layers:
            self.layers = published_layers(model)
        else:
            self.layers = find_layers(model, layers, samples=self.length)
        self.widths = start.widths if start else default_widths(self.layers)
        self.domain = start.domain if start else settings.domain
        self.ramp = 0.0 if start else _RAMP
        self.begin(self._decoder(start))
        self.scale = self._scale()
        self.validation = Validation(
            model, held_out, settings.contamination, self.length, self.domain,
            audio=settings.audio,
        )  # fmt: skip

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

    def step(self, numbers: list[int], generator: torch.Generator) -> Tensor:
        """Return the loss (batch,) of the sounds of some numbers."""
        waves, clean = self.draw(numbers, generator)
        others = torch.rand(len(waves), generator=generator) < self.settings.others
        outputs = len(self.model.labels) if self.decoder.conditioned else 1
        rank = others.long() if outputs > 1 else torch.zeros_like(others, dtype=torch.int64)
        if self.model.task == "regression" and outputs > 1:
            rank = torch.randint(outputs, (len(waves),), generator=generator)
        device = self.model.device
        waves, clean, rank = waves.to(device), clean.to(device), rank.to(device)
        with self.precision():
            batch = evaluate_batch(
                self.model, self.layers, waves, rank, conditioned=self.decoder.conditioned
            )
            share = self._share(len(waves), generator)
            gains = self.joined(batch.maps, batch.conditioning, self.frames, batch.magnitude, share)
            weights = self._weights()
            source = true_source(self.model, waves, clean, batch) if weights.guidance else None
            if self.settings.audio:
                sides = evaluate_heard(self.model, waves, batch.spectrum, gains)
            else:
                sides = evaluate_sides(self.model, batch.spectrum, gains, self.length, self.domain)
            losses = loss_of(
                self.model, batch, gains, sides, weights, self.scale, source, self.domain
            )
        for index in batch.target.tolist():
            self.target_counts[index] += 1
        return losses

    def _share(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Return the share of cells that each mask is cut to (batch,); None for soft masks.

        All masks are soft first: a decoder that begins with cut ones may keep hardly any cell as
        a soft mask.
        """
        done = self.schedule.last_epoch
        if not self.decoder.sized or done < self._first_steps() or done % 2 == 0:
            return None
        low, high = (math.log(one) for one in self.settings.sizes)
        share = (low + (high - low) * torch.rand(count, generator=generator)).exp()
        return share.to(self.model.device)

    def _weights(self) -> Weights:
        """Return the current weights: the size term is ramped up linearly from 0."""
        weights, steps = self.settings.weights, self._first_steps()
        done = self.schedule.last_epoch
        return weights if done >= steps else replace(weights, size=done / steps * weights.size)

    def _first_steps(self) -> float:
        return self.ramp * self.settings.epochs * self.steps

    def validate(self) -> dict[str, float]:
        """Return figures of the decoder on held-out sounds."""
        weights = self.settings.weights
        return self.validation.figures(self.decoder, self.layers, weights, self.scale)

    def explainer(self, facts: dict[str, Any] | None = None) -> Explainer:
        """Return the best decoder so far."""
        best = self.best_of(self.decoder)
        return Explainer(
            best, self.layers, self.widths, self.model.plane, self.identity,
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
    on_epoch: OnEpoch | None = None,
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
        return carry_out(
            training, folder, held_out, what="decoder", load=load_explainer,
            result=training.explainer, save=save_explainer, on_epoch=on_epoch,
            content={"start": None if start is None else digest(start.decoder)},
        )  # fmt: skip
