"""Training of PIQ: gains decoded from codes of the decided class (Paissan et al. 2023).

The loss of a clip is ``reconstruction * BCE(gains, loud) + codebook * |sg(z) - e|^2 + commitment *
|z - sg(e)|^2 + fidelity * D``. ``loud`` is 1 in cells whose ``ln(1 + |X|)`` is more than a share of
the largest, ``z`` are the adapter's vectors and ``e`` their codes, ``sg`` stops the gradient, and
``D`` is the cross entropy of the decided class for the masked sound (section 3). The published
implementation has no ``D``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from earwitness.decoders.objective import distance
from earwitness.decoders.piq import PiqNetwork, distances, load_piq
from earwitness.decoders.trained import Learned, save_learned
from earwitness.errors import NotApplicableError, ParameterError
from earwitness.files import held
from earwitness.models.model import Model
from earwitness.models.target import decided_labels
from earwitness.train.contamination import Contamination
from earwitness.train.explaining import evaluate_masked, evaluate_sides
from earwitness.train.interpreters.loop import AT_ONCE, InterpreterLoop, decisions
from earwitness.train.loop import OnEpoch, carry_out
from earwitness.train.progress import Workers
from earwitness.train.settings import LoopSettings
from earwitness.train.validation import faithful


@dataclass(frozen=True)
class PiqWeights:
    """Weights of the terms of the loss.

    Attributes
    ----------
    reconstruction, codebook, commitment, fidelity : float
    """

    reconstruction: float = 1.0
    codebook: float = 1.0
    commitment: float = 1.0
    fidelity: float = 1.0


@dataclass(frozen=True)
class PiqSettings(LoopSettings):
    """Training settings of PIQ.

    Attributes
    ----------
    codes : int
        For each output of the model. The paper has about 20.
    width : int
        Of a code.
    loud : float in (0, 1)
        Share of the largest ``ln(1 + |X|)`` above which a cell is to be kept.
    weights : PiqWeights
    """

    epochs: int = 30
    contamination: Contamination = field(default_factory=lambda: Contamination(kinds=()))
    codes: int = 16
    width: int = 32
    loud: float = 0.35
    weights: PiqWeights = field(default_factory=PiqWeights)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.codes < 1 or self.width < 1:
            raise ParameterError("codes and their width must be 1 or more")
        self._require(loud=0 < self.loud < 1)


class PiqTraining(InterpreterLoop):
    """State of the training between epochs.

    Parameters
    ----------
    model : Model
        A classifier; not modified.
    sounds, held_out : sequence of Path
        Training and validation sounds.
    settings : PiqSettings
    layers : sequence of str
        The module whose activations are used; by default the deepest that ``find_layers`` chooses.
    workers : Workers, optional
        Processes of a distributed training.
    """

    decoder: PiqNetwork
    settings: PiqSettings

    def __init__(
        self,
        model: Model,
        sounds: Sequence[Path],
        held_out: Sequence[Path],
        settings: PiqSettings,
        *,
        layers: Sequence[str] = (),
        workers: Workers | None = None,
    ) -> None:
        if len(layers) > 1:
            raise ParameterError(f"piq takes one layer, got {', '.join(layers)}")
        if not model.differentiable:
            raise NotApplicableError(f"{model.name} is a black box: piq needs its gradients")
        super().__init__(model, sounds, held_out, settings, layers=layers, workers=workers)
        self.layers = next((layer,) for layer in self.layers if layer.mapped)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            network = PiqNetwork(
                self.layers, model.plane, len(model.labels),
                codes=settings.codes, width=settings.width,
            )  # fmt: skip
        self.begin(network)

    def step(self, numbers: list[int], generator: torch.Generator) -> Tensor:
        """Return the loss (batch,) of the sounds of some numbers."""
        waves, _ = self.draw(numbers, generator)
        with self.precision():
            spectrum, before, maps, values = self.evaluate(waves.to(self.model.device))
            target = decided(self.model, before, generator)
            logits, vectors, codes = self.joined(maps, target, self.frames)
            inside = evaluate_masked(self.model, spectrum, logits.sigmoid(), self.length)
            loss = self._loss(values, before, target, logits, vectors, codes, inside)
        for index in target.tolist():
            self.target_counts[index] += 1
        return loss

    def _loss(
        self,
        values: Tensor,
        before: Tensor,
        target: Tensor,
        logits: Tensor,
        vectors: Tensor,
        codes: Tensor,
        inside: Tensor,
    ) -> Tensor:
        kept = distance(self.model, inside, target, before)
        miss = mask_miss(logits, loud_cells(values, self.settings.loud))
        return total_loss(self.settings.weights, miss, *distances(vectors, codes), kept)

    def validate(self) -> dict[str, float]:
        """Return ``valid_loss``, mean gain, squared distance to the codes, AI, AD, FF, Fid-In."""
        rows: dict[str, list[float]] = {}
        model = self.model
        with model.undisturbed(), torch.no_grad():
            for some in self.waves.split(AT_ONCE):
                spectrum, before, maps, values = self.evaluate(some.to(model.device))
                target = decisions(model, before)
                logits, vectors, codes = self.decoder(maps, target, self.frames)
                gains = logits.sigmoid()
                sides = evaluate_sides(model, spectrum, gains, self.length)
                loss = self._loss(values, before, target, logits, vectors, codes, sides[0])
                found = {
                    "valid_loss": loss.tolist(),
                    "area": gains.mean(dim=(1, 2)).tolist(),
                    "quantisation": distances(vectors, codes)[0].tolist(),
                    **faithful(model, before, target, *sides),
                }
                for name, each in found.items():
                    rows.setdefault(name, []).extend(each)
        return {name: float(np.mean(each)) for name, each in rows.items()}

    def result(self, facts: dict[str, Any] | None = None) -> Learned[PiqNetwork]:
        """Return the best network so far."""
        return self.learned(self.best_of(self.decoder), facts)


def decided(model: Model, outputs: Tensor, generator: torch.Generator) -> Tensor:
    """Return the decided class (batch,), of several decided labels one at random.

    If no label is decided, the most probable one is returned.
    """
    largest = decisions(model, outputs)
    if model.task != "multi-label":
        return largest
    wanted = decided_labels(model, outputs).float()
    wanted[torch.arange(len(wanted), device=wanted.device), largest] = 1.0
    return torch.multinomial(wanted.cpu(), 1, generator=generator)[:, 0].to(outputs.device)


def loud_cells(values: Tensor, share: float) -> Tensor:
    """Return 1 where values (batch, freq, frame) exceed a share of the clip's largest, else 0."""
    return (values > share * values.amax(dim=(1, 2), keepdim=True)).to(values)


