"""``earwitness check``: networks of one length, and sampling rates inside a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from torch import Tensor, nn

from earwitness.checking.finding import Finding
from earwitness.checking.report import Report, check_model
from earwitness.errors import ModelError
from tests.unit.test_check import Bands, declared, found


class Between(Bands):
    """Takes some lengths only, in samples."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__()
        self.least, self.most = least, most

    def forward(self, waves: Tensor) -> Tensor:
        if not self.least <= waves.shape[1] <= self.most:
            raise RuntimeError(f"cannot take {waves.shape[1]} samples")
        return super().forward(waves)


class Wordy(Bands):
    """Fails on whatever is not noise of standard deviation 0.1."""

    calls = 0

    def forward(self, waves: Tensor) -> Tensor:
        self.calls += 1
        if float(waves.std()) > 0.15:
            raise RuntimeError("too loud")
        return super().forward(waves)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of noise."""
    path = tmp_path_factory.mktemp("sound") / "noise.wav"
    soundfile.write(path, 0.2 * np.random.default_rng(2).standard_normal(32000), 16000)
    return path


def checked(network: nn.Module, sound: Path, **facts: Any) -> Report:
    return check_model(declared(network, **facts), [sound], methods=False)


LIMITS = [
    (16000, 16000, (1.0, 1.0)),
    (80000, 10**9, (5.0, None)),
    (0, 24000, (None, 1.5)),
]


@pytest.mark.parametrize(("least", "most", "lengths"), LIMITS)
def test_a_network_that_does_not_take_the_sound_is_checked_with_a_length_that_it_takes(
    least: int, most: int, lengths: tuple[float | None, float | None], sound: Path
) -> None:
    report = checked(Between(least, most), sound)
    ones = [one for one in report.findings if one.name == "lengths"]
    assert [(one.grade, one.declare) for one in ones] == [("note", {"lengths": lengths})]
    assert "fails at 2 s" in ones[0].text
    assert not report.broken
    assert found(report, "gradients").grade == "ok"


def test_a_network_that_fails_on_a_sound_for_another_reason_has_no_lengths(sound: Path) -> None:
    network = Wordy()
    with pytest.raises(ModelError, match="too loud"):
        checked(network, sound)
    assert network.calls <= 20  # the sound, and once each of 15 lengths


def test_lengths_that_were_found_are_in_the_command(sound: Path) -> None:
    model = declared(Between(16000, 16000))
    model.loaded = "torchscript:net.pt"
    command = check_model(model, [sound], methods=False).command
    assert "--model-set shortest=1.0 --model-set longest=1.0 --method lime" in command


class Resampling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bands = Bands()
        self.bands.sample_rate = 16000  # type: ignore[assignment]

    def forward(self, waves: Tensor) -> Tensor:
        return self.bands(waves[:, ::3])


class Frames(Bands):
    fs = 4096
    sr = 8000


class Configured(Bands):
    config = type("Config", (), {"sampling_rate": 22050})


class Hyperparameters(Bands):
    hparams = {"n_mels": 64, "sample_rate": 44100}  # noqa: RUF012 - as Lightning keeps them


def rate(network: nn.Module, sound: Path, **facts: Any) -> Finding:
    return found(checked(network, sound, **facts), "rate")


def test_a_rate_inside_a_network_that_resamples_is_noted_only(sound: Path) -> None:
    one = rate(Resampling(), sound, sample_rate=48000)
    assert (one.grade, one.declare) == ("note", {})
    assert "bands.sample_rate inside the network is 16000" in one.text


def test_other_numbers_are_no_rates_and_a_configuration_states_one(sound: Path) -> None:
    assert rate(Frames(), sound).grade == "ok"
    assert rate(Configured(), sound).declare == {"sample_rate": 22050}
    assert rate(Hyperparameters(), sound).declare == {"sample_rate": 44100}
