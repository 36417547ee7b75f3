"""Training of a Listen-to-Interpret interpreter: first its dictionary, then Psi and Theta."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earwitness.decoders.components import InterpreterNetwork, Psi, Theta
from earwitness.decoders.dictionary import log_magnitude
from earwitness.decoders.interpreter import Interpreter, load_interpreter, save_interpreter
from earwitness.errors import NotApplicableError
from earwitness.files import digest_of, held
from earwitness.layers.activations import activations_of
from earwitness.layers.finding import find_layers
from earwitness.models.model import Model
from earwitness.models.target import overall, probabilities
from earwitness.train.interpreters.dictionary import (
    DICTIONARY,
    Groups,
    OnPass,
    learn_dictionary,
    store_dictionary,
    stored_dictionary,
)
from earwitness.train.interpreters.listening import (
    decisions,
    filters,
    listening,
    soft_selection,
)
from earwitness.train.interpreters.objective import (
    fidelity,
    reconstruction,
    relative_miss,
    total_loss,
)
from earwitness.train.interpreters.settings import InterpreterSettings
from earwitness.train.interpreters.strongest import strongest
from earwitness.train.loop import Loop, OnEpoch, run
from earwitness.train.progress import STATE, Workers, finished
from earwitness.train.validation import fixed_waves

_BATCH = 16  # sounds per forward pass in validation
_HEARD = 0.5  # share of the clips for which what is heard is computed; it costs most of a step


class InterpreterTraining(Loop):
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
        if model.task == "regression":
            raise NotApplicableError(
                f"an interpreter explains classes, and {model.name} gives values"
            )
        super().__init__(model, sounds, settings, what="an interpreter", workers=workers)
        self.layers = find_layers(model, layers, samples=self.length, finest=True)
        self.waves, _ = fixed_waves(model, held_out, settings.contamination, self.length)
        self.groups: Groups = ()

    def use(self, dictionary: Tensor, groups: Groups) -> None:
        """Set the dictionary, and begin with new networks."""
        self.groups = groups
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            components = dictionary.shape[1]
            network = InterpreterNetwork(
                dictionary,
                Psi(self.layers, components),
                Theta(components, len(self.model.labels)),
            )
        self.begin(network)

    def step(self, numbers: list[int], generator: torch.Generator) -> Tensor:
        """Return the loss (batch,) of the sounds of some numbers."""
        waves, _ = self.draw(numbers, generator)
        with self.precision():
            spectrum, outputs, maps, values = self._evaluate(waves.to(self.model.device))
            activations, scores = self.joined(maps, self.frames)
            distance = fidelity(self.model, outputs, scores)
            miss = reconstruction(values, self.decoder.dictionary, activations)
            weights, epoch, epochs = self.settings.weights, len(self.history), self.settings.epochs
            loss = total_loss(weights, weights.fidelity(epoch, epochs), distance, miss, activations)
            heard = weights.listening(epoch, epochs)
            if heard:
                some = slice(math.ceil(_HEARD * len(loss)))  # the clips are in random order
                term, _ = self._heard(spectrum[some], outputs[some], activations[some])
                loss = torch.cat([loss[some] + heard / _HEARD * term, loss[some.stop :]])
        for index in decisions(self.model, outputs).tolist():
            self.target_counts[index] += 1
        return loss

    def _heard(
        self, spectrum: Tensor, outputs: Tensor, activations: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss (batch,) of what is heard, and the mean gain (batch,)."""
        target = decisions(self.model, outputs)
        kept = soft_selection(self.model, self.decoder.theta, activations, target)
        gains = filters(self.decoder.dictionary, activations, kept)
        loss = listening(
            self.model, spectrum, outputs, gains, self.length, self.settings.weights.masking
        )
        return loss, gains.mean(dim=(1, 2))

    def _evaluate(self, waves: Tensor) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        """Return the spectrum of waves, outputs and activations, and ``ln(1 + |X|)``."""
        model = self.model
        spectrum = model.plane.analyse(waves)
        magnitude = spectrum.abs()
        with activations_of(model, self.layers) as recorded, torch.no_grad():
            direct = model.frontend is not None
            outputs = model.from_magnitude(magnitude) if direct else model(waves)
            maps = recorded.maps()
        return spectrum, outputs.detach(), maps, log_magnitude(magnitude, waves, model.plane)

    def validate(self) -> dict[str, float]:
        """Return ``valid_loss`` with the last weights, and the figures of its terms.

        These are the share of decisions (of labels, if there are several) that are the model's,
        the relative error of the reconstruction, and the mean of ``H``; with a weight of what is
        heard, also that term and the mean gain.
        """
        rows: dict[str, list[float]] = {}
        weights, dictionary = self.settings.weights, self.decoder.dictionary
        with self.model.undisturbed(), torch.no_grad():
            for waves in self.waves.split(_BATCH):
                spectrum, outputs, maps, values = self._evaluate(waves.to(self.model.device))
                activations, scores = self.decoder(maps, self.frames)
                distance = fidelity(self.model, outputs, scores)
                miss = reconstruction(values, dictionary, activations)
                loss = total_loss(weights, weights.late, distance, miss, activations)
                heard: dict[str, Tensor] = {}
                if weights.heard:
                    heard["heard"], heard["area"] = self._heard(spectrum, outputs, activations)
                    loss = loss + weights.heard * heard["heard"]
                found = {
                    "valid_loss": loss,
                    "fidelity": agreement(self.model, outputs, scores),
                    "reconstruction": relative_miss(values, dictionary, activations),
                    "activation": activations.mean(dim=(1, 2)),
                    **heard,
                }
                for name, each in found.items():
                    rows.setdefault(name, []).extend(each.tolist())
        return {name: float(np.mean(each)) for name, each in rows.items()}

    def interpreter(self, facts: dict[str, Any] | None = None) -> Interpreter:
        """Return the best interpreter so far, its Theta centred for one of many classes."""
        best = copy.deepcopy(self.decoder)
        best.load_state_dict(self.best)
        if self.model.task == "single-label":
            best.theta.centre()
        return Interpreter(
            best.eval(), self.layers, self.model.plane, self.identity, self.model.name,
            self.model.labels, self.groups, facts or {},
        )  # fmt: skip


