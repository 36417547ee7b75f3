"""Classifiers on the published front ends, trained for a grid and kept by content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from earwitness.data.collection import Item
from earwitness.files import digest_of, write_json
from earwitness.models.model import Model
from earwitness.models.zoo.checkpoint import default_recipe, load_checkpoint
from earwitness.train.classifier import Settings, train_classifier

_KEY = "data.json"


def trained(
    front_end: str,
    learnt: Sequence[Item],
    test: Sequence[Item],
    epochs: int,
    models: Path | None,
    folder: Path,
) -> Model:
    """Load the classifier of a front end; train it first if there is none.

    Parameters
    ----------
    learnt, test : sequence of Item
        Training sounds, and sounds for the accuracy in its ``model.json``.
    epochs : int
    models : Path or None
        Folder of the classifiers; ``models`` in the run's folder if None.
    folder : Path
        Of the run.

    Raises
    ------
    OutputError
        If the folder holds a classifier of other sounds or settings.
    """
    place = (models or folder / "models") / front_end
    labels = [item.label for item in learnt]
    key = {"labels": labels, "files": digest_of(item.path for item in learnt), "epochs": epochs}
    path = place / _KEY
    if not (path.exists() and json.loads(path.read_text(encoding="utf-8")) == key):
        recipe = default_recipe(sorted(set(labels)), front_end=front_end)
        settings = replace(Settings(), epochs=epochs)
        train_classifier(learnt, recipe, settings, place, test=test)
        write_json(path, key)
    return load_checkpoint(place, front_end)
