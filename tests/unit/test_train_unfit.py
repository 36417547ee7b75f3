"""Models on which no explainer can be trained are refused before the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from earwitness.decoders.dictionary import DictionarySettings
from earwitness.errors import NotApplicableError
from earwitness.models.wrapping import wrap
from earwitness.train.interpreters.flint import FlintSettings, FlintTraining
from earwitness.train.interpreters.l2i import train_l2i
from earwitness.train.interpreters.objective import InterpreterWeights
from earwitness.train.interpreters.piq import PiqSettings, PiqTraining
from earwitness.train.interpreters.settings import InterpreterSettings
from tests.toys import RATE, WaveNet
from tests.training import STRIDE

LABELS = ["high", "low"]
SHORT: dict[str, Any] = {"epochs": 2, "batch": 6, "crop": 1.5}


class Detached(WaveNet):
    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        return super().forward(waves.detach())


@pytest.mark.parametrize(
    ("training", "settings"),
    [(FlintTraining, FlintSettings(**SHORT)), (PiqTraining, PiqSettings(**SHORT))],
    ids=["flint", "piq"],
)
def test_models_of_one_input_at_a_time_are_refused(
    training: Any, settings: Any, sounds: list[Path]
) -> None:
    model = wrap(WaveNet(stride=STRIDE), sample_rate=RATE, labels=LABELS, batch=1)
    with pytest.raises(NotApplicableError, match="one input at a time, and an interpreter is"):
        training(model, sounds[:6], sounds[6:8], settings)


def test_a_network_without_gradients_is_refused_before_the_dictionary(
    sounds: list[Path], tmp_path: Path
) -> None:
    model = wrap(Detached(stride=STRIDE), sample_rate=RATE, labels=LABELS)
    few = DictionarySettings(components=4, per_class=0, passes=2, batch=128, sparsity=0.002)

    def train(weights: InterpreterWeights) -> Any:
        settings = InterpreterSettings(**SHORT, dictionary=few, weights=weights)
        return train_l2i(model, sounds[:12], sounds[12:], settings, tmp_path / "i")

    with pytest.raises(NotApplicableError, match=r"its gradients; train with --faithfulness 0"):
        train(InterpreterWeights())
    assert not (tmp_path / "i" / "dictionary.csv").exists()
    found = train(InterpreterWeights(faithfulness=0.0))
    assert found.facts["trained"]["epochs"] == 2
