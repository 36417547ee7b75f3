"""Training of a classifier on labelled sounds: the compact one, or CNN14."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from earwitness.audio import read_audio
from earwitness.data.collection import Item
from earwitness.errors import OutputError, ParameterError
from earwitness.files import digest_of, held, replacing, unwritable
from earwitness.metrics.agreement import tag_fidelity
from earwitness.metrics.calibration import expected_calibration_error
from earwitness.models.zoo.checkpoint import LOG_MEL, Recipe, save_checkpoint
from earwitness.models.zoo.cnn14 import CNN14, start_from
from earwitness.train.augmentation import (
    crop_active,
    mix_between_classes,
    random_gain,
    silence_stripes,
    warp,
)
from earwitness.types import Task
from earwitness.weights import read_torch

_EMA = 0.9  # decay of the moving average of weights, per epoch
_WARM_UP = 0.1  # share of the steps in which the learning rate rises
_MARGIN = 0.1  # s, more than the filter of resampling is long
_STATE = "training.pt"  # checkpoint, removed when the training is finished
_SAVE_EVERY = {"compact": 10, "cnn14": 1}  # epochs between checkpoints: of seconds, or minutes


@dataclass(frozen=True)
class Settings:
    """Training settings. The defaults were chosen on folds 1-3 of ESC-10.

    Attributes
    ----------
    epochs, batch : int
    crop : float
        Seconds of each sound per training example.
    rate : float
        Peak learning rate of the one-cycle schedule.
    decay : float
        Weight decay of AdamW.
    augment : bool
        Whether to mix sounds (of one label each), and to warp and mask features. Segments and
        levels are random anyway.
    seed : int
    """

    epochs: int = 250
    batch: int = 16
    crop: float = 2.0
    rate: float = 2e-3
    decay: float = 1e-2
    augment: bool = True
    seed: int = 0


# epochs, batch and rate of SpeechBrain's recipe for ESC-50 (hparams/cnn14.yaml), not tuned here
CNN14_SETTINGS = Settings(epochs=200, batch=32, crop=5.0, rate=2e-4)


@dataclass
class _State:
    """State of the training between epochs."""

    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.OneCycleLR
    epoch: int = 0

    def store(self, path: Path, key: dict[str, Any]) -> None:
        content = {
            "key": key,
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        try:
            with replacing(path) as partial:
                torch.save(content, partial)
        except RuntimeError as error:  # a full disk
            raise unwritable(path, error) from error

    def restore(self, path: Path, key: dict[str, Any]) -> None:
        content = read_torch(path, error=OutputError)
        damaged = OutputError(f"{path}: damaged; remove it to begin again")
        parts = ("network", "average", "optimiser", "schedule")
        if not isinstance(content, dict) or {"key", "epoch", *parts} - content.keys():
            raise damaged
        if not isinstance(content["key"], dict) or not isinstance(content["epoch"], int):
            raise damaged
        other = [name for name in key if content["key"].get(name) != key[name]]
        if other:
            raise OutputError(
                f"{path.parent}: holds an unfinished training with other {other[0]}; choose "
                "another folder"
            )
        try:
            for name in parts:
                getattr(self, name).load_state_dict(content[name])
        except Exception as error:  # of any kind: a damaged file may hold anything
            raise damaged from error
        self.epoch = content["epoch"]


def train_classifier(
    items: Sequence[Item],
    recipe: Recipe,
    settings: Settings,
    folder: Path,
    *,
    test: Sequence[Item] = (),
    device: str = "cpu",
    start: Path | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
) -> dict[str, Any]:
    """Train a classifier and write it to a folder that ``load_model`` can load.

    An interrupted training resumes from its last checkpoint, at most ten epochs earlier (one of
    CNN14), and ends with the same weights as an uninterrupted one. A finished one of the same
    settings and sounds is not repeated.

    Parameters
    ----------
    items, test : sequence of Item
        Training sounds, and test sounds for the reported accuracy.
    recipe : Recipe
    settings : Settings
    folder : Path
    device : str
        Where the network is trained, as torch names it. Random numbers are drawn on the CPU, so
        every device sees the same batches.
    start : Path, optional
        Published weights of CNN14, from which all layers but the last one begin.
    on_epoch : callable, optional
        Called with the number of finished epochs and the mean loss.

    Returns
    -------
    dict
        Settings and results, as written to ``model.json``.
    """
    if len(items) < settings.batch:
        raise ParameterError(
            f"{len(items)} sounds are too few to train on with a batch of {settings.batch}"
        )
    waves, labels = load_waves(items, recipe)
    key = {"settings": asdict(settings), "recipe": asdict(recipe), "sounds": _digest(waves, labels)}
    key["start"] = "" if start is None else digest_of([start])
    with held(folder):
        unfinished = folder / _STATE
        facts = _finished(folder, key, test)
        if facts is None:
            state = _begin(recipe, settings, len(items), torch.device(device), start)
            if unfinished.exists():
                state.restore(unfinished, key)
            while state.epoch < settings.epochs:
                loss = _epoch(state, waves, labels, recipe, settings)
                if state.epoch % _SAVE_EVERY[recipe.architecture] == 0:
                    state.store(unfinished, key)
                if on_epoch:
                    on_epoch(state.epoch, loss)
            state.average.cpu()
            facts = {
                "settings": key["settings"], "start": key["start"], "trained_on": len(items),
                "sounds": key["sounds"], "test_sounds": _files(test),
            }  # fmt: skip
            if test:
                facts["test"] = evaluate(state.average, recipe, test)
            save_checkpoint(folder, recipe, state.average, facts)
        unfinished.unlink(missing_ok=True)
    return facts


def _finished(folder: Path, key: dict[str, Any], test: Sequence[Item]) -> dict[str, Any] | None:
    """Return what a finished training of the same settings and sounds found; None without one."""
    path = folder / "model.json"
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        facts: dict[str, Any] = stored["facts"]
        # a record of an earlier version has none of these
        recipe = {"front_end": LOG_MEL, "architecture": "compact", **stored["recipe"]}
        there = {"settings": facts["settings"], "recipe": recipe, "start": facts.get("start", "")}
        there |= {"sounds": facts["sounds"], "test": facts["test_sounds"]}
    except (ValueError, KeyError, TypeError):
        there = {}
    if there != json.loads(json.dumps({**key, "test": _files(test)})):
        raise OutputError(f"{folder}: holds a trained model already; choose another folder")
    return facts


def _files(items: Sequence[Item]) -> str:
    """Return a digest of the files and the labels of sounds."""
    return (
        digest_of(item.path for item in items)
        + blake2b("\0".join(item.label for item in items).encode(), digest_size=8).hexdigest()
    )


def _digest(waves: Tensor, labels: Tensor) -> str:
    """Return 16 hexadecimal digits that depend on the samples and the labels."""
    found = blake2b(waves.numpy().data, digest_size=8)
    found.update(labels.numpy().data)
    return found.hexdigest()


def work_of(recipe: Recipe, settings: Settings, items: int) -> str:
    """Return a line on what a training needs: weights, memory and steps."""
    with torch.device("meta"):
        weights = sum(one.numel() for one in recipe.network().parameters())
    sounds = 4 * items * round(recipe.seconds * recipe.rate)
    optimiser = 4 * 5 * weights  # weights, gradients, two moments, and the average
    steps = settings.epochs * math.ceil(items / settings.batch)
    return (
        f"{weights / 1e6:.1f} million weights; memory: {sounds / 1e9:.1f} GB for the sounds, "
        f"{optimiser / 1e9:.1f} GB for the weights, and the activations of {settings.batch} sounds "
        f"of {settings.crop:g} s; {steps} steps"
    )


def load_waves(items: Sequence[Item], recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Return waves (item, samples), padded or cut to the recipe's length, and their labels.

    Labels are indices (item,), or 0 and 1 (item, label) for a classifier of several labels.
    """
    samples = round(recipe.seconds * recipe.rate)
    waves = torch.zeros(len(items), samples)
    for row, item in zip(waves, items, strict=True):
        audio = read_audio(item.path, rate=recipe.rate, end=recipe.seconds + _MARGIN)
        found = torch.from_numpy(audio.samples[:samples])
        row[: len(found)] = found
    if recipe.task == "single-label":
        return waves, torch.tensor([recipe.labels.index(item.label) for item in items])
    tags = [[float(label in item.labels) for label in recipe.labels] for item in items]
    return waves, torch.tensor(tags)