def mask_miss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the binary cross entropy (batch,) of gains, given by their logits."""
    each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return each.mean(dim=(1, 2))


def total_loss(
    weights: PiqWeights, miss: Tensor, book: Tensor, commitment: Tensor, kept: Tensor
) -> Tensor:
    """Return the loss (batch,).

    Parameters
    ----------
    miss, book, commitment, kept : Tensor, shape (batch,)
        ``mask_miss``, both ``distances``, and the cross entropy of the masked sound.
    """
    return (
        weights.reconstruction * miss
        + weights.codebook * book
        + weights.commitment * commitment
        + weights.fidelity * kept
    )


def train_piq(
    model: Model,
    sounds: Sequence[Path],
    held_out: Sequence[Path],
    settings: PiqSettings,
    folder: Path,
    *,
    layers: Sequence[str] = (),
    workers: Workers | None = None,
    on_epoch: OnEpoch | None = None,
) -> Learned[PiqNetwork]:
    """Train adapter, codebook and decoder, and write them to a folder that ``piq`` can load.

    It resumes, and is not repeated, as ``train_flint``.

    Parameters
    ----------
    model : Model
        A classifier; not modified.
    sounds, held_out : sequence of Path
        Training and validation sounds; labels are not needed.
    settings : PiqSettings
    folder : Path
    layers : sequence of str
        At most one module of the model, whose activations are used.
    workers : Workers, optional
    on_epoch : callable, optional
        Called with the number of finished epochs and the figures of the last one.

    Raises
    ------
    OutputError
        If the folder contains an interpreter or another training, or cannot be written.
    NotApplicableError
        If the model is no classifier, cannot be differentiated, or has no suitable layer.
    """
    workers = workers or Workers()
    with held(folder) if workers.rank == 0 else nullcontext():
        training = PiqTraining(model, sounds, held_out, settings, layers=layers, workers=workers)
        return carry_out(
            training, folder, held_out, what="interpreter", load=load_piq,
            result=training.result, save=save_learned, on_epoch=on_epoch,
        )  # fmt: skip
