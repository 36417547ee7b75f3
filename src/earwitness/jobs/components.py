"""Which components matter for each class over many sounds: the global view of an interpreter.

Parekh et al. 2022, section 3.3: the relevance of a component for a class, averaged over the sounds
that the model decides as that class.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from earwitness.decoders.components import Components, normalised, select
from earwitness.decoders.interpreter import Interpreter
from earwitness.layers.recording import require_one_call
from earwitness.methods.l2i import component_names
from earwitness.models.model import Model
from earwitness.models.target import overall, probabilities
from earwitness.subject import open_subject
from earwitness.train.interpreters.strongest import strongest_segments
from earwitness.types import Audio, ComponentTable, FloatArray, Segment

_DECIDED = 0.5  # probability from which a label is decided, of a model of several labels


@dataclass(frozen=True)
class ClassComponents:
    """The components of the sounds that are decided as one class.

    Attributes
    ----------
    label : str
    sounds : int
    relevance : tuple of float
        Mean of each component's relevance; zeros without a sound.
    selected : tuple of float in [0, 1]
        Share of the sounds in which each component is selected.
    """

    label: str
    sounds: int
    relevance: tuple[float, ...]
    selected: tuple[float, ...]

    def leading(self, count: int) -> list[int]:
        """Return the components of largest mean relevance, largest first, without those of 0."""
        some = [k for k, value in enumerate(self.relevance) if value > 0]
        return sorted(some, key=lambda k: -self.relevance[k])[:count]


@dataclass(frozen=True)
class Example:
    """The sound in which a component is strongest, and where in it."""

    path: Path
    strength: float
    segment: Segment


class Overview:
    """Components over many sounds, which are added one by one; one forward pass each.

    Parameters
    ----------
    model : Model
    interpreter : Interpreter
        Trained for the model.
    threshold : float
        Components of more than this relevance are selected.
    """

    def __init__(self, model: Model, interpreter: Interpreter, *, threshold: float = 0.4) -> None:
        interpreter.require(model)
        interpreter.network.to(model.device)
        self.model, self.interpreter, self.threshold = model, interpreter, threshold
        count = interpreter.dictionary.shape[1]
        labels = len(model.labels)
        self._sounds = np.zeros(labels, np.int64)
        self._relevance, self._selected = np.zeros((2, labels, count))
        self.examples: list[Example | None] = [None] * count

    def add(self, path: Path) -> list[str]:
        """Add a sound, and return the labels that the model decides for it.

        Raises
        ------
        EarwitnessError
            If it cannot be read or evaluated.
        """
        wave = self._wave(path)
        with self.model.undisturbed(), torch.no_grad():
            outputs, activations = self._read(wave)
            chances = overall(self.model, probabilities(self.model, outputs))[0]
            decided = self._decided(chances)
            theta = self.interpreter.network.theta
            for label in decided:
                relevance = normalised(theta.shares(activations[None], label)[0])
                self._sounds[label] += 1
                self._relevance[label] += relevance.cpu().numpy()
                self._selected[label] += select(relevance, self.threshold, 0).cpu().numpy()
            found = strongest_segments(activations, self.model.plane, len(wave))
        for k, (strength, start, end) in enumerate(found):
            best = self.examples[k]
            if strength > (best.strength if best else 0.0):
                segment = Segment(path.name, round(start, 3), round(end, 3))
                self.examples[k] = Example(path, strength, segment)
        return [self.model.labels[label] for label in decided]

    def _wave(self, path: Path) -> Tensor:
        wave = open_subject(self.model, path).wave
        require_one_call(self.model, len(wave))
        return wave

    def _read(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        magnitude = self.model.plane.analyse(wave[None])[0].abs()
        return self.interpreter.read(self.model, magnitude, wave)

    def _decided(self, chances: Tensor) -> list[int]:
        if self.model.task == "multi-label":
            found: list[int] = (chances > _DECIDED).nonzero().flatten().tolist()
            return found
        return [int(chances.argmax())]

    @property
    def classes(self) -> list[ClassComponents]:
        """What was found for each label of the model."""
        counts = np.maximum(self._sounds, 1)[:, None]
        relevance, selected = self._relevance / counts, self._selected / counts
        return [
            ClassComponents(label, int(number), tuple(mean.tolist()), tuple(share.tolist()))
            for label, number, mean, share in zip(
                self.model.labels, self._sounds, relevance, selected, strict=True
            )
        ]

    def table(self) -> ComponentTable:
        """Return the names of the components and their examples, without relevance."""
        names = component_names(self.interpreter)
        nothing = np.zeros((len(names), 0), np.float32)
        segments = tuple((one.segment,) if one else () for one in self.examples)
        return ComponentTable(names, (0.0,) * len(names), nothing, None, segments)

    def sound(self, component: int) -> Audio | None:
        """Return a component filtered out of its strongest example, at a peak of 0.5.

        None if it is never active. It costs a forward pass.
        """
        example = self.examples[component]
        if example is None:
            return None
        wave, plane = self._wave(example.path), self.model.plane
        with self.model.undisturbed(), torch.no_grad():
            _, activations = self._read(wave)
            pieces = Components(
                self.interpreter.dictionary, activations, component_names(self.interpreter)
            )
            switches = torch.zeros(1, len(pieces), device=wave.device)
            switches[0, component] = 1
            spectrum = plane.analyse(wave[None])[0]
            alone = plane.synthesise(pieces.mix(switches) * spectrum, len(wave))[0]
        first, last = (
            round(second * self.model.rate)
            for second in (example.segment.start, example.segment.end)
        )
        samples: FloatArray = alone[first:last].cpu().numpy()
        peak = float(np.abs(samples).max(initial=0.0))
        return Audio(samples * np.float32(0.5 / peak if peak > 0 else 1.0), self.model.rate)
