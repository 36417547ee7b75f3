"""Resumable and distributed training: history, checkpoints and worker processes."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from earwitness.errors import OutputError
from earwitness.files import replacing
from earwitness.models.fingerprint import changed

STATE = "training.safetensors"  # checkpoint, removed when the training is finished
_LOG = "log.csv"  # one row per epoch


class History:
    """The figures of every epoch; the best epoch has the lowest ``valid_loss``."""

    def __init__(self, rows: list[dict[str, float]] | None = None) -> None:
        self.rows = rows or []

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, figures: dict[str, float]) -> bool:
        """Append an epoch, and return whether it is the best so far."""
        self.rows.append(figures)
        return self.since_best() == 0

    def since_best(self) -> int:
        """Return the number of epochs since the best one."""
        losses = [row["valid_loss"] for row in self.rows]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    @property
    def best(self) -> dict[str, float]:
        """Figures of the best epoch."""
        return min(self.rows, key=lambda row: row["valid_loss"])


@dataclass(frozen=True)
class Workers:
    """Processes of a distributed training, each with its share of every batch.

    Attributes
    ----------
    rank, count : int
    """

    rank: int = 0
    count: int = 1

    @staticmethod
    def here(device: str) -> tuple[Workers, str]:
        """Join the processes started by ``torchrun``, if any; return this process's device."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return Workers(), device
        on_gpu = device.startswith("cuda")
        if on_gpu:
            device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(device)
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if on_gpu else "gloo")
        return Workers(distributed.get_rank(), count), device

    def share(self, batch: Tensor) -> Tensor:
        """Return this process's share of a batch."""
        return batch[self.rank :: self.count]

    def joined(self, network: nn.Module) -> nn.Module:
        """Return the network wrapped in ``DistributedDataParallel``, which averages gradients.

        It shares the weights of ``network``, which are broadcast from the first process. With one
        process the network is returned unchanged.
        """
        if self.count == 1:
            return network
        return DistributedDataParallel(network, broadcast_buffers=False)

    def broadcast(self, figures: dict[str, float]) -> dict[str, float]:
        """Return the figures of the first process, so that all processes use the same."""
        if self.count > 1:
            kept: list[Any] = [figures]
            distributed.broadcast_object_list(kept)
            figures = kept[0]
        return figures


class Resumable(Protocol):
    """The state of a training between epochs."""

    best: dict[str, Tensor]
    history: History
    target_counts: list[int]

    @property
    def decoder(self) -> nn.Module:
        """The network that is trained."""

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """Its optimiser."""

    @property
    def schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        """The schedule of the learning rate."""


class Trained(Protocol):
    """What a training wrote: its facts, and the identity of the explained model."""

    @property
    def facts(self) -> dict[str, Any]:
        """Settings, sounds and results."""

    @property
    def model(self) -> dict[str, Any]:
        """Identity of the explained model."""


T = TypeVar("T", bound=Trained)


def finished(
    folder: Path,
    facts: dict[str, Any],
    model: dict[str, Any],
    what: str,
    load: Callable[[Path], T],
) -> T | None:
    """Return what an equal training wrote to the folder; None if there is nothing.

    Parameters
    ----------
    facts : dict
        Settings and sounds of the training, as they are in the facts of its result.
    model : dict
        Identity of the explained model.
    what : str
        ``decoder``, whose description is ``decoder.json``.
    load : callable

    Raises
    ------
    OutputError
        If the folder contains another one.
    """
    if not (folder / f"{what}.json").exists():
        return None
    found = load(folder)
    here = json.loads(json.dumps(facts))
    if {name: found.facts.get(name) for name in here} != here or changed(found.model, model):
        raise OutputError(f"{folder}: holds a trained {what} already; choose another folder")
    (folder / STATE).unlink(missing_ok=True)
    return found


def store(training: Resumable, folder: Path, key: dict[str, Any]) -> None:
    """Write a checkpoint atomically, and the log beside it."""
    tensors = {f"now.{name}": one for name, one in training.decoder.state_dict().items()}
    tensors |= {f"best.{name}": one for name, one in training.best.items()}
    for number, values in training.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": one for name, one in values.items()}
    schedule = {
        name: value
        for name, value in training.schedule.state_dict().items()
        if isinstance(value, int | float | list)
    }
    groups = training.optimiser.state_dict()["param_groups"]
    about = {"key": key, "history": training.history.rows, "schedule": schedule, "groups": groups,
             "asked": training.target_counts}  # fmt: skip
    tensors = {name: one.detach().cpu().contiguous().clone() for name, one in tensors.items()}
    try:
        with replacing(folder / STATE) as partial:
            save_file(tensors, partial, metadata={"about": json.dumps(about)})
        write_log(folder, training.history.rows)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{folder}: cannot be written ({error})") from error


def write_log(folder: Path, rows: list[dict[str, float]]) -> None:
    """Write the figures of every epoch as CSV."""
    with (
        replacing(folder / _LOG) as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, ["epoch", *rows[0]])
        writer.writeheader()
        writer.writerows({"epoch": k, **row} for k, row in enumerate(rows, start=1))


def restore(training: Resumable, folder: Path, key: dict[str, Any]) -> None:
    """Restore the checkpoint written by ``store``, if there is one.

    Raises
    ------
    OutputError
        If it is damaged, or from a training with other settings.
    """
    path = folder / STATE
    if not path.exists():
        return
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise OutputError(f"{path}: damaged; remove it to begin again") from error
    require_same(folder, about["key"], key)
    try:
        _continue(training, about, tensors)
    except Exception as error:  # of any kind: a damaged file may hold anything
        raise OutputError(f"{path}: damaged; remove it to begin again") from error
    write_log(folder, training.history.rows)


def require_same(folder: Path, there: dict[str, Any], key: dict[str, Any]) -> None:
    """Raise ``OutputError`` if the checkpoint in a folder depends on something else than ``key``.

    Parameters
    ----------
    there, key : dict
        Settings, sounds and the like; ``model`` is the identity of the explained model, if any.
    """
    here = json.loads(json.dumps(key))
    other = [name for name in here if name != "model" and there.get(name) != here[name]]
    difference = changed(there.get("model"), here["model"]) if "model" in here else ""
    other += [f"{difference} of the model"] if difference else []
    if other:
        raise OutputError(
            f"{folder}: holds an unfinished training with other {other[0]}; choose another folder"
        )


def _continue(training: Resumable, about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Set the state of a training to that of a checkpoint."""

    def with_prefix(prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}

    training.decoder.load_state_dict(with_prefix("now."))
    training.best = with_prefix("best.")
    state: dict[int, dict[str, Tensor]] = {}
    for name, one in with_prefix("optimiser.").items():
        number, _, which = name.partition(".")
        state.setdefault(int(number), {})[which] = one
    groups = [{**one, "betas": tuple(one["betas"])} for one in about["groups"]]
    training.optimiser.load_state_dict({"state": state, "param_groups": groups})
    training.schedule.load_state_dict({**training.schedule.state_dict(), **about["schedule"]})
    training.history = History(about["history"])
    training.target_counts = about["asked"]