def evaluate(network: nn.Module, recipe: Recipe, items: Sequence[Item]) -> dict[str, Any]:
    """Return accuracy, negative log-likelihood (nats) and expected calibration error.

    For several labels, macro and micro average precision and the largest F1 instead
    (``metrics.agreement.tag_fidelity``, with the true labels), or None if no sound has a label.
    """
    waves, labels = load_waves(items, recipe)
    model = recipe.model(network, "trained")
    with torch.no_grad(), model.undisturbed():
        logits = torch.cat([model(some) for some in waves.split(16)])
    if recipe.task == "multi-label":
        found = tag_fidelity(logits.double().sigmoid().numpy(), labels.bool().numpy())
        return {"sounds": len(items)} | {
            name: None if math.isnan(value) else value for name, value in found.items()
        }
    probabilities = logits.double().softmax(dim=1)
    right = probabilities.argmax(dim=1) == labels
    confidence = probabilities.amax(dim=1)
    return {
        "sounds": len(items),
        "accuracy": float(right.double().mean()),
        "nll": float(nn.functional.cross_entropy(logits.double(), labels)),
        "ece": expected_calibration_error(confidence.numpy(), np.asarray(right)),
    }


def _begin(
    recipe: Recipe, settings: Settings, items: int, device: torch.device, start: Path | None = None
) -> _State:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = recipe.network()
    if start is not None:
        if not isinstance(network, CNN14):
            raise ParameterError(f"{start}: only CNN14 starts from given weights")
        start_from(network, start)
    network = network.to(device)
    average = recipe.network().to(device)
    average.load_state_dict(network.state_dict())
    steps = settings.epochs * math.ceil(items / settings.batch)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.rate, weight_decay=settings.decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=settings.rate, total_steps=steps, pct_start=_WARM_UP
    )
    return _State(network, average.eval(), optimiser, schedule)


