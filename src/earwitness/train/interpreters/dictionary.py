"""A dictionary of patterns learnt on a folder of sounds, for a model's plane."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from earwitness.decoders.dictionary import (
    Array,
    DictionarySettings,
    frames_of,
    learn_patterns,
    log_magnitude,
)
from earwitness.errors import OutputError, ParameterError
from earwitness.files import replacing
from earwitness.models.model import Model
from earwitness.models.target import overall, probabilities
from earwitness.train.contamination import Sounds
from earwitness.train.progress import require_same

EVERY, NOISE = "all sounds", "noise"
DICTIONARY = "dictionary.safetensors"  # checkpoint, removed when the training is finished
_LOG = "dictionary.csv"  # one row per pass
_AT_ONCE = 16  # sounds per forward pass
OnPass = Callable[[str, int, float], None]
Groups = tuple[tuple[str, int], ...]


def learn_dictionary(
    model: Model,
    sounds: Sounds,
    settings: DictionarySettings,
    length: int,
    *,
    noise: Sequence[Path] = (),
    on_pass: OnPass | None = None,
) -> tuple[Tensor, Groups]:
    """Learn patterns on sounds, on the sounds of each class, and on noises.

    A pass takes one random segment of each sound, so the memory does not depend on the number of
    sounds or their length.

    Parameters
    ----------
    length : int
        Samples per segment.
    noise : sequence of Path
        Noises for ``settings.noise`` patterns.
    on_pass : callable, optional
        Called with the group, the number of finished passes, and the relative error.

    Returns
    -------
    dictionary : Tensor, shape (freq, component)
    groups : tuple of (str, int)
        What each part was learnt on (``all sounds``, a label, ``noise``), and its components.
    """
    if bool(settings.noise) != bool(noise):
        raise ParameterError("patterns of noise need a folder of noises, and the folder a number")
    jobs: list[tuple[str, Sounds, list[int], int]] = []
    every = list(range(len(sounds)))
    if settings.components:
        jobs.append((EVERY, sounds, every, settings.components))
    if settings.per_class:
        for label, numbers in decided(model, sounds, length, settings.seed).items():
            jobs.append((label, sounds, numbers, settings.per_class))
    if settings.noise:
        noises = Sounds(noise, model.rate)
        jobs.append((NOISE, noises, list(range(len(noises))), settings.noise))
    parts: list[Tensor] = []
    for number, (name, some, numbers, count) in enumerate(jobs):
        own = replace(settings, seed=settings.seed + number)
        passes = (
            _frames(model, some, numbers, length, own.seed * 1009 + k) for k in range(own.passes)
        )
        for k, (patterns, error) in enumerate(learn_patterns(passes, count, own), start=1):
            learnt = torch.from_numpy(patterns)
            if on_pass:
                on_pass(name, k, error)
        parts.append(learnt)
    groups = tuple((job[0], part.shape[1]) for job, part in zip(jobs, parts, strict=True))
    return torch.cat(parts, dim=1), groups


def decided(model: Model, sounds: Sounds, length: int, seed: int) -> dict[str, list[int]]:
    """Return the numbers of the sounds that the model decides for each of its labels.

    Labels of no sound are left out.
    """
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[int]] = {}
    with model.undisturbed(), torch.no_grad():
        for some in torch.arange(len(sounds)).split(_AT_ONCE):
            numbers = some.tolist()
            waves = torch.stack([sounds.part(k, length, generator) for k in numbers])
            outputs = overall(model, probabilities(model, model(waves.to(model.device))))
            for number, index in zip(numbers, outputs.argmax(dim=1).tolist(), strict=True):
                found.setdefault(model.labels[index], []).append(number)
    return {label: found[label] for label in model.labels if label in found}


def _frames(
    model: Model, sounds: Sounds, numbers: Sequence[int], length: int, seed: int
) -> Iterator[Array]:
    """Yield the frames (frame, freq) of a random segment of each sound, in random order."""
    generator = torch.Generator().manual_seed(seed)
    for place in torch.randperm(len(numbers), generator=generator).tolist():
        waves = sounds.part(numbers[place], length, generator).unsqueeze(0).to(model.device)
        yield frames_of(log_magnitude(model.plane.analyse(waves).abs(), waves, model.plane))


def store_dictionary(
    folder: Path,
    dictionary: Tensor,
    groups: Groups,
    key: dict[str, Any],
    log: Sequence[tuple[str, int, float]],
) -> None:
    """Write a learnt dictionary, what it depends on, and the error after every pass."""
    about = json.dumps({"key": key, "groups": groups})
    try:
        with replacing(folder / DICTIONARY) as partial:
            save_file({"dictionary": dictionary.contiguous()}, partial, metadata={"about": about})
        with (
            replacing(folder / _LOG) as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(("patterns", "pass", "relative error"))
            writer.writerows(log)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{folder}: cannot be written ({error})") from error


def stored_dictionary(folder: Path, key: dict[str, Any]) -> tuple[Tensor, Groups] | None:
    """Return the dictionary that an interrupted training wrote; None if there is none.

    Raises
    ------
    OutputError
        If it is damaged, or from a training with other settings.
    """
    path = folder / DICTIONARY
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
            dictionary = file.get_tensor("dictionary")
        groups = tuple((str(name), int(count)) for name, count in about["groups"])
        there = dict(about["key"])
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise OutputError(f"{path}: damaged; remove it to begin again") from error
    require_same(folder, there, key)
    return dictionary, groups
