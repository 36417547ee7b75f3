"""Training of MOSNet on rated sounds (Lo et al. 2019, section 3.3).

The loss is the squared error of the score, and that of the frames' scores against the same value.
Unlike in the published code, padded frames count in neither, and the last batch of an epoch is not
dropped; nor are the LSTM's recurrent weights held near zero.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from earwitness.data.ratings import Rating
from earwitness.errors import OutputError, ParameterError
from earwitness.files import digest_of, held
from earwitness.metrics.prediction import prediction_figures
from earwitness.models.zoo.mosnet import RATE, LinearMagnitude, MOSNet, save_mosnet
from earwitness.train.contamination import Sounds
from earwitness.train.loop import OnEpoch
from earwitness.train.progress import STATE, History, restore, store


@dataclass(frozen=True)
class MOSNetSettings:
    """Training settings, as published but for the batch, which was 64.

    Attributes
    ----------
    variant : {"cnn", "blstm", "cnn-blstm"}
    epochs, batch : int
    rate : float
        Learning rate of Adam.
    patience : int
        Epochs without improvement of the validation loss before early stopping; 0 for none.
    seed : int
    """

    variant: Literal["cnn", "blstm", "cnn-blstm"] = "cnn-blstm"
    epochs: int = 100
    batch: int = 16
    rate: float = 1e-4
    patience: int = 5
    seed: int = 0


class MOSNetTraining:
    """State of the training between epochs.

    Parameters
    ----------
    learn, valid : sequence of Rating
    settings : MOSNetSettings
    device : str
    """

    def __init__(
        self,
        learn: Sequence[Rating],
        valid: Sequence[Rating],
        settings: MOSNetSettings,
        device: str = "cpu",
    ) -> None:
        if len(learn) < settings.batch or not valid:
            raise ParameterError(
                f"{len(learn)} sounds to train on and {len(valid)} to validate on are too few for "
                f"a batch of {settings.batch}"
            )
        self.settings, self.device = settings, torch.device(device)
        self.learn, self.valid = list(learn), list(valid)
        self._rated = [*learn, *valid]
        self._sounds = Sounds([one.path for one in self._rated], RATE)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.decoder = MOSNet(settings.variant).to(self.device)
        self.front_end = LinearMagnitude().to(self.device)
        self.optimiser: torch.optim.Optimizer = torch.optim.Adam(
            self.decoder.parameters(), lr=settings.rate
        )
        self.schedule: torch.optim.lr_scheduler.LRScheduler = torch.optim.lr_scheduler.ConstantLR(
            self.optimiser, factor=1.0
        )
        self.best = {name: one.clone() for name, one in self.decoder.state_dict().items()}
        self.history = History()
        self.target_counts: list[int] = []

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or early stopping applies."""
        patience = self.settings.patience
        stale = bool(patience) and self.history.since_best() >= patience
        return len(self.history) >= self.settings.epochs or stale

    def epoch(self) -> dict[str, float]:
        """Run one epoch and return its figures; random numbers depend on seed and epoch only."""
        seed = self.settings.seed * 1_000_003 + len(self.history)
        order = torch.randperm(len(self.learn), generator=torch.Generator().manual_seed(seed))
        total = 0.0
        self.decoder.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # of dropout
            for some in order.split(self.settings.batch):
                loss = self.losses(some.tolist())[0]
                self.optimiser.zero_grad()
                loss.mean().backward()
                self.optimiser.step()
                total += float(loss.detach().sum())
        self.schedule.step()
        self.decoder.eval()
        first = len(self.learn)
        losses, found = [], []
        with torch.no_grad():
            for some in torch.arange(first, first + len(self.valid)).split(self.settings.batch):
                loss, scores = self.losses(some.tolist())
                losses += loss.tolist()
                found += scores.tolist()
        figures = {"loss": total / first, "valid_loss": sum(losses) / len(losses)}
        wanted, systems = [r.score for r in self.valid], [r.system for r in self.valid]
        figures |= prediction_figures(found, wanted, systems)
        if self.history.add(figures):
            self.best = {name: one.clone() for name, one in self.decoder.state_dict().items()}
        return figures

    def losses(self, numbers: list[int]) -> tuple[Tensor, Tensor]:
        """Return the loss and the score (batch,) of sounds; those to validate on come last."""
        wanted = torch.tensor([self._rated[k].score for k in numbers], device=self.device)
        with torch.no_grad():
            rows = [self.front_end(self._sounds.whole(k)[None].to(self.device))[0] for k in numbers]
        counts = torch.tensor([len(one) for one in rows], device=self.device)
        scores, frames = self.decoder(pad_sequence(rows, batch_first=True), counts)
        steps = torch.arange(frames.shape[1], device=self.device)
        miss = (frames[:, :, 0] - wanted[:, None]).square() * (steps < counts[:, None])
        return (scores[:, 0] - wanted).square() + miss.sum(dim=1) / counts, scores[:, 0]


