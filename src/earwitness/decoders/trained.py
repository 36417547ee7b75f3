"""What trained explainers share: the model they belong to, windows of long sounds, their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from earwitness.errors import ModelError, NotApplicableError
from earwitness.files import read_record, write_json
from earwitness.layers.finding import HiddenLayer
from earwitness.models.fingerprint import PerModel, changed, fingerprint, identity
from earwitness.models.model import Model
from earwitness.plane.stft import Plane
from earwitness.plane.windows import joined
from earwitness.weights import check_shapes, folder_of, write_tensors

V = TypeVar("V")
N = TypeVar("N", bound="ExplainerNetwork")
LEARNED = ("interpreter.json", "interpreter.safetensors")  # files of a learned network
_SCHEMA = 1  # version of their layout
_CHECKED: PerModel[list[float]] = PerModel()  # outputs of models, for comparison
_SHIPPED = "earwitness.models.zoo"
_WEIGHTS = "weights"
_MOST_KEPT = 4  # loaded folders
_State = tuple[tuple[int, ...], ...]


def require_model(
    what: str, command: str, name: str, plane: Plane, trained_for: Mapping[str, Any], model: Model
) -> None:
    """Raise ``NotApplicableError`` if a trained explainer belongs to another model.

    Parameters
    ----------
    what, command : str
        ``decoder`` and ``earwitness train lmac``, for the message.
    name : str
        Name of the model that it was trained for.
    plane : Plane
        Plane that it was trained on.
    trained_for : mapping
        Identity of that model (``earwitness.models.fingerprint``).
    """
    if plane.rate != model.rate:
        raise NotApplicableError(
            f"this {what} was trained for {name} at {plane.rate} Hz, not for {model.name} at "
            f"{model.rate} Hz; train one with {command}"
        )
    if plane != model.plane:
        raise NotApplicableError(
            f"this {what} was trained for {name} on another plane ({plane}), not for {model.name} "
            f"on {model.plane}; wrap(..., plane=) sets the plane of a model"
        )
    if trained_for["weights"] != fingerprint(model):
        raise NotApplicableError(
            f"this {what} was trained for {name} (weights {trained_for['weights']}), not for "
            f"{model.name} as it is (weights {fingerprint(model)}); train one with {command}"
        )
    if not trained_for.get("outputs"):  # of an earlier version, or of the published layout
        return
    known = _CHECKED.of(model)
    if "outputs" not in known:
        known["outputs"] = identity(model)["outputs"]
    if changed(trained_for, {**trained_for, "outputs": known["outputs"]}):
        raise NotApplicableError(
            f"this {what} was trained for {name} with other outputs than {model.name} has now, "
            f"with the same weights; train one with {command}"
        )


def first_frames(starts: Sequence[int], hop: int, length: int, total: int) -> list[int]:
    """Return the first frame of windows that start at samples, the last one up to the end.

    Rounding of starts to frames could leave the last frame of ``total`` uncovered by windows of
    ``length`` frames.
    """
    frames = [round(start / hop) for start in starts]
    return [*frames[:-1], max(frames[-1], total - length)] if len(frames) > 1 else frames


def _is_whole(starts: Sequence[int], length: int, total: int) -> bool:
    """Whether there is one window, which is the sound; nothing is copied then."""
    return list(starts) == [0] and length == total


def joined_windows(found: Tensor, starts: Sequence[int], hop: int, total: int) -> Tensor:
    """Cross-fade results (window, row, frame) of windows that start at samples.

    Returns
    -------
    Tensor, shape (row, ``total``)
    """
    if _is_whole(starts, found.shape[-1], total):
        return found[0]
    frames = first_frames(starts, hop, found.shape[-1], total)
    return joined(list(found), frames, total, fade=True)


def windows_of(magnitude: Tensor, starts: Sequence[int], hop: int, length: int) -> Tensor:
    """Return windows (window, freq, ``length``) of a magnitude (freq, frame), padded with zeros.

    They lie where ``joined_windows`` puts them.
    """
    total = magnitude.shape[-1]
    if _is_whole(starts, length, total):
        return magnitude[None]
    parts = []
    for first in first_frames(starts, hop, length, total):
        inside = magnitude[:, max(first, 0) : max(first + length, 0)]
        before = max(-first, 0)
        parts.append(functional.pad(inside, (before, length - before - inside.shape[-1])))
    return torch.stack(parts)


def layers_of(stored: Sequence[Mapping[str, Any]]) -> tuple[HiddenLayer, ...]:
    """Return layers from their JSON values."""
    return tuple(
        HiddenLayer(**{**one, "freqs": tuple(one["freqs"]), "flips": tuple(one["flips"])})
        for one in stored
    )


class Folders(Generic[V]):
    """Folders of trained explainers of one kind, loaded again when a file of them is written.

    Parameters
    ----------
    kind : str
        Name of the folder beside the weights of a built-in model: ``lmac``.
    files : sequence of str
        Names of its files, the description first.
    load : callable
    """

    def __init__(self, kind: str, files: Sequence[str], load: Callable[[Path], V]) -> None:
        self.kind, self.files, self._load = kind, tuple(files), load
        self._kept: dict[Path, tuple[_State, V]] = {}

    def load(self, folder: Path) -> V:
        """Return what a folder holds."""
        state = tuple(written(folder / name) for name in self.files)
        known = self._kept.get(folder)
        if known is not None and known[0] == state:
            return known[1]
        while len(self._kept) >= _MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[folder] = (state, self._load(folder))
        return self._kept[folder][1]

    def shipped(self) -> Iterator[tuple[str, V]]:
        """Yield all that come with built-in models, with the names of the models."""
        place = resources.files(_SHIPPED) / _WEIGHTS
        for name in sorted(one.name for one in place.iterdir() if one.is_dir()):
            if (place / name / self.kind / self.files[0]).is_file():
                with resources.as_file(place / name / self.kind) as path:
                    yield name, self.load(path)


def written(file: Path) -> tuple[int, ...]:
    """Return what changes when a file is written again."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)


