"""Training of a Listen-to-Interpret interpreter: first its dictionary, then Psi and Theta."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earwitness.decoders.components import InterpreterNetwork, Psi, Theta
from earwitness.decoders.interpreter import Interpreter, load_interpreter, save_interpreter
from earwitness.errors import NotApplicableError
from earwitness.files import digest_of, held
from earwitness.models.model import Model
from earwitness.train.explaining import evaluate_masked
from earwitness.train.interpreters.dictionary import (
    DICTIONARY,
    Groups,
    OnPass,
    learn_dictionary,
    store_dictionary,
    stored_dictionary,
)
from earwitness.train.interpreters.loop import AT_ONCE, InterpreterLoop, agreement, decisions
from earwitness.train.interpreters.masking import filters, masked_loss, soft_selection
from earwitness.train.interpreters.objective import (
    fidelity,
    reconstruction,
    relative_miss,
    total_loss,
)
from earwitness.train.interpreters.settings import InterpreterSettings
from earwitness.train.interpreters.strongest import strongest
from earwitness.train.loop import OnEpoch, carry_out
from earwitness.train.progress import Workers

_OWN = 0.5  # added to the first weight of a class for the patterns learnt on its sounds
_MASKED = 0.5  # share of the clips for which the masked loss is computed; it costs most of a step


class InterpreterTraining(InterpreterLoop):
    """State of the training of Psi and Theta between epochs.

    Parameters
    ----------
    model : Model
        Not modified.
    sounds, held_out : sequence of Path
        Training and validation sounds.
    settings : InterpreterSettings
    layers : sequence of str
        Modules whose activations Psi uses; chosen by ``find_layers`` by default.
    workers : Workers, optional
        Processes of a distributed training.
    """

    decoder: InterpreterNetwork
    settings: InterpreterSettings

    def __init__(
        self,
        model: Model,
        sounds: Sequence[Path],
        held_out: Sequence[Path],
        settings: InterpreterSettings,
        *,
        layers: Sequence[str] = (),
        workers: Workers | None = None,
    ) -> None:
        super().__init__(model, sounds, held_out, settings, layers=layers, workers=workers)
        self.groups: Groups = ()
        if settings.weights.faithfulness:
            self._require_gradients()

    def _require_gradients(self) -> None:
        """Raise ``NotApplicableError`` if the masked loss has no gradients, before all the rest."""
        first = self.sounds.part(0, self.length, torch.Generator().manual_seed(self.settings.seed))
        spectrum = self.model.plane.analyse(first[None].to(self.model.device))
        gains = torch.ones_like(spectrum.real).requires_grad_()
        try:
            with self.model.undisturbed(), self.model.frozen():
                evaluate_masked(self.model, spectrum, gains, self.length)
        except NotApplicableError as error:
            raise NotApplicableError(f"{error}; train with --faithfulness 0") from error

    def use(self, dictionary: Tensor, groups: Groups) -> None:
        """Set the dictionary, and begin with new networks.

        The weight of a class is larger at first for the patterns that were learnt on its sounds, so
        that each class tends to keep patterns of its own.
        """
        self.groups = groups
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            components = dictionary.shape[1]
            network = InterpreterNetwork(
                dictionary,
                Psi(self.layers, components),
                Theta(components, len(self.model.labels)),
            )
        place = 0
        for name, count in groups:
            if name in self.model.labels:
                own = network.theta.theta.weight[self.model.labels.index(name)]
                own.detach()[place : place + count] += _OWN
            place += count
        self.begin(network)

    def step(self, numbers: list[int], generator: torch.Generator) -> Tensor:
        """Return the loss (batch,) of the sounds of some numbers."""
        waves, _ = self.draw(numbers, generator)
        with self.precision():
            spectrum, outputs, maps, values = self.evaluate(waves.to(self.model.device))
            activations, scores = self.joined(maps, self.frames)
            distance = fidelity(self.model, outputs, scores)
            miss = reconstruction(values, self.decoder.dictionary, activations)
            weights, epoch, epochs = self.settings.weights, len(self.history), self.settings.epochs
            loss = total_loss(weights, weights.fidelity(epoch, epochs), distance, miss, activations)
            weight = weights.masked(epoch, epochs)
            if weight:
                some = slice(math.ceil(_MASKED * len(loss)))  # the clips are in random order
                term, _ = self._masked(spectrum[some], outputs[some], activations[some])
                loss = torch.cat(
                    [loss[some] + weight * len(loss) / some.stop * term, loss[some.stop :]]
                )
        self.count(outputs)
        return loss

    def _masked(
        self, spectrum: Tensor, outputs: Tensor, activations: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss (batch,) of the masked spectrogram, and the mean gain (batch,)."""
        target = decisions(self.model, outputs)
        kept = soft_selection(self.model, self.decoder.theta, activations, target)
        gains = filters(self.decoder.dictionary, activations, kept)
        loss = masked_loss(
            self.model, spectrum, outputs, gains, self.length, self.settings.weights.masking
        )
        return loss, gains.mean(dim=(1, 2))

    def validate(self) -> dict[str, float]:
        """Return ``valid_loss`` with the last weights, and the figures of its terms.

        These are the share of decisions (of labels, if there are several) that are the model's,
        the relative error of the reconstruction, and the mean of ``H``; with a weight of the
        masked loss, also that term and the mean gain.
        """
        rows: dict[str, list[float]] = {}
        weights, dictionary = self.settings.weights, self.decoder.dictionary
        with self.model.undisturbed(), torch.no_grad():
            for waves in self.waves.split(AT_ONCE):
                spectrum, outputs, maps, values = self.evaluate(waves.to(self.model.device))
                activations, scores = self.decoder(maps, self.frames)
                distance = fidelity(self.model, outputs, scores)
                miss = reconstruction(values, dictionary, activations)
                loss = total_loss(weights, weights.late, distance, miss, activations)
                masked: dict[str, Tensor] = {}
                if weights.faithfulness:
                    masked["faithfulness"], masked["area"] = self._masked(
                        spectrum, outputs, activations
                    )
                    loss = loss + weights.faithfulness * masked["faithfulness"]
                found = {
                    "valid_loss": loss,
                    "fidelity": agreement(self.model, outputs, scores),
                    "reconstruction": relative_miss(values, dictionary, activations),
                    "activation": activations.mean(dim=(1, 2)),
                    **masked,
                }
                for name, each in found.items():
                    rows.setdefault(name, []).extend(each.tolist())
        return {name: float(np.mean(each)) for name, each in rows.items()}

    def interpreter(self, facts: dict[str, Any] | None = None) -> Interpreter:
        """Return the best interpreter so far, its Theta centred for one of many classes."""
        best = self.best_of(self.decoder)
        if self.model.task == "single-label":
            best.theta.centre()
        return Interpreter(
            best, self.layers, self.model.plane, self.identity, self.model.name,
            self.model.labels, self.groups, facts or {},
        )  # fmt: skip


