"""``earwitness check``: training modes that are left on, and outputs of unusual kinds."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from earwitness.checking.finding import Finding
from earwitness.checking.report import check_model
from tests.unit.test_check import Bands, declared, found


class Functional(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(waves), 0.5, self.training)


class Recurrent(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.layer = nn.LSTM(1, 8, 2, dropout=dropout, batch_first=True)
        self.last = nn.Linear(8, 3)

    def forward(self, waves: Tensor) -> Tensor:
        return self.last(self.layer(waves[:, ::160].unsqueeze(2))[0].mean(1))


class Attending(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 8, 400, 320)
        self.layer = nn.MultiheadAttention(8, 2, dropout=dropout, batch_first=True)
        self.last = nn.Linear(8, 3)

    def forward(self, waves: Tensor) -> Tensor:
        steps = self.first(waves.unsqueeze(1)).transpose(1, 2)
        return self.last(self.layer(steps, steps, steps)[0].mean(1))


class Normed(nn.Module):
    def __init__(self, track: bool) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 8, 400, 160)
        self.layer = nn.InstanceNorm1d(8, track_running_stats=track)
        self.last = nn.Linear(8, 3)

    def forward(self, waves: Tensor) -> Tensor:
        return self.last(self.layer(self.first(waves.unsqueeze(1))).relu().mean(2))


class Plain(nn.Module):
    """Bands without a window, which TorchScript compiles."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.layer = nn.Dropout(dropout)

    def forward(self, waves: Tensor) -> Tensor:
        power = torch.fft.rfft(waves[:, :1024]).abs().square()
        bands = [power[:, :100].sum(1), power[:, 100:200].sum(1), power[:, 200:].sum(1)]
        return self.layer(torch.stack(bands, 1).add(1e-3).log())


def scripted(network: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(network)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of noise."""
    path = tmp_path_factory.mktemp("sound") / "noise.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(2).standard_normal(8000), 16000)
    return path


def finding(network: nn.Module, sound: Path, name: str, **facts: Any) -> Finding:
    return found(check_model(declared(network, **facts), [sound], methods=False), name)


TRAINING = {
    "dropout as a function": (Functional, (), ["Functional"]),
    "recurrent": (Recurrent, (0.5,), ["layer"]),
    "attention": (Attending, (0.3,), ["layer"]),
    "norm with statistics": (Normed, (True,), ["layer"]),
    "TorchScript dropout": (lambda: scripted(Plain(0.5)), (), ["layer"]),
    "TorchScript recurrent": (lambda: scripted(Recurrent(0.5)), (), ["layer"]),
}


@pytest.mark.parametrize(("make", "given", "left"), TRAINING.values(), ids=TRAINING)
def test_a_layer_left_in_training_mode_is_found(
    make: Any, given: Any, left: list[str], sound: Path
) -> None:
    one = finding(make(*given).train(), sound, "repeatable")
    assert (one.grade, one.facts["training"]) == ("broken", left)


WHOLE = {
    "evaluation mode": lambda: Functional().eval(),
    "recurrent without dropout": lambda: Recurrent(0.0).train(),
    "attention without dropout": lambda: Attending(0.0).train(),
    "norm of each sound": lambda: Normed(False).train(),
    "TorchScript dropout of nothing": lambda: scripted(Plain(0.0)).train(),
    "TorchScript recurrent without dropout": lambda: scripted(Recurrent(0.0)).train(),
}


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE)
def test_training_mode_that_changes_nothing_is_no_fault(make: Any, sound: Path) -> None:
    assert finding(make(), sound, "repeatable").grade == "ok"


class Percent(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return 100 * super().forward(waves).softmax(1)


class Rounding(Bands):
    """Depends on the sound by less than float32 rounds."""

    def forward(self, waves: Tensor) -> Tensor:
        return torch.tensor([1.0, 2.0, 3.0]) + 1e-7 * super().forward(waves)


class Small(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return 1e-9 * super().forward(waves)


class Offset(Bands):
    """Sums are alike only because all outputs are."""

    def forward(self, waves: Tensor) -> Tensor:
        return 1e5 + super().forward(waves)


class Frames(Bands):
    """As many frames as the sound has."""

    def forward(self, waves: Tensor) -> Tensor:
        power = torch.stft(waves, 512, 128, window=torch.hann_window(512), return_complex=True)
        return power.abs()[:, ::100].transpose(1, 2)


class LogSigmoid(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return nn.functional.logsigmoid(super().forward(waves))


MULTI = {"task": "multi-label"}
KINDS = [
    (Percent, {}, "broken", "shares that sum to 100"),
    (Percent, {"output": "probabilities"}, "broken", "shares that sum to 100"),
    (Rounding, {}, "broken", "the same for every sound, noise and silence"),
    (Offset, {}, "ok", "values of any size"),
    (Small, {}, "ok", "values of any size"),
    (LogSigmoid, MULTI, "note", "values up to zero"),
]


@pytest.mark.parametrize(("kind", "facts", "grade", "text"), KINDS)
def test_outputs_of_an_unusual_kind(
    kind: Any, facts: dict[str, Any], grade: str, text: str, sound: Path
) -> None:
    one = finding(kind(), sound, "outputs", **facts)
    assert (one.grade, text in one.text) == (grade, True)


def test_outputs_per_frame_of_sounds_of_two_lengths_are_checked(
    sound: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.wav"
    soundfile.write(other, 0.1 * np.random.default_rng(3).standard_normal(12000), 16000)
    model = declared(Frames(), per_frame=True)
    assert found(check_model(model, [sound, other], methods=False), "outputs").grade == "ok"
