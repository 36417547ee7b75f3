"""What trainings of interpreters share: which models, layers and sounds, and agreement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from earwitness.decoders.dictionary import log_magnitude
from earwitness.decoders.trained import Learned, N
from earwitness.errors import NotApplicableError
from earwitness.layers.activations import activations_of
from earwitness.layers.finding import find_layers
from earwitness.models.model import Model
from earwitness.models.target import decided_labels, overall, probabilities
from earwitness.train.loop import Loop
from earwitness.train.progress import Workers
from earwitness.train.settings import LoopSettings
from earwitness.train.validation import fixed_waves

AT_ONCE = 16  # sounds per forward pass in validation


class InterpreterLoop(Loop):
    """State of the training of an interpreter between epochs.

    Parameters
    ----------
    model : Model
        A classifier; not modified.
    sounds, held_out : sequence of Path
        Training and validation sounds.
    settings : LoopSettings
    layers : sequence of str
        Modules whose activations are used; chosen by ``find_layers`` by default.
    workers : Workers, optional
        Processes of a distributed training.
    """

    def __init__(
        self,
        model: Model,
        sounds: Sequence[Path],
        held_out: Sequence[Path],
        settings: LoopSettings,
        *,
        layers: Sequence[str] = (),
        workers: Workers | None = None,
    ) -> None:
        if model.task == "regression":
            raise NotApplicableError(
                f"an interpreter explains classes, and {model.name} gives values"
            )
        super().__init__(model, sounds, settings, what="an interpreter", workers=workers)
        self.layers = find_layers(model, layers, samples=self.length, finest=True)
        self.waves, _ = fixed_waves(model, held_out, settings.contamination, self.length)

    def evaluate(self, waves: Tensor) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        """Return spectrum of waves, the model's outputs and activations, and ``ln(1 + |X|)``."""
        model = self.model
        spectrum = model.plane.analyse(waves)
        magnitude = spectrum.abs()
        with activations_of(model, self.layers) as recorded, torch.no_grad():
            direct = model.frontend is not None
            outputs = model.from_magnitude(magnitude) if direct else model(waves)
            maps = recorded.maps()
        return spectrum, outputs.detach(), maps, log_magnitude(magnitude, waves, model.plane)

    def learned(self, network: N, facts: dict[str, Any] | None) -> Learned[N]:
        """Return a trained network with what it belongs to."""
        return Learned(
            network, self.layers, self.model.plane, self.identity, self.model.name,
            self.model.labels, facts or {},
        )  # fmt: skip

    def count(self, outputs: Tensor) -> None:
        """Count the classes that the model decides, by its outputs."""
        for index in decisions(self.model, outputs).tolist():
            self.target_counts[index] += 1


def decisions(model: Model, outputs: Tensor) -> Tensor:
    """Return the class of largest probability, shape (batch,), int64."""
    return overall(model, probabilities(model, outputs)).argmax(dim=1)


def agreement(model: Model, outputs: Tensor, scores: Tensor) -> Tensor:
    """Return 1 where the interpreter decides as the model does, else 0, shape (batch,).

    For several labels, the share of labels that both decide, or both do not.
    """
    if model.task == "multi-label":
        return (decided_labels(model, outputs) == (scores >= 0)).float().mean(dim=1)
    return (decisions(model, outputs) == scores.argmax(dim=1)).float()
