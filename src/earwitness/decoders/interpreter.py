"""A trained interpreter (Listen to Interpret) with everything needed to use it, also on disk.

On disk it is a folder with ``interpreter.json`` and ``interpreter.safetensors``, which holds the
dictionary, Psi and Theta.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from earwitness.decoders.components import InterpreterNetwork, Psi, Theta
from earwitness.decoders.trained import (
    joined_windows,
    layers_of,
    require_method,
    require_model,
)
from earwitness.errors import ModelError
from earwitness.files import read_record, write_json
from earwitness.layers.activations import activations_of
from earwitness.layers.finding import HiddenLayer
from earwitness.models.model import Model
from earwitness.plane.stft import Plane
from earwitness.types import Segment
from earwitness.weights import folder_of, write_tensors

SCHEMA = 1  # version of the folder's layout
FILES = ("interpreter.json", "interpreter.safetensors")
_PARTS = {"dictionary": "the dictionary", "psi.": "Psi", "theta.": "Theta"}
_UNIT = 1e-3  # largest difference from 1 of the norm of a column


@dataclass(frozen=True)
class Interpreter:
    """A trained interpreter of one model.

    Attributes
    ----------
    network : InterpreterNetwork
    layers : tuple of HiddenLayer
        Layers whose activations are its input, deepest first.
    plane : Plane
        Plane of its dictionary.
    model : dict
        Identity of the model it was trained for (``earwitness.models.fingerprint``).
    name : str
        Name of that model, for messages.
    labels : tuple of str
        Outputs of Theta.
    groups : tuple of (str, int)
        What each part of the dictionary was learnt on, and its number of components.
    facts : mapping
        Training settings and results; plain JSON values.
    strongest : tuple of tuple of Segment
        Where in the training sounds each component is strongest; empty if not known.
    """

    network: InterpreterNetwork
    layers: tuple[HiddenLayer, ...]
    plane: Plane
    model: dict[str, Any]
    name: str
    labels: tuple[str, ...]
    groups: tuple[tuple[str, int], ...]
    facts: dict[str, Any] = field(default_factory=dict)
    strongest: tuple[tuple[Segment, ...], ...] = ()

    @property
    def dictionary(self) -> Tensor:
        """Patterns (freq, component), columns of unit L2 norm."""
        return self.network.dictionary

    def require(self, model: Model) -> None:
        """Raise ``NotApplicableError`` if it was trained for another model."""
        require_model(
            "interpreter", "earwitness train l2i", self.name, self.plane, self.model, model
        )

    def activations(self, model: Model, magnitude: Tensor, wave: Tensor) -> Tensor:
        """Return ``H`` (component, frame) for one sound, with one forward pass of the model.

        Parameters
        ----------
        magnitude : Tensor, shape (freq, frame)
        wave : Tensor, shape (samples,)
        """
        return self.read(model, magnitude, wave)[1]

    def read(self, model: Model, magnitude: Tensor, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Return the model's outputs (1, output[, frame]), and ``H``, of the same forward pass."""
        with activations_of(model, self.layers) as recorded, torch.no_grad():
            if model.frontend is None:
                outputs = model(wave.unsqueeze(0))
            else:
                outputs = model.from_magnitude(magnitude.unsqueeze(0))
            windows = model.windows(len(wave))
            found = self.network.psi(recorded.maps(), self.plane.frames(windows[0][1]))
        starts = [start for start, _ in windows]
        return outputs, joined_windows(found, starts, self.plane.hop, magnitude.shape[-1])


def save_interpreter(folder: Path, interpreter: Interpreter, *, half: bool = False) -> None:
    """Write an interpreter to a folder, first the tensors, then their description.

    Parameters
    ----------
    half : bool
        Whether to store numbers in half precision, at half the size; they are read as float32.
    """
    tensors = interpreter.network.state_dict()
    if half:
        tensors = {k: one.half() if one.is_floating_point() else one for k, one in tensors.items()}
    write_tensors(folder / FILES[1], tensors)
    stored = {
        "schema": SCHEMA,
        "model": {"name": interpreter.name, **interpreter.model},
        "labels": list(interpreter.labels),
        "plane": asdict(interpreter.plane),
        "layers": [asdict(layer) for layer in interpreter.layers],
        "groups": [list(group) for group in interpreter.groups],
        "facts": interpreter.facts,
        "strongest": [[asdict(one) for one in some] for some in interpreter.strongest],
    }
    write_json(folder / FILES[0], stored)


def load_interpreter(folder: Path) -> Interpreter:
    """Load an interpreter from a folder written by ``train l2i``.

    Raises
    ------
    ModelError
        If the folder contains none, its files do not match, or the dictionary, Psi or Theta is
        missing.
    """
    with folder_of("interpreter", folder, FILES[1]):
        stored = read_record(folder / FILES[0], {SCHEMA}, ModelError)
        require_method(folder, stored, "l2i")
        tensors = {
            name: one.float() if one.is_floating_point() else one
            for name, one in load_file(folder / FILES[1]).items()
        }
        _require_parts(folder, tensors)
        layers, plane = layers_of(stored["layers"]), Plane(**stored["plane"])
        labels = tuple(map(str, stored["labels"]))
        groups = tuple((str(name), int(count)) for name, count in stored["groups"])
        dictionary = tensors["dictionary"]
        components = sum(count for _, count in groups)
        _require_dictionary(dictionary, (plane.bins, components))
        network = InterpreterNetwork(
            dictionary, Psi(layers, components), Theta(components, len(labels))
        )
        network.load_state_dict(tensors)
        model = dict(stored["model"])
        name = model.pop("name")
        if not isinstance(model["weights"], str):
            raise ValueError("no model")
        strongest = tuple(
            tuple(Segment(str(one["file"]), float(one["start"]), float(one["end"])) for one in some)
            for some in stored.get("strongest", ())  # folders of earlier versions have none
        )
        if len(strongest) not in (0, components):
            raise ValueError("segments of other components")
        return Interpreter(
            network.eval(), layers, plane, model, name, labels, groups, dict(stored["facts"]),
            strongest,
        )  # fmt: skip


def _require_parts(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    for prefix, what in _PARTS.items():
        if not any(name.startswith(prefix) for name in tensors):
            raise ModelError(
                f"{folder}: {what} is missing from {FILES[1]}; an interpreter needs the "
                "dictionary, Psi and Theta of one training"
            )


def _require_dictionary(dictionary: Tensor, shape: tuple[int, int]) -> None:
    norms = dictionary.square().sum(dim=0).sqrt()
    if dictionary.shape != shape or bool((dictionary < 0).any()):
        raise ValueError("the dictionary has another shape, or negative values")
    if not bool(((norms - 1).abs() < _UNIT).all()):
        raise ValueError("the dictionary's columns are not of unit norm")