def _loss(task: Task, logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the cross entropy of one of many classes, or the mean one of independent labels."""
    if task == "multi-label":
        return nn.functional.binary_cross_entropy_with_logits(logits, wanted)
    return nn.functional.cross_entropy(logits, wanted)


def _epoch(
    state: _State, waves: Tensor, labels: Tensor, recipe: Recipe, settings: Settings
) -> float:
    """Run one epoch. Its random numbers depend only on the seed and the epoch's number."""
    seed = (settings.seed * 1_000_003 + state.epoch) % 2**63
    generator = torch.Generator().manual_seed(seed)
    features_of, silence = recipe.features(), recipe.silence
    device = next(state.network.parameters()).device
    total = 0.0
    state.network.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        order = torch.randperm(len(waves), generator=generator)
        for some in order.split(settings.batch):
            wanted = labels[some]
            if recipe.task == "single-label":
                wanted = nn.functional.one_hot(wanted, len(recipe.labels)).float()
            with torch.no_grad():
                batch = crop_active(waves[some], round(settings.crop * recipe.rate), generator)
                batch = random_gain(batch, generator)
                if settings.augment and recipe.task == "single-label":
                    batch, wanted = mix_between_classes(batch, wanted, generator)
                features = features_of(batch)
                if settings.augment:
                    warped = warp(features, generator, silence)
                    features = silence_stripes(warped, generator, silence)
            loss = _loss(recipe.task, state.network(features.to(device)), wanted.to(device))
            state.optimiser.zero_grad()
            loss.backward()
            state.optimiser.step()
            state.schedule.step()
            total += float(loss.detach()) * len(some)
    state.epoch += 1
    with torch.no_grad():
        for name, value in state.network.state_dict().items():
            mean = state.average.state_dict()[name]
            mean.lerp_(value, 1 - _EMA) if value.is_floating_point() else mean.copy_(value)
    return total / len(waves)