def train_mosnet(
    learn: Sequence[Rating],
    valid: Sequence[Rating],
    settings: MOSNetSettings,
    folder: Path,
    *,
    test: Sequence[Rating] = (),
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
) -> dict[str, Any]:
    """Train MOSNet and write it to a folder that ``load_model`` can load.

    An interrupted training resumes after the last complete epoch and ends with the same weights as
    an uninterrupted one; a finished one of the same settings and sounds is not repeated. The
    weights are those of the epoch with the lowest validation loss.

    Returns
    -------
    dict
        Settings and results, as written to ``model.json``.

    Raises
    ------
    OutputError
        If the folder contains another model or training, or cannot be written.
    """
    key = {
        "settings": asdict(settings), "sounds": _digest(learn), "held out": _digest(valid),
        "test": _digest(test),
    }  # fmt: skip
    with held(folder):
        facts = _made(folder, key)
        if facts is not None:
            return facts
        training = MOSNetTraining(learn, valid, settings, device)
        restore(training, folder, key)
        while not training.finished:
            figures = training.epoch()
            store(training, folder, key)
            if on_epoch:
                on_epoch(len(training.history), figures)
        training.decoder.load_state_dict(training.best)
        training.decoder.cpu().eval()
        facts = {
            **key, "trained_on": len(learn), "epochs": len(training.history),
            "validation": _plain(training.history.best),
        }  # fmt: skip
        if test:
            facts["test_figures"] = _plain(evaluate_mosnet(training.decoder, test))
        save_mosnet(folder, training.decoder, facts)
        (folder / STATE).unlink(missing_ok=True)
    return facts


def evaluate_mosnet(network: MOSNet, rated: Sequence[Rating]) -> dict[str, float]:
    """Return correlations and errors of a network on rated sounds."""
    front_end, sounds = LinearMagnitude(), Sounds([one.path for one in rated], RATE)
    with torch.no_grad():
        found = [float(network(front_end(sounds.whole(k)[None]))[0]) for k in range(len(rated))]
    return prediction_figures(found, [r.score for r in rated], [r.system for r in rated])


def _plain(figures: dict[str, float]) -> dict[str, float | None]:
    """Return figures as JSON has them: None for nan."""
    return {name: None if value != value else value for name, value in figures.items()}


def _digest(rated: Sequence[Rating]) -> str:
    told = json.dumps([[one.score, one.system] for one in rated]).encode()
    return digest_of(one.path for one in rated) + blake2b(told, digest_size=8).hexdigest()


def _made(folder: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """Return the facts of a finished training with the same key; None without one."""
    path = folder / "model.json"
    if not path.exists():
        return None
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["facts"]
        same = {name: facts.get(name) for name in key} == json.loads(json.dumps(key))
    except (ValueError, KeyError, TypeError, AttributeError):
        same = False
    if not same:
        raise OutputError(f"{folder}: holds a trained model already; choose another folder")
    return facts
