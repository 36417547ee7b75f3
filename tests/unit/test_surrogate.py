"""LIME of a regression: evaluations for every piece, and how well the additive model fits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.audio import write_audio
from earwitness.errors import ParameterError
from earwitness.explanation import Explanation
from earwitness.jobs.explaining import surrogate_lines
from earwitness.methods.registry import METHODS
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.types import Audio
from tests.command import MODEL, run

RATE = 8000


class Loudest(nn.Module):
    """The product of the levels of the halves of a sound: no sum over pieces."""

    def forward(self, waves: Tensor) -> Tensor:
        first, last = waves.square().chunk(2, dim=1)
        return 1e4 * (first.mean(dim=1) * last.mean(dim=1))[:, None]


class Sum(nn.Module):
    """Four scores of equal parts of time, weighted 1, -2, 3 and 0 and added."""

    def forward(self, waves: Tensor) -> Tensor:
        parts = torch.stack(waves.abs().chunk(4, dim=1), dim=1).mean(dim=2)
        return 10 * (parts @ torch.tensor([1.0, -2.0, 3.0, 0.0]))[:, None]


def model(network: nn.Module) -> Model:
    return wrap(network, sample_rate=RATE, labels=["MOS"], output="scores", plane=0.02)


def noise(seconds: float) -> Audio:
    samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    return Audio(samples.astype(np.float32), RATE)


def lime(network: nn.Module, clip: Audio, **options: object) -> Explanation:
    return explain(model(network), clip, "lime", trust="none", **options)  # type: ignore[arg-type]


def test_every_piece_has_ten_evaluations_unless_the_weights_settle() -> None:
    many = {"pieces": "erb x time", "bands": 8, "segments": 15, "background": "silence"}
    found = lime(Loudest(), noise(1.0), tolerance=0, **many).attribution.details
    assert found["pieces"] == 120
    assert found["evaluations"] >= 10 * 120
    few = lime(Loudest(), noise(1.0), tolerance=0, samples=300, **many).attribution.details
    assert few["evaluations"] <= 300
    spec = METHODS.get("lime")
    assert spec.passes(spec.settle({"pieces": "erb x time", "segments": 15})) == 1200
    assert spec.passes(spec.settle({"pieces": "time"})) == 1000
    with pytest.raises(ParameterError, match="samples is not used by estimator occlusion"):
        METHODS.get("pieces").settle({"estimator": "occlusion", "samples": 50})


def test_an_additive_score_settles_with_its_weights_and_a_fit_of_one() -> None:
    clip = noise(2.0)
    found = lime(Sum(), clip, pieces="time", segments=12, background="silence", ridge=0.0)
    details = found.attribution.details
    assert details["settled"]
    assert details["evaluations"] < 1000
    assert details["r2"] > 0.99
    levels = np.abs(clip.samples).reshape(4, -1).mean(axis=1)
    wanted = 10 * levels * [1, -2, 3, 0]  # three pieces in each quarter
    weights = np.array([piece.weight for piece in found.pieces]).reshape(4, 3).sum(axis=1)
    np.testing.assert_allclose(weights, wanted, atol=0.06)
    for piece in found.pieces:
        assert piece.low <= piece.weight <= piece.high


def test_the_command_prints_the_fit_and_the_strongest_pieces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = lime(Sum(), noise(2.0), pieces="time", segments=12, background="silence")
    details, strongest = found.attribution.details, max(found.pieces, key=lambda one: one.weight)
    lines = surrogate_lines(found)
    assert lines[0].startswith(
        f"R^2 {details['r2']:.3f} of the additive model of 12 pieces, from "
        f"{details['evaluations']} evaluations; weights settled, estimated error "
    )
    shown = f"{strongest.weight:+.3g} ({strongest.low:+.3g} to {strongest.high:+.3g})"
    assert lines[1] == f"{shown}: {strongest.name}"
    assert len(lines) == 4
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    write_audio(tmp_path / "a.wav", Audio(noise(1.0).samples, 16000))
    words = ("explain", "a.wav", "--model", "python:model.py:make", "--method", "lime")
    code, out, err = run(capsys, *words, "--set", "samples=60", "--trust-code", "--trust", "none")
    assert code == 0, err
    assert "  R^2 " in out
    assert "weights not settled" in out
    code, out, _ = run(capsys, *words, "--trust-code", "--trust", "none", "--json", "--overwrite")
    facts = json.loads(out)
    assert facts["pieces"][0]["low"] <= facts["pieces"][0]["weight"] <= facts["pieces"][0]["high"]
    assert facts["details"]["r2"] <= 1
