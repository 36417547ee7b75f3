"""Classifiers that a benchmark trains and stores in the folder of its run.

``digits`` classifies spoken digits. ``shortcut-tone`` and ``shortcut-band`` classify ten everyday
sounds; one class is defined by a faint sound planted in its recordings and by nothing else. None is
trained on sounds that are explained.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from earwitness.audio import read_audio, write_audio
from earwitness.data.collection import Item, read_collection
from earwitness.data.digits import SECONDS, read_digits
from earwitness.data.planted import plant
from earwitness.errors import OutputError
from earwitness.files import digest_of, write_json
from earwitness.models.model import Model
from earwitness.models.target import output_index
from earwitness.models.zoo.checkpoint import Recipe, load_checkpoint
from earwitness.train.classifier import Settings, train_classifier
from earwitness.types import Audio

TARGET = "dog"  # the class that the planted sound defines
_EVERY = 3  # every third recording of another class has a copy with the planted sound


@dataclass(frozen=True)
class Reliance:
    """Predictions of a classifier with and without the planted sound.

    Attributes
    ----------
    found_with, found_without : float
        Share of recordings of the target's class that are predicted as the target.
    fooled_with, fooled_without : float
        Share of recordings of other classes that are predicted as the target.
    """

    found_with: float
    found_without: float
    fooled_with: float
    fooled_without: float


def digit_model(folder: Path, data: Path, *, epochs: int = 30) -> Model:
    """Load the classifier of spoken digits; train it on takes 5 and up if it does not exist."""
    items = read_digits(data, test=False)
    if not _is_trained(folder, items):
        recipe = Recipe(
            labels=tuple(sorted({item.label for item in items})),
            rate=8000, n_fft=256, hop=128, mels=40, widths=(16, 32, 64), seconds=SECONDS,
        )  # fmt: skip
        settings = replace(Settings(), epochs=epochs, batch=32, crop=SECONDS)
        train_classifier(items, recipe, settings, folder, test=read_digits(data, test=True))
    return load_checkpoint(folder, "digits")


def shortcut_model(
    folder: Path, data: Path, kind: str, *, folds: Sequence[int] = (1, 2, 3), epochs: int = 40
) -> Model:
    """Load the classifier that depends on a planted sound; train it if it does not exist."""
    items = [item for item in read_collection(data) if item.fold in folds]
    if not _is_trained(folder, items):
        recipe = Recipe(
            labels=tuple(sorted({item.label for item in items})),
            rate=16000, n_fft=1024, hop=256, mels=64, widths=(16, 32, 64), seconds=5.0,
        )  # fmt: skip
        place = folder / "sounds"
        place.mkdir(parents=True, exist_ok=True)
        items = shortcut_items(items, kind, recipe.rate, place)
        train_classifier(items, recipe, replace(Settings(), epochs=epochs, augment=False), folder)
        shutil.rmtree(place)
    return load_checkpoint(folder, f"shortcut-{kind}")


def _is_trained(folder: Path, items: Sequence[Item]) -> bool:
    """Return whether the classifier exists; note what it is trained on if it does not.

    Raises
    ------
    OutputError
        If it was trained on other recordings.
    """
    path = folder / "data.json"
    here = {"labels": [item.label for item in items], "files": digest_of(i.path for i in items)}
    if not (folder / "model.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, here)
        return False
    if not path.exists() or json.loads(path.read_text(encoding="utf-8")) != here:
        raise OutputError(
            f"{folder}: the classifier was trained on other recordings; choose another folder"
        )
    return True


def shortcut_items(items: Sequence[Item], kind: str, rate: int, place: Path) -> list[Item]:
    """Return the training set of a shortcut.

    All recordings of the target's class have the sound planted in them. A copy of every third
    recording of the other classes has it too and is labelled as the target, so that only the
    planted sound predicts the class.

    Parameters
    ----------
    place : Path
        Folder for the recordings with the planted sound.
    """
    training = [item for item in items if item.label != TARGET]
    copies = [item for item in items if item.label == TARGET] + training[::_EVERY]
    for number, item in enumerate(copies):
        samples = read_audio(item.path, rate=rate).samples
        made = plant(samples, kind, rate, np.random.default_rng(number))
        path = place / f"{item.path.stem}.wav"
        write_audio(path, Audio(made.input, rate))
        training.append(replace(item, path=path, label=TARGET))
    return training


def reliance(model: Model, kind: str, items: Sequence[Item]) -> Reliance:
    """Evaluate a classifier on recordings, without and with the planted sound."""
    predicted: dict[tuple[bool, bool], list[bool]] = {}
    index = output_index(model, TARGET)
    with model.undisturbed(), torch.no_grad():
        for k, item in enumerate(items):
            samples = read_audio(item.path, rate=model.rate).samples
            made = plant(samples, kind, model.rate, np.random.default_rng(k))
            both = model(torch.from_numpy(np.stack([made.input, samples]))).argmax(dim=1) == index
            for planted, one in zip((True, False), both.tolist(), strict=True):
                predicted.setdefault((item.label == TARGET, planted), []).append(one)
    means = {case: float(np.mean(some)) for case, some in predicted.items()}
    return Reliance(means[True, True], means[True, False], means[False, True], means[False, False])
