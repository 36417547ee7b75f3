"""Classifiers on disk: a folder with ``model.json`` and ``weights.safetensors``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from earwitness.errors import ModelError
from earwitness.files import read_record, replacing, write_json
from earwitness.models.adapters.spectral import SpectralModel
from earwitness.models.frontend import LogMel
from earwitness.models.zoo.compact_cnn import CompactCNN
from earwitness.plane.stft import Plane

SCHEMA = 1  # version of model.json


@dataclass(frozen=True)
class Recipe:
    """Front end and network of a classifier on log-mel features.

    Attributes
    ----------
    labels : tuple of str
    rate, n_fft, hop, mels : int
        The plane and the number of mel bands on it.
    widths : tuple of int
        Channels of the network's blocks.
    seconds : float
        Length of the sounds it was trained on; longer ones are read in windows of this length.
    """

    labels: tuple[str, ...]
    rate: int
    n_fft: int
    hop: int
    mels: int
    widths: tuple[int, ...]
    seconds: float

    def network(self) -> CompactCNN:
        """Return the network with random weights."""
        return CompactCNN(len(self.labels), self.widths)

    def frontend(self) -> LogMel:
        """Return the front end."""
        return LogMel(Plane(self.rate, self.n_fft, self.hop), self.mels)

    def model(self, network: nn.Module, name: str) -> SpectralModel:
        """Return the network as a model."""
        shortest = 2 ** len(self.widths) * self.hop / self.rate
        return SpectralModel(
            self.frontend(),
            module=network.eval(),
            name=name,
            rate=self.rate,
            labels=self.labels,
            output="logits",
            task="single-label",
            lengths=(shortest, self.seconds),
        )


def default_recipe(labels: Sequence[str]) -> Recipe:
    """Return the default front end and network, chosen inside folds 1-3 of ESC-10."""
    return Recipe(
        labels=tuple(labels),
        rate=32000,
        n_fft=2048,
        hop=512,
        mels=64,
        widths=(16, 32, 64, 128),
        seconds=5.0,
    )


def save_checkpoint(
    folder: Path, recipe: Recipe, network: nn.Module, facts: dict[str, Any]
) -> None:
    """Write a classifier, the weights first and then ``model.json``, which completes it."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "weights.safetensors") as partial:
        save_file({name: t.contiguous() for name, t in network.state_dict().items()}, partial)
    stored = {"schema": SCHEMA, "recipe": asdict(recipe), "facts": facts}
    write_json(folder / "model.json", stored)


def load_checkpoint(folder: Path, name: str | None = None) -> SpectralModel:
    """Load a classifier from a folder written by ``train``.

    Raises
    ------
    ModelError
        If the folder holds no classifier, or its files do not fit together.
    """
    try:
        stored = read_record(folder / "model.json", {SCHEMA}, ModelError)
        fields = stored["recipe"]
        recipe = Recipe(
            **{**fields, "labels": tuple(fields["labels"]), "widths": tuple(fields["widths"])}
        )
        network = recipe.network()
        network.load_state_dict(load_file(folder / "weights.safetensors"))
    except FileNotFoundError as error:
        missing = Path(str(error.filename or "weights.safetensors")).name
        raise ModelError(
            f"{folder}: no trained model in this folder ({missing} is missing)"
        ) from error
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder}: the model files are damaged or do not fit together") from error
    return recipe.model(network, name or folder.name)
