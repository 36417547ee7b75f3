"""Training of FLINT: attributes that give the decision and the sound (Parekh et al. 2021).

The loss of a clip is ``reconstruction * mean (V - d(phi))^2 + fidelity * D + conciseness * E(phi) -
diversity * E(mean of phi over the batch) + sparsity * mean phi``. ``V`` is ``ln(1 + |X|)``, ``D``
the cross entropy between the probabilities of the classifier and of Theta, and ``E`` the entropy of
a softmax over attributes (section 3.2).
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

from earwitness.decoders.flint import FlintNetwork, load_flint
from earwitness.decoders.trained import Learned, save_learned
from earwitness.errors import ParameterError
from earwitness.files import held
from earwitness.models.model import Model
from earwitness.train.contamination import Contamination
from earwitness.train.interpreters.loop import AT_ONCE, InterpreterLoop, agreement
from earwitness.train.interpreters.objective import fidelity
from earwitness.train.loop import OnEpoch, carry_out
from earwitness.train.progress import Workers
from earwitness.train.settings import LoopSettings


@dataclass(frozen=True)
class FlintWeights:
    """Weights of the terms of the loss.

    Attributes
    ----------
    reconstruction, fidelity, conciseness, diversity, sparsity : float
    """

    reconstruction: float = 2.0
    fidelity: float = 1.0
    conciseness: float = 0.1
    diversity: float = 0.1
    sparsity: float = 0.05


@dataclass(frozen=True)
class FlintSettings(LoopSettings):
    """Training settings of FLINT.

    Attributes
    ----------
    attributes : int
    weights : FlintWeights
    """

    epochs: int = 40
    contamination: Contamination = field(default_factory=lambda: Contamination(share=0.5))
    attributes: int = 64
    weights: FlintWeights = field(default_factory=FlintWeights)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attributes < 1:
            raise ParameterError(f"attributes must be 1 or more, got {self.attributes}")


class FlintTraining(InterpreterLoop):
    """State of the training between epochs.

    Parameters
    ----------
    model : Model
        A classifier; not modified.
    sounds, held_out : sequence of Path
        Training and validation sounds.
    settings : FlintSettings
    layers : sequence of str
        Modules whose activations are used; chosen by ``find_layers`` by default.
    workers : Workers, optional
        Processes of a distributed training.
    """

    decoder: FlintNetwork
    settings: FlintSettings

    def __init__(
        self,
        model: Model,
        sounds: Sequence[Path],
        held_out: Sequence[Path],
        settings: FlintSettings,
        *,
        layers: Sequence[str] = (),
        workers: Workers | None = None,
    ) -> None:
        super().__init__(model, sounds, held_out, settings, layers=layers, workers=workers)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            network = FlintNetwork(
                self.layers, model.plane, len(model.labels),
                attributes=settings.attributes, samples=self.length,
            )  # fmt: skip
        self.begin(network)

    def step(self, numbers: list[int], generator: torch.Generator) -> Tensor:
        """Return the loss (batch,) of the sounds of some numbers."""
        waves, _ = self.draw(numbers, generator)
        with self.precision():
            _, outputs, maps, values = self.evaluate(waves.to(self.model.device))
            attributes, scores, decoded = self.joined(maps)
            distance = fidelity(self.model, outputs, scores)
        self.count(outputs)
        miss = (values - decoded).square().mean(dim=(1, 2))
        return total_loss(self.settings.weights, distance, miss, attributes)

    def validate(self) -> dict[str, float]:
        """Return ``valid_loss`` and the figures of its terms.

        These are the share of decisions (of labels, if there are several) that are the model's,
        the relative error of the reconstruction, and the mean number of active attributes.
        """
        rows: dict[str, list[float]] = {}
        with self.model.undisturbed(), torch.no_grad():
            for waves in self.waves.split(AT_ONCE):
                _, outputs, maps, values = self.evaluate(waves.to(self.model.device))
                attributes, scores, decoded = self.decoder(maps)
                distance = fidelity(self.model, outputs, scores)
                miss = (values - decoded).square().mean(dim=(1, 2))
                found = {
                    "valid_loss": total_loss(self.settings.weights, distance, miss, attributes),
                    "fidelity": agreement(self.model, outputs, scores),
                    "reconstruction": miss / values.square().mean(dim=(1, 2)).clamp(min=1e-12),
                    "active": (attributes > 0).float().sum(dim=1),
                }
                for name, each in found.items():
                    rows.setdefault(name, []).extend(each.tolist())
        return {name: float(np.mean(each)) for name, each in rows.items()}

    def result(self, facts: dict[str, Any] | None = None) -> Learned[FlintNetwork]:
        """Return the best network so far, its Theta centred for one of many classes."""
        best = self.best_of(self.decoder)
        if self.model.task == "single-label":
            best.centre()
        return self.learned(best, facts)


def entropy(attributes: Tensor) -> Tensor:
    """Return the entropy in nats (...,) of the softmax of attributes (..., attribute)."""
    logs = attributes.log_softmax(dim=-1)
    return -(logs.exp() * logs).sum(dim=-1)


def total_loss(weights: FlintWeights, distance: Tensor, miss: Tensor, attributes: Tensor) -> Tensor:
    """Return the loss (batch,); its diversity is that of the batch.

    Parameters
    ----------
    distance, miss : Tensor, shape (batch,)
        Of the outputs, and of the spectrogram.
    attributes : Tensor, shape (batch, attribute)
    """
    return (
        weights.reconstruction * miss
        + weights.fidelity * distance
        + weights.conciseness * entropy(attributes)
        - weights.diversity * entropy(attributes.mean(dim=0))
        + weights.sparsity * attributes.mean(dim=1)
    )


def train_flint(
    model: Model,
    sounds: Sequence[Path],
    held_out: Sequence[Path],
    settings: FlintSettings,
    folder: Path,
    *,
    layers: Sequence[str] = (),
    workers: Workers | None = None,
    on_epoch: OnEpoch | None = None,
) -> Learned[FlintNetwork]:
    """Train attributes, Theta and decoder, and write them to a folder that ``flint`` can load.

    An interrupted training resumes after the last complete epoch and ends with the same weights as
    an uninterrupted one. A finished one of the same settings and sounds is not repeated.
    ``log.csv`` contains the figures of every epoch.

    Parameters
    ----------
    model : Model
        A classifier; not modified.
    sounds, held_out : sequence of Path
        Training and validation sounds; labels are not needed.
    settings : FlintSettings
    folder : Path
    layers : sequence of str
        Modules of the model whose activations are used.
    workers : Workers, optional
    on_epoch : callable, optional
        Called with the number of finished epochs and the figures of the last one.

    Raises
    ------
    OutputError
        If the folder contains an interpreter or another training, or cannot be written.
    NotApplicableError
        If the model is no classifier or has no suitable layer.
    """
    workers = workers or Workers()
    with held(folder) if workers.rank == 0 else nullcontext():
        training = FlintTraining(model, sounds, held_out, settings, layers=layers, workers=workers)
        return carry_out(
            training, folder, held_out, what="interpreter", load=load_flint,
            result=training.result, save=save_learned, on_epoch=on_epoch,
        )  # fmt: skip
