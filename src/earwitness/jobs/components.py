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

from earwitness.decoders.components import THRESHOLD, Components, normalised, select
from earwitness.decoders.interpreter import Interpreter
from earwitness.layers.recording import require_one_call
from earwitness.methods.l2i import component_names
from earwitness.models.model import Model
from earwitness.models.target import decided_labels, make_target
from earwitness.subject import open_subject
from earwitness.train.interpreters.strongest import names_of, strongest_segments
from earwitness.types import Audio, ComponentTable, FloatArray, Segment


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
    start: float
    end: float


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

    def __init__(
        self, model: Model, interpreter: Interpreter, *, threshold: float = THRESHOLD
    ) -> None:
        interpreter.require(model)
        interpreter.network.to(model.device)
        self.model, self.interpreter, self.threshold = model, interpreter, threshold
        count = interpreter.dictionary.shape[1]
        labels = len(model.labels)
        self._sounds = np.zeros(labels, np.int64)
        self._relevance, self._selected = np.zeros((2, labels, count))
        self.examples: list[Example | None] = [None] * count
        self._paths: list[Path] = []

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
            decided = self._decided(outputs)
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
                self.examples[k] = Example(path, strength, round(start, 3), round(end, 3))
        self._paths.append(path)
        return [self.model.labels[label] for label in decided]

    def _wave(self, path: Path) -> Tensor:
        wave = open_subject(self.model, path).wave
        require_one_call(self.model, len(wave))
        return wave

    def _read(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        magnitude = self.model.plane.analyse(wave[None])[0].abs()
        return self.interpreter.read(self.model, magnitude, wave)

    def _decided(self, outputs: Tensor) -> list[int]:
        if self.model.task == "multi-label":
            found: list[int] = decided_labels(self.model, outputs)[0].nonzero().flatten().tolist()
            return found
        return [make_target(self.model, outputs[0]).index]

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
        files = dict(zip(self._paths, names_of(self._paths), strict=True))
        segments = tuple(
            (Segment(files[one.path], one.start, one.end),) if one else () for one in self.examples
        )
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
        first, last = (round(second * self.model.rate) for second in (example.start, example.end))
        samples: FloatArray = alone[first:last].cpu().numpy()
        peak = float(np.abs(samples).max(initial=0.0))
        return Audio(samples * np.float32(0.5 / peak if peak > 0 else 1.0), self.model.rate)