class ExplainerNetwork(nn.Module):
    """A network that belongs to a method, and can be made from the sizes that are stored with it.

    It is made by ``network(layers, plane, outputs, **sizes)``.

    Attributes
    ----------
    method : str
        Name of the method, as in ``earwitness train flint``.
    parts : mapping of str to str
        Beginnings of the names of its tensors, and what each part is.
    sizes : dict
        Whole numbers.
    """

    method: ClassVar[str]
    parts: ClassVar[Mapping[str, str]]
    sizes: dict[str, int]


@dataclass(frozen=True)
class Learned(Generic[N]):
    """A trained network of one model, with everything needed to use it.

    Attributes
    ----------
    network : ExplainerNetwork
    layers : tuple of HiddenLayer
        Layers whose activations are its input, deepest first.
    plane : Plane
    model : dict
        Identity of the model it was trained for (``earwitness.models.fingerprint``).
    name : str
        Name of that model, for messages.
    labels : tuple of str
        Outputs of that model.
    facts : mapping
        Training settings and results; plain JSON values.
    """

    network: N
    layers: tuple[HiddenLayer, ...]
    plane: Plane
    model: dict[str, Any]
    name: str
    labels: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    def require(self, model: Model) -> None:
        """Raise ``NotApplicableError`` if it was trained for another model."""
        command = f"earwitness train {self.network.method}"
        require_model("interpreter", command, self.name, self.plane, self.model, model)


def save_learned(folder: Path, found: Learned[N]) -> None:
    """Write a trained network to a folder, first the tensors, then their description."""
    write_tensors(folder / LEARNED[1], found.network.state_dict())
    stored = {
        "schema": _SCHEMA,
        "method": found.network.method,
        "model": {"name": found.name, **found.model},
        "labels": list(found.labels),
        "plane": asdict(found.plane),
        "layers": [asdict(layer) for layer in found.layers],
        "sizes": found.network.sizes,
        "facts": found.facts,
    }
    write_json(folder / LEARNED[0], stored)


def load_learned(folder: Path, kind: type[N]) -> Learned[N]:
    """Load a trained network from a folder written by ``save_learned``.

    Raises
    ------
    ModelError
        If the folder contains none, or that of another method, a part of it is missing, or its
        files do not match.
    """
    with folder_of("interpreter", folder, LEARNED[1]):
        stored = read_record(folder / LEARNED[0], {_SCHEMA}, ModelError)
        require_method(folder, stored, kind.method)
        tensors = load_file(folder / LEARNED[1])
        for prefix, what in kind.parts.items():
            if not any(name.startswith(prefix) for name in tensors):
                raise ModelError(
                    f"{folder}: {what} is missing from {LEARNED[1]}; an interpreter needs "
                    f"{', '.join(kind.parts.values())} of one training"
                )
        layers, plane = layers_of(stored["layers"]), Plane(**stored["plane"])
        labels, model = tuple(map(str, stored["labels"])), dict(stored["model"])
        with torch.device("meta"):
            empty = kind(layers, plane, len(labels), **stored["sizes"])
            check_shapes(empty, folder / LEARNED[1])
        network = kind(layers, plane, len(labels), **stored["sizes"])
        network.load_state_dict(tensors)
        name = model.pop("name")
        if not isinstance(model["weights"], str):
            raise ValueError("no model")
        if not all(isinstance(count, int) for count in [*stored["facts"].get("asked", ())]):
            raise ValueError("no counts")
        network.eval()
        return Learned(network, layers, plane, model, name, labels, dict(stored["facts"]))


def require_method(folder: Path, stored: Mapping[str, Any], method: str) -> None:
    """Raise ``ModelError`` if a stored interpreter belongs to another method."""
    there = stored.get("method", "l2i")
    if there != method:
        raise ModelError(f"{folder}: an interpreter of {there}, not of {method}")