def agreement(model: Model, outputs: Tensor, scores: Tensor) -> Tensor:
    """Return 1 where the interpreter decides as the model does, else 0, shape (batch,).

    For several labels, the share of labels on the same side of a probability of 0.5.
    """
    wanted = overall(model, probabilities(model, outputs))
    if model.task == "multi-label":
        return ((wanted > 0.5) == (scores > 0)).float().mean(dim=1)
    return (wanted.argmax(dim=1) == scores.argmax(dim=1)).float()


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
        content = {
            "sounds": digest_of(sounds),
            "held out": digest_of(held_out),
            "contaminations": digest_of(training.contaminator.paths),
            "noises": digest_of(noise),
            "layers": [layer.name for layer in training.layers],
            "processes": workers.count,
        }
        made: dict[str, Any] = {"settings": asdict(settings), "content": content}
        before = finished(folder, made, training.identity, "interpreter", load_interpreter)
        if before is not None:
            return before
        first = {"settings": made["settings"], "model": training.identity, **content}
        dictionary, groups = _dictionary(training, folder, first, noise, on_pass)
        training.use(dictionary, groups)
        run(training, folder, {**first, "dictionary": _digest(dictionary)}, on_epoch)
        facts = {
            **made,
            "trained": {"sounds": len(sounds), "epochs": len(training.history)},
            "asked": training.target_counts,
            "validation": {**training.history.best, "sounds": len(held_out)},
            "torch": torch.__version__,
        }
        interpreter = training.interpreter(facts)
        if workers.rank == 0:
            found = strongest(model, interpreter, training.sounds)
            interpreter = replace(interpreter, strongest=found)
            save_interpreter(folder, interpreter)
            for name in (STATE, DICTIONARY):
                (folder / name).unlink(missing_ok=True)
        return interpreter


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
        if on_pass:
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
