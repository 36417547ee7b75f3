"""Classifiers on disk: a folder with ``model.json`` and ``weights.safetensors``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from earwitness.errors import ModelError, ParameterError
from earwitness.files import read_record, write_json
from earwitness.models.adapters.spectral import SpectralModel
from earwitness.models.adapters.torch import FeatureModel
from earwitness.models.frontend import LogMel
from earwitness.models.model import Model
from earwitness.models.zoo import cnn14
from earwitness.models.zoo.compact_cnn import CompactCNN
from earwitness.models.zoo.decibels import PUBLISHED, Decibels
from earwitness.plane.domains import FLOOR_DB
from earwitness.plane.stft import Plane
from earwitness.types import Task
from earwitness.weights import check_shapes, folder_of, write_tensors

Architecture = Literal["compact", "cnn14"]
SCHEMA = 1  # version of model.json
WEIGHTS = "weights.safetensors"
LOG_MEL = "log-mel"
FRONT_ENDS = (LOG_MEL, *PUBLISHED)
_MOST = 1 << 20  # of Hz, samples, bands or channels; more is damage


@dataclass(frozen=True)
class Recipe:
    """Front end and network of a classifier on log-mel features, or on published ones.

    Attributes
    ----------
    labels : tuple of str
    rate, n_fft, hop, mels : int
        The plane and the number of mel bands on it; of bins for ``stft-db``. Those of CNN14 are
        fixed.
    widths : tuple of int
        Channels of the network's blocks.
    seconds : float
        Length of the sounds it was trained on; longer ones are read in windows of this length.
    task : {"single-label", "multi-label"}
    front_end : {"log-mel", "stft-db", "mel-db"}
        The default one, or one of Pak and Teryokhina (2025), whose numbers are fixed.
    architecture : {"compact", "cnn14"}
        The compact network, or CNN14 with its own front end.
    """

    labels: tuple[str, ...]
    rate: int
    n_fft: int
    hop: int
    mels: int
    widths: tuple[int, ...]
    seconds: float
    task: Task = "single-label"
    front_end: str = LOG_MEL
    architecture: Architecture = "compact"

    def __post_init__(self) -> None:
        numbers = (self.rate, self.n_fft, self.hop, self.mels, *self.widths)
        if not all(type(one) is int and 0 < one <= _MOST for one in numbers):
            raise ParameterError(f"numbers of a classifier are from 1 to {_MOST}, got {numbers}")
        if not 0 < self.seconds < math.inf or not self.widths or not self.labels:
            raise ParameterError("a classifier has a length, blocks and labels")
        if not all(isinstance(label, str) for label in self.labels):
            raise ParameterError("labels of a classifier are text")
        if self.task not in ("single-label", "multi-label"):
            raise ParameterError(f"a classifier is single-label or multi-label, got {self.task!r}")
        if self.architecture not in ("compact", "cnn14"):
            raise ParameterError(f"no architecture {self.architecture!r}: compact or cnn14")
        if self.front_end not in FRONT_ENDS:
            raise ParameterError(
                f"a front end is one of {', '.join(FRONT_ENDS)}, got {self.front_end!r}"
            )
        if self.front_end != LOG_MEL:
            if self.architecture != "compact":
                raise ParameterError(f"{self.architecture} has a front end of its own")
            fixed = PUBLISHED[self.front_end]
            if numbers[:4] != (fixed.rate, fixed.n_fft, fixed.hop, fixed.rows):
                raise ParameterError(f"{self.front_end}: other numbers than the published ones")

    def network(self) -> CompactCNN | cnn14.CNN14:
        """Return the network with random weights."""
        kind = cnn14.CNN14 if self.architecture == "cnn14" else CompactCNN
        return kind(len(self.labels), self.widths)

    def frontend(self) -> LogMel | cnn14.LogPowerMel:
        """Return the front end of magnitudes."""
        if self.architecture == "cnn14":
            return cnn14.LogPowerMel()
        return LogMel(Plane(self.rate, self.n_fft, self.hop), self.mels)

    @property
    def silence(self) -> float:
        """Value of the features of silence."""
        if self.front_end != LOG_MEL:
            return FLOOR_DB
        return float(self.frontend()(torch.zeros(1, self.n_fft // 2 + 1, 1)).max())

    def features(self) -> Callable[[Tensor], Tensor]:
        """Return the function from waves (batch, samples) to features (batch, 1, row, frame)."""
        if self.front_end != LOG_MEL:
            return Decibels(self.front_end)
        frontend = self.frontend()
        return lambda waves: frontend(frontend.plane.analyse(waves).abs())

    def model(self, network: nn.Module, name: str) -> Model:
        """Return the network as a model."""
        halvings = len(self.widths) - (self.architecture == "cnn14")  # its last block has none
        shortest = 2**halvings * self.hop / self.rate
        facts: dict[str, Any] = {
            "module": network.eval(), "name": name, "rate": self.rate, "labels": self.labels,
            "output": "logits", "task": self.task, "lengths": (shortest, self.seconds),
        }  # fmt: skip
        if self.front_end == LOG_MEL:
            return SpectralModel(self.frontend(), **facts)
        features = Decibels(self.front_end)
        return FeatureModel(features, plane=features.plane, **facts)


def default_recipe(
    labels: Sequence[str],
    task: Task = "single-label",
    front_end: str = LOG_MEL,
    architecture: Architecture = "compact",
) -> Recipe:
    """Return the default network, chosen inside folds 1-3 of ESC-10, with a front end; or CNN14."""
    if architecture == "cnn14":
        plane = cnn14.LogPowerMel().plane
        return Recipe(
            labels=tuple(labels),
            rate=plane.rate,
            n_fft=plane.n_fft,
            hop=plane.hop,
            mels=cnn14.MELS,
            widths=cnn14.WIDTHS,
            seconds=5.0,
            task=task,
            front_end=front_end,
            architecture=architecture,
        )
    if front_end in PUBLISHED:
        fixed = PUBLISHED[front_end]
        numbers: dict[str, Any] = {
            "rate": fixed.rate,
            "n_fft": fixed.n_fft,
            "hop": fixed.hop,
            "mels": fixed.rows,
        }
    else:
        numbers = {"rate": 32000, "n_fft": 2048, "hop": 512, "mels": 64}
    return Recipe(
        labels=tuple(labels),
        **numbers,
        widths=(16, 32, 64, 128),
        seconds=5.0,
        task=task,
        front_end=front_end,
    )


def save_checkpoint(
    folder: Path, recipe: Recipe, network: nn.Module, facts: dict[str, Any]
) -> None:
    """Write a classifier, the weights first and then ``model.json``, which completes it."""
    write_tensors(folder / WEIGHTS, network.state_dict())
    stored = {"schema": SCHEMA, "recipe": asdict(recipe), "facts": facts}
    write_json(folder / "model.json", stored)


def load_folder(folder: Path) -> Model:
    """Load what ``train classifier`` or ``train mosnet`` wrote to a folder.

    Raises
    ------
    ModelError
        If the folder holds neither, or its files do not fit together.
    """
    with folder_of("trained model", folder, WEIGHTS):
        stored = read_record(folder / "model.json", {SCHEMA}, ModelError)
        if "mosnet" in stored:
            from earwitness.models.zoo.mosnet import read_mosnet

            return read_mosnet(folder, stored["mosnet"])
    return load_checkpoint(folder)


def load_checkpoint(folder: Path, name: str | None = None) -> Model:
    """Load a classifier from a folder written by ``train``.

    Raises
    ------
    ModelError
        If the folder holds no classifier, or its files do not fit together.
    """
    with folder_of("trained model", folder, WEIGHTS):
        stored = read_record(folder / "model.json", {SCHEMA}, ModelError)
        fields = stored["recipe"]
        recipe = Recipe(
            **{**fields, "labels": tuple(fields["labels"]), "widths": tuple(fields["widths"])}
        )
        with torch.device("meta"):
            check_shapes(recipe.network(), folder / WEIGHTS)
        network = recipe.network()
        network.load_state_dict(load_file(folder / WEIGHTS))
        model = recipe.model(network, name or folder.name)
        crop = stored.get("facts", {}).get("settings", {}).get("crop")
        if isinstance(crop, int | float) and 0 < crop <= recipe.seconds:
            model.trained_seconds = float(crop)
        return model