def train_l2i(
    model: Model,
    sounds: Sequence[Path],
    held_out: Sequence[Path],
    settings: InterpreterSettings,
    folder: Path,
    *,
    layers: Sequence[str] = (),
    noise: Sequence[Path] = (),
    workers: Workers | None = None,
    on_pass: OnPass | None = None,
    on_epoch: OnEpoch | None = None,
) -> Interpreter:
    """Train an interpreter and write it to a folder that ``l2i`` can load.

    An interrupted training resumes after the last complete epoch and ends with the same weights as
    an uninterrupted one. A finished one of the same settings and sounds is not repeated.
    ``dictionary.csv`` contains the error of the dictionary after every pass, ``log.csv`` the
    figures of every epoch. At the end, the training sounds are read once more for where each
    component is strongest.

    Parameters
    ----------
    model : Model
        A classifier; not modified.
    sounds, held_out : sequence of Path
        Training and validation sounds; labels are not needed.
    settings : InterpreterSettings
    folder : Path
    layers : sequence of str
        Modules of the model whose activations Psi uses.
    noise : sequence of Path
        Noises for the patterns of noise.
    workers : Workers, optional
    on_pass, on_epoch : callable, optional
        Called with the group, the number of finished passes and the error of the dictionary; and
        with the number of finished epochs and the figures of the last one.

    Raises
    ------
    OutputError
        If the folder contains an interpreter or another training, or cannot be written.
    NotApplicableError
        If the model is no classifier or has no suitable layer.
    """
    workers = workers or Workers()
    with held(folder) if workers.rank == 0 else nullcontext():
        training = InterpreterTraining(
            model, sounds, held_out, settings, layers=layers, workers=workers
        )

        def prepare(key: dict[str, Any]) -> dict[str, Any]:
            dictionary, groups = _dictionary(training, folder, key, noise, on_pass)
            training.use(dictionary, groups)
            return {"dictionary": _digest(dictionary)}

        def result(facts: dict[str, Any]) -> Interpreter:
            made = training.interpreter(facts)
            if workers.rank:
                return made
            return replace(made, strongest=strongest(model, made, training.sounds))

        found = carry_out(
            training, folder, held_out, what="interpreter", load=load_interpreter,
            result=result, save=save_interpreter, prepare=prepare,
            content={"noises": digest_of(noise)}, on_epoch=on_epoch,
        )  # fmt: skip
        if workers.rank == 0:
            (folder / DICTIONARY).unlink(missing_ok=True)
        return found


def _dictionary(
    training: InterpreterTraining,
    folder: Path,
    key: dict[str, Any],
    noise: Sequence[Path],
    on_pass: OnPass | None,
) -> tuple[Tensor, Groups]:
    """Return the dictionary of a training: the stored one, or a new one, which is stored."""
    stored = stored_dictionary(folder, key)
    if stored is not None:
        return stored
    log: list[tuple[str, int, float]] = []

    def note(group: str, number: int, error: float) -> None:
        log.append((group, number, error))
        if on_pass and training.workers.rank == 0:
            on_pass(group, number, error)

    found = learn_dictionary(
        training.model, training.sounds, training.settings.dictionary, training.length,
        noise=noise, on_pass=note,
    )  # fmt: skip
    if training.workers.rank == 0:
        store_dictionary(folder, *found, key, log)
    return found


def _digest(dictionary: Tensor) -> str:
    return blake2b(dictionary.contiguous().numpy().tobytes(), digest_size=8).hexdigest()
