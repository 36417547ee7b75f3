"""The cases of ``bench l2i-page``: which sounds are made and explained, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earwitness.audio import read_audio
from earwitness.data.collection import Item, read_collection
from earwitness.data.mixtures import loudest, mix, pair_items
from earwitness.errors import ParameterError
from earwitness.models.model import Model
from earwitness.models.target import decided_labels, make_target
from earwitness.types import Audio, FloatArray, Request

OTHERS, NOISE = "a and c mixed with another class", "b white noise at 0 dB"
WRONG, SEVERAL = "d misclassified", "e several labels"
SECONDS = 2.5  # of every mixture
LEVEL = 6  # dB, target relative to the other class


@dataclass(frozen=True)
class Case:
    """One sound of the page.

    Attributes
    ----------
    heading, name : str
        Its folder and its file.
    samples : ndarray, shape (time,)
        At the model's rate.
    model : Model
    requests : mapping of str to Request
        By the name of the folder of the explanation.
    sources : mapping of str to ndarray
        Sounds by label that sum to it, if they are known; the first is the target.
    """

    heading: str
    name: str
    samples: FloatArray
    model: Model
    requests: Mapping[str, Request]
    sources: Mapping[str, FloatArray] = field(default_factory=dict)

    @property
    def audio(self) -> Audio:
        """The sound as it is written."""
        return Audio(self.samples, self.model.rate, self.name)


def items_of(data: Path, fold: int | None, labels: Sequence[str]) -> list[Item]:
    """Return the sounds of a fold whose labels a model has; by default 4, or 1 of ESC-50.

    Raises
    ------
    ParameterError
        If there are none of two classes.
    """
    there = data / "esc10"
    every = read_collection(there if there.is_dir() else data)
    small = len({item.label for item in every}) <= 10
    wanted = fold if fold is not None else 4 if small else 1
    found = [item for item in every if item.fold == wanted and item.label in labels]
    if len({item.label for item in found}) < 2:
        raise ParameterError(
            f"{data}: fold {wanted} has no sounds of two classes that the model has; choose "
            "another with --fold"
        )
    return found


def with_others(
    model: Model, items: Sequence[Item], count: int, seed: int,
    requests: Mapping[str, Request], alone: Mapping[str, Request],
) -> Iterator[Case]:  # fmt: skip
    """Yield target, disturbing sound and mixture of every pair."""
    for number, (one, other) in enumerate(pairs(items, count, seed), start=1):
        made = mix(one, other, LEVEL, SECONDS, model.rate)
        source = made.input if made.source is None else made.source
        rest = made.input - source
        for part, label, samples in [
            ("target alone", one.label, source), ("disturbing sound alone", other.label, rest)
        ]:  # fmt: skip
            yield Case(OTHERS, f"{number} {part}, {label}", samples, model, alone)
        name = f"{number} mixture, {one.label} and {other.label}"
        sources = {one.label: source, other.label: rest}
        yield Case(OTHERS, name, made.input, model, requests, sources)


def with_noise(
    model: Model, items: Sequence[Item], count: int, seed: int, requests: Mapping[str, Request]
) -> Iterator[Case]:
    """Yield recordings with white noise of the same power."""
    rng = np.random.default_rng((seed, 1))
    for number, (one, _) in enumerate(pairs(items, count, seed), start=1):
        sound = loudest(read_audio(one.path, rate=model.rate).samples, SECONDS, model.rate)
        rms = float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))
        noise = (rms * rng.standard_normal(len(sound))).astype(np.float32)
        scale = np.float32(1 / max(1.0, float(np.abs(sound + noise).max())))
        sources = {one.label: scale * sound, "white noise": scale * noise}
        name = f"{number} {one.label}"
        yield Case(NOISE, name, scale * (sound + noise), model, requests, sources)


def misclassified(
    model: Model, items: Sequence[Item], count: int, seed: int, requests: Mapping[str, Request]
) -> Iterator[Case]:
    """Yield recordings that the model decides wrongly."""
    found = 0
    for number in np.random.default_rng((seed, 2)).permutation(len(items)):
        item = items[int(number)]
        samples = read_audio(item.path, rate=model.rate).samples[: model.longest]
        decided = make_target(model, _outputs(model, samples)[0]).label
        if decided != item.label:
            found += 1
            name = f"{found} {item.label} taken for {decided}"
            yield Case(WRONG, name, samples, model, requests)
        if found == count:
            return


def several_labels(
    tagger: Model, items: Sequence[Item], count: int, seed: int, options: Mapping[str, Any]
) -> Iterator[Case]:
    """Yield mixtures at 0 dB, with a request for every label that the tagger decides."""
    for number, (one, other) in enumerate(pairs(items, count, seed), start=1):
        made = mix(one, other, 0, SECONDS, tagger.rate)
        outputs = _outputs(tagger, made.input)
        likeliest = make_target(tagger, outputs[0]).index
        decided = decided_labels(tagger, outputs)[0].nonzero().flatten().tolist() or [likeliest]
        requests = {
            f"l2i-{index}": Request("l2i", options, target=index, seed=seed, trust="light")
            for index in decided
        }
        name = f"{number} {one.label} and {other.label}"
        yield Case(SEVERAL, name, made.input, tagger, requests)


def pairs(items: Sequence[Item], count: int, seed: int) -> list[tuple[Item, Item]]:
    """Return the pairs of which mixtures are made; an error if the items are too few."""
    return pair_items(items, count, np.random.default_rng(seed))


def _outputs(model: Model, samples: FloatArray) -> torch.Tensor:
    with model.undisturbed(), torch.no_grad():
        return model(torch.from_numpy(samples).to(model.device)[None])
