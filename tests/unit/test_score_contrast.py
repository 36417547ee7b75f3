"""One score of a regression against another: noisy rather than coloured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.audio import write_audio
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.models.zoo.nisqa import AttentionPooled
from earwitness.pipeline import explain
from earwitness.types import Audio
from tests.command import run

RATE = 8000


class Bands(nn.Module):
    """Two scores: the level below 2 kHz; that level too, minus half the level above."""

    def forward(self, waves: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(waves).abs() / waves.shape[1]
        low, high = spectrum.chunk(2, dim=1)
        low, high = 100 * low.mean(dim=1), 100 * high.mean(dim=1)
        return torch.stack([low, low - high / 2], dim=1)


def bands() -> Model:
    return wrap(
        Bands(), sample_rate=RATE, labels=["noisiness", "coloration"], output="scores", plane=0.02
    )


def noise(seconds: float, rate: int) -> Audio:
    samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate))
    return Audio(samples.astype(np.float32), rate)


@pytest.mark.parametrize(
    "method", ["integrated-gradients", "input-x-gradient", "lime", "occlusion"]
)
def test_what_two_scores_share_cancels(method: str) -> None:
    options: dict[str, Any] = {"background": "silence"} if method != "input-x-gradient" else {}
    options |= {"pieces": "hz", "bands": 4} if method in ("lime", "occlusion") else {}
    options |= {"ridge": 0.0} if method == "lime" else {}  # a penalty shares weights out
    found = explain(
        bands(), noise(1.0, RATE), method, target="noisiness", versus="coloration", trust="light",
        **options,
    )  # fmt: skip
    values, freqs = found.attribution.values, found.attribution.freqs
    above, below = values[freqs > 2200].sum(), values[freqs < 1800].sum()
    assert above > 50 * abs(below)
    outputs = Bands()(torch.from_numpy(found.input.samples)[None])[0]
    wanted = float(outputs[0] - outputs[1])  # half the level above 2 kHz
    assert found.trust is not None
    assert (found.target.kind, str(found.target)) == ("value", "noisiness versus coloration")
    np.testing.assert_allclose(found.trust.input, wanted, rtol=1e-5)
    if method == "integrated-gradients":
        np.testing.assert_allclose(values.sum(), wanted, rtol=0.02)


def test_down_is_the_same_map_with_the_other_sign() -> None:
    both = [
        explain(
            bands(), noise(1.0, RATE), "input-x-gradient", target="noisiness",
            versus="coloration", direction=direction, trust="none",
        ).attribution.values
        for direction in ("up", "down")
    ]  # fmt: skip
    np.testing.assert_allclose(both[0], -both[1], rtol=1e-6)
    assert np.abs(both[0]).max() > 1e-5


def test_the_command_explains_one_dimension_of_nisqa_against_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    network = AttentionPooled(5)
    torch.save(
        {"args": {"td": "self_att"}, "model_state_dict": network.state_dict()},
        tmp_path / "nisqa.tar",
    )
    write_audio(tmp_path / "call.wav", noise(1.0, 48000))
    code, out, err = run(
        capsys, "explain", str(tmp_path / "call.wav"), "--model", f"nisqa:{tmp_path / 'nisqa.tar'}",
        "--method", "input-x-gradient", "--method", "frame-scores", "--target", "noisiness",
        "--versus", "coloration", "--trust", "none", "-o", str(tmp_path / "report"),
    )  # fmt: skip
    assert code == 0, err
    assert out.count("noisiness versus coloration") == 2
