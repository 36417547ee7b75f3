"""Remove and retrain (ROAR): whether what a method finds important carries the classes.

Hooker et al.: A Benchmark for Interpretability Methods in Deep Neural Networks, 2019. The cells
that a method ranks highest are replaced in every sound, of training and of test, and a classifier
is trained anew on what is left. A good ranking takes the accuracy away sooner than a random one. In
contrast to a mask on a trained model, the network has seen such sounds, so a fall of the accuracy
is a loss of information and not surprise at unusual inputs.

Cells are replaced by the mean magnitude of their frequency over the training sounds, with the phase
of the sound, as the paper replaces pixels by the mean of their channel. They are a share of the
cells of frames that are not digital silence; those of equal attribution are taken in random order.
Attributions are of the decided class, for training and test sounds alike, so no label leaks.

A network may also read the shape of what was removed (Rong et al.: A Consistent and Efficient
Evaluation Strategy for Attribution Methods, 2022). The controls, which ignore the model, show how
far that goes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from earwitness.audio import read_audio, write_audio
from earwitness.benchmark.cells import seed_of
from earwitness.benchmark.engine import open_ledger
from earwitness.benchmark.grid import Choice, choose
from earwitness.benchmark.ledger import Line, read_lines
from earwitness.benchmark.sanity.measure import sounding
from earwitness.data.collection import Item
from earwitness.data.mixtures import loudest
from earwitness.errors import NotApplicableError, ParameterError
from earwitness.files import digest_of, held
from earwitness.methods.registry import METHODS
from earwitness.models.declared import outputs_for
from earwitness.models.fingerprint import identity
from earwitness.models.model import Model
from earwitness.models.target import make_target
from earwitness.models.zoo.checkpoint import Recipe, default_recipe
from earwitness.probe import Probe
from earwitness.provenance import commit, versions
from earwitness.train.classifier import Settings, train_classifier
from earwitness.types import Audio, FloatArray

LINES = "cells.jsonl"
NOTHING = "nothing removed"
CONTROLS = ("random", "energy")
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of cells, as in the paper
_TRAININGS = "trainings"
_SOUNDS = "sounds"


@dataclass(frozen=True)
class Roar:
    """What is trained: every method, share and seed, and one training a seed with nothing removed.

    Attributes
    ----------
    model : Model
        It is explained.
    train, test : tuple of Item
    methods : tuple of Choice
        Controls that are not named are added.
    shares : tuple of float in (0, 1)
        Of the cells that are replaced.
    seconds : float
        Length of the sounds, cut at the loudest segment.
    settings : Settings
        Of every training; the seed is one of ``seeds``.
    seeds : tuple of int
    """

    model: Model
    train: tuple[Item, ...]
    test: tuple[Item, ...]
    methods: tuple[Choice, ...]
    shares: tuple[float, ...] = SHARES
    seconds: float = 5.0
    settings: Settings = field(default_factory=Settings)
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        names = [choice.name for choice in self.methods]
        missing = tuple(choose(name) for name in CONTROLS if name not in names)
        object.__setattr__(self, "methods", (*self.methods, *missing))
        if not self.shares or not all(0 < share < 1 for share in self.shares):
            raise ParameterError(f"shares of cells lie between 0 and 1, got {self.shares}")
        unknown = {item.label for item in self.test} - {item.label for item in self.train}
        if unknown:
            raise ParameterError(f"roar: no sound of {min(unknown)} to train on")
        if not self.test:
            raise ParameterError("roar: there are no sounds to test on")

    @property
    def recipe(self) -> Recipe:
        """The classifier that is trained: the default one, on sounds of this length."""
        labels = sorted({item.label for item in self.train})
        return replace(default_recipe(labels), seconds=self.seconds)

    def trainings(self, name: str) -> list[tuple[float, int]]:
        """Return share and seed of every training of a method."""
        shares = (0.0,) if name == NOTHING else self.shares
        return [(share, seed) for share in shares for seed in self.seeds]

    def key(self) -> dict[str, Any]:
        """Return all settings on which the results depend, as plain JSON values."""
        settings = asdict(self.settings)
        del settings["seed"]
        return {
            "name": "roar",
            "model": [identity(self.model)[part] for part in ("weights", "source")],
            "train": [digest_of(one.path for one in self.train), [i.label for i in self.train]],
            "test": [digest_of(one.path for one in self.test), [i.label for i in self.test]],
            "methods": [[choice.name, dict(choice.options)] for choice in self.methods],
            "files": [digest_of(choice.files) for choice in self.methods],
            "shares": list(self.shares),
            "seconds": self.seconds,
            "settings": settings,
            "recipe": asdict(self.recipe),
            "seeds": list(self.seeds),
        }


def run_roar(
    plan: Roar,
    folder: Path,
    *,
    on_start: Callable[[int], None] | None = None,
    on_training: Callable[[str], None] | None = None,
) -> list[Line]:
    """Do the missing trainings, and return a line for each.

    It may be killed at any moment. Called again, it goes on with the training that was interrupted,
    from its last checkpoint; a run of other sounds, weights or settings is refused.

    Parameters
    ----------
    folder : Path
        Holds the lines (``cells.jsonl``) and, meanwhile, the sounds and trainings of one method.
    on_start : callable, optional
        Called with the number of trainings left.
    on_training : callable, optional
        Called with what is trained next.

    Raises
    ------
    OutputError
        If the folder holds another run, cannot be written, or is in use.
    """
    facts = {"versions": versions(), "commit": commit()}
    names = [NOTHING, *(choice.name for choice in plan.methods)]
    with held(folder), open_ledger(plan, folder) as ledger:
        left = {
            name: [one for one in plan.trainings(name) if (name, _title(*one)) not in ledger.done]
            for name in names
        }
        if on_start:
            on_start(sum(map(len, left.values())))
        for name, choice in zip(names, (None, *plan.methods), strict=True):
            shares = list(dict.fromkeys(share for share, _ in left[name]))
            if not shares:
                continue
            sets = _write(plan, choice, shares, folder / _SOUNDS)
            for share, seed in left[name]:
                if on_training:
                    on_training(f"{name} {_title(share, seed)}")
                train, test = sets[share]
                place = folder / _TRAININGS / f"{name} {_title(share, seed)}"
                settings = replace(plan.settings, seed=seed)
                found = train_classifier(train, plan.recipe, settings, place, test=test)
                line = {"model": name, "clip": _title(share, seed), "share": share, "seed": seed}
                line |= {"options": dict(choice.options) if choice else {}, "test": found["test"]}
                ledger.add([{**line, **facts}])
                shutil.rmtree(place)
            shutil.rmtree(folder / _SOUNDS)
    return read_lines(folder / LINES)


def _title(share: float, seed: int) -> str:
    return f"{100 * share:g} % seed {seed}"


def _write(
    plan: Roar, choice: Choice | None, shares: Sequence[float], folder: Path
) -> dict[float, tuple[list[Item], list[Item]]]:
    """Write the sounds with cells replaced, and return those of training and test by share."""
    found: dict[float, tuple[list[Item], list[Item]]] = {share: ([], []) for share in shares}
    if folder.exists():  # of a run that was killed
        shutil.rmtree(folder)
    waves = [_cut(plan, item) for item in (*plan.train, *plan.test)]
    mean = mean_magnitude(plan.model, waves[: len(plan.train)])
    for number, item in enumerate((*plan.train, *plan.test)):
        wave = waves[number]
        name = f"{number} {item.path.name}"
        order = None if choice is None else _ranked(plan.model, choice, wave, name)
        for share, (train, test) in found.items():
            place = folder / f"{100 * share:g}"
            place.mkdir(parents=True, exist_ok=True)
            path = place / f"{number}.wav"
            made = wave if order is None else replaced(plan.model, wave, order, share, mean)
            write_audio(path, Audio(made, plan.model.rate, str(number)))
            some = train if number < len(plan.train) else test
            some.append(Item(path, item.label))
    return found


def _cut(plan: Roar, item: Item) -> FloatArray:
    rate = plan.model.rate
    return loudest(read_audio(item.path, rate=rate).samples, plan.seconds, rate)


def _ranked(model: Model, choice: Choice, wave: FloatArray, name: str) -> NDArray[np.int64]:
    """Return the cells of a sound that are not digital silence, the most important one first."""
    sound, seed = torch.from_numpy(wave).to(model.device), seed_of(0, name)
    with torch.inference_mode(False), model.undisturbed():
        seconds = len(wave) / model.rate
        target = make_target(model, outputs_for(model, sound), None, seconds=seconds)
        probe = Probe(model, sound, target, seed=seed)
        values = METHODS.get(choice.name).function(probe, **choice.options).values
        frames = sounding(probe.magnitude.cpu().numpy())
    array: FloatArray = values.float().cpu().numpy()
    if not np.isfinite(array).all():
        raise NotApplicableError(f"{choice.name}: the map is not finite")
    return ranked_cells(array, frames, seed)


def ranked_cells(values: FloatArray, frames: NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
    """Return flat places of the cells of some frames, by falling value; equal ones at random.

    Parameters
    ----------
    values : ndarray, shape (freq, frame)
    frames : ndarray of bool, shape (frame,)
    """
    places = np.flatnonzero(np.broadcast_to(frames, values.shape))
    shuffled = np.random.default_rng(seed).permutation(places)
    falling = np.argsort(-values.ravel()[shuffled], kind="stable")
    return np.asarray(shuffled[falling], np.int64)


def replaced(
    model: Model, wave: FloatArray, order: NDArray[np.int64], share: float, mean: FloatArray
) -> FloatArray:
    """Return a sound (time,) whose first cells have the mean magnitude and their own phase.

    Parameters
    ----------
    order : ndarray, shape (cell,)
        Flat places of cells.
    share : float in [0, 1]
        Of these cells.
    mean : ndarray, shape (freq,)
    """
    spectrum = model.plane.analyse(torch.from_numpy(wave)[None])[0].numpy().copy()
    removed = order[: round(share * len(order))]
    sizes = np.abs(spectrum).ravel()[removed]
    phases = np.divide(
        spectrum.ravel()[removed],
        sizes,
        out=np.zeros(len(removed), spectrum.dtype),
        where=sizes > 0,
    )
    rows = removed // spectrum.shape[1]
    spectrum.ravel()[removed] = mean[rows] * phases
    made = model.plane.synthesise(torch.from_numpy(spectrum)[None], len(wave))[0]
    samples: FloatArray = made.float().numpy()
    return samples


def mean_magnitude(model: Model, waves: Sequence[FloatArray]) -> FloatArray:
    """Return the mean magnitude (freq,) over all frames of sounds that are not digital silence."""
    total, count = np.zeros(model.plane.n_fft // 2 + 1), 0
    for wave in waves:
        magnitude = model.plane.analyse(torch.from_numpy(wave)).abs().numpy()
        frames = sounding(magnitude)
        total += magnitude[:, frames].sum(axis=1, dtype=np.float64)
        count += int(frames.sum())
    if not count:
        raise ParameterError("roar: all sounds to train on are digital silence")
    return (total / count).astype(np.float32)
