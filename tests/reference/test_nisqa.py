"""NISQA against a slow version in float64, with weights at random, and against published scores.

Mittag et al. 2021, section 2; the layers of the published weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from earwitness.audio import read_audio
from earwitness.errors import ModelError
from earwitness.models.registry import load_model
from earwitness.models.zoo.nisqa import NISQA, RATE, DecibelMel

ARGS = {
    "nisqa": {"td": "self_att", "ms_fmax": 20000, "ms_max_segments": 1300},
    "nisqa_tts": {"td": "lstm", "ms_fmax": 8000, "ms_max_segments": 6000},
}


def network(dimensions: int, *, synthetic: bool) -> NISQA:
    torch.manual_seed(0)
    made = NISQA(dimensions, synthetic=synthetic)
    for norm in made.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.1, 0.1)
            norm.running_var.uniform_(0.5, 2.0)
    return made.eval()


class Slow:
    """The network in numpy, from its state."""

    def __init__(self, state: dict[str, Any], *, synthetic: bool) -> None:
        self.weights = {name: value.double().numpy() for name, value in state.items()}
        self.synthetic = synthetic

    def linear(self, rows: Any, name: str) -> Any:
        return rows @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, rows: Any, name: str) -> Any:
        mean, spread = rows.mean(axis=1, keepdims=True), rows.std(axis=1, keepdims=True)
        scaled = (rows - mean) / np.sqrt(spread**2 + 1e-5)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def convolve(self, maps: Any, number: int) -> Any:
        name = f"cnn.model.conv{number}"
        filters = self.weights[f"{name}.weight"]
        narrow = number == 6 and not self.synthetic
        padded = np.pad(maps, ((0, 0), (1, 1), (0, 0) if narrow else (1, 1)))
        rows, columns = padded.shape[1] - 2, padded.shape[2] - 2
        found = (
            np.zeros((len(filters), rows, columns)) + self.weights[f"{name}.bias"][:, None, None]
        )
        for i in range(3):
            for j in range(3):
                found += np.tensordot(
                    filters[:, :, i, j], padded[:, i : i + rows, j : j + columns], axes=1
                )
        mean, var, scale, shift = (
            self.weights[f"cnn.model.bn{number}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return np.maximum((found - mean) / np.sqrt(var + 1e-5) * scale + shift, 0)

    def pool(self, maps: Any, size: tuple[int, int]) -> Any:
        """Take maxima as adaptive pooling does: from floor(i n / m) to ceil((i + 1) n / m)."""
        rows, columns = maps.shape[1:]
        found = np.zeros((len(maps), *size))
        for i in range(size[0]):
            for j in range(size[1]):
                top, bottom = i * rows // size[0], -(-(i + 1) * rows // size[0])
                left, right = j * columns // size[1], -(-(j + 1) * columns // size[1])
                found[:, i, j] = maps[:, top:bottom, left:right].max(axis=(1, 2))
        return found

    def halve(self, maps: Any, *, first: bool) -> Any:
        """Take maxima of two by two cells, after a column before and behind for the first."""
        if first:
            maps = np.pad(maps, ((0, 0), (0, 0), (1, 1)), constant_values=-np.inf)
        channels, rows, columns = maps.shape
        cut = maps[:, : rows // 2 * 2, : columns // 2 * 2]
        return cut.reshape(channels, rows // 2, 2, columns // 2, 2).max(axis=(2, 4))

    def segment(self, values: Any) -> Any:
        maps, sizes = values[None], iter([(24, 7), (12, 5), (6, 3)])
        for number in range(1, 7):
            maps = self.convolve(maps, number)
            if number in (1, 2, 4):
                size = next(sizes)
                maps = (
                    self.halve(maps, first=number == 1) if self.synthetic else self.pool(maps, size)
                )
        flat = maps.reshape(-1)
        return self.linear(flat[None], "cnn.model.fc_out")[0] if self.synthetic else flat

    def attend(self, rows: Any, name: str) -> Any:
        both = (
            rows @ self.weights[f"{name}.in_proj_weight"].T + self.weights[f"{name}.in_proj_bias"]
        )
        queries, keys, values = np.split(both, 3, axis=1)
        logits = queries @ keys.T / 8.0  # the root of 64
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return self.linear(shares @ values, f"{name}.out_proj")

    def attention(self, rows: Any) -> Any:
        whole = "time_dependency.model"
        rows = self.norm(self.linear(rows, f"{whole}.linear"), f"{whole}.norm1")
        for number in range(2):
            name = f"{whole}.layers.{number}"
            rows = self.norm(rows + self.attend(rows, f"{name}.self_attn"), f"{name}.norm1")
            inner = np.maximum(self.linear(rows, f"{name}.linear1"), 0)
            rows = self.norm(rows + self.linear(inner, f"{name}.linear2"), f"{name}.norm2")
        return rows

    def recurrent(self, rows: Any, ending: str) -> Any:
        weights = {
            part: self.weights[f"time_dependency.model.lstm.{part}_l0{ending}"]
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        state = cell = np.zeros(128)
        for row in rows:
            total = weights["weight_ih"] @ row + weights["weight_hh"] @ state
            i, f, g, o = np.split(total + weights["bias_ih"] + weights["bias_hh"], 4)
            cell = cell / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            state = np.tanh(cell) / (1 + np.exp(-o))
        return state

    def score(self, rows: Any, head: str) -> float:
        logits = self.linear(np.maximum(self.linear(rows, f"{head}.linear1"), 0), f"{head}.linear2")
        shares = np.exp(logits - logits.max())
        pooled = (shares / shares.sum() * rows).sum(axis=0)
        return float(self.linear(pooled[None], f"{head}.linear3")[0, 0])

    def __call__(self, features: Any, heads: list[str]) -> list[float]:
        step = 1 if self.synthetic else 4
        starts = range(0, features.shape[1] - 14, step)
        rows = np.stack([self.segment(features[:, k : k + 15]) for k in starts])
        if self.synthetic:
            ends = np.concatenate(
                [self.recurrent(rows, ""), self.recurrent(rows[::-1], "_reverse")]
            )
            return [float(self.linear(ends[None], "pool.model.linear")[0, 0])]
        rows = self.attention(rows)
        return [self.score(rows, head) for head in heads]


@pytest.mark.parametrize(
    ("name", "dimensions", "heads"),
    [
        ("nisqa", 5, [f"pool_layers.{k}.model" for k in range(5)]),
        ("nisqa", 1, ["pool.model"]),
        ("nisqa_tts", 1, []),
    ],
)
def test_it_is_the_slow_version(
    tmp_path: Path, name: str, dimensions: int, heads: list[str]
) -> None:
    made = network(dimensions, synthetic=name == "nisqa_tts")
    torch.save({"args": ARGS[name], "model_state_dict": made.state_dict()}, tmp_path / "n.tar")
    model = load_model(f"nisqa:{tmp_path / 'n.tar'}")
    assert len(model.labels) == dimensions
    features = np.random.default_rng(0).uniform(-80, 0, (48, 30))
    slow = Slow(made.state_dict(), synthetic=name == "nisqa_tts")
    with torch.no_grad():
        found = model.module(torch.from_numpy(features).float()[None])[0]  # type: ignore[misc]
    np.testing.assert_allclose(found, slow(features, heads), rtol=1e-4, atol=1e-5)


def test_features_are_decibels_down_to_80_below_the_loudest_band() -> None:
    times = np.arange(RATE) / RATE
    wave = (0.5 * np.sin(2 * np.pi * 1000 * times)).astype(np.float32)
    front_end = DecibelMel(RATE, 20000.0)
    found = front_end(torch.from_numpy(wave)[None])[0]
    assert found.shape == (48, 101)
    # |X| of a sine in a Hann window of 960 samples: 0.5 * 480 / 2 on the line, in float64
    frame = np.pad(wave.astype(np.float64)[24000 - 480 : 24000 + 480] * np.hanning(961)[:960], 1568)
    bands = front_end.filters.double().numpy() @ np.abs(np.fft.rfft(frame))
    wanted = 20 * np.log10(np.maximum(bands, 1e-4))
    loudest = float(found.max())
    np.testing.assert_allclose(found[:, 50], np.maximum(wanted, loudest - 80), atol=2e-3)
    np.testing.assert_allclose(float(found.min()), loudest - 80, atol=1e-4)


def test_the_floor_of_a_masked_sound_is_that_of_the_input_for_methods_only() -> None:
    rng = np.random.default_rng(0)
    wave = torch.from_numpy((0.001 * rng.standard_normal(RATE)).astype(np.float32))
    loud = wave.clone()
    loud[:4800] += 0.5 * torch.sin(2 * torch.pi * 1000 * torch.arange(4800) / RATE)
    front_end = DecibelMel(RATE, 20000.0)
    fixed = front_end.for_sound(loud)
    torch.testing.assert_close(fixed(loud[None]), front_end(loud[None]), rtol=0, atol=0)
    # with the burst removed, the rest is as it was; without a fixed floor, more of it appears
    late = slice(60, None)
    before = front_end(loud[None])[0, :, late]
    torch.testing.assert_close(fixed(wave[None])[0, :, late], before, rtol=0, atol=1e-4)
    assert float((front_end(wave[None])[0, :, late] - before).abs().max()) > 1.0


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ([1], "args and model_state_dict are missing"),
        ({"args": [], "model_state_dict": {}}, "are no tables"),
        ({"args": ARGS["nisqa"], "model_state_dict": {"x": torch.zeros(1)}}, "do not fit NISQA"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: Any, wanted: str) -> None:
    torch.save(content, tmp_path / "x.tar")
    with pytest.raises(ModelError, match=wanted) as error:
        load_model(f"nisqa:{tmp_path / 'x.tar'}")
    assert "\n" not in str(error.value)


@pytest.mark.real_data
def test_published_weights_give_published_scores(real_data: Path) -> None:
    path = real_data.parent / "models" / "nisqa" / "nisqa.tar"
    model = load_model(f"nisqa:{path}")
    assert model.labels == ("MOS", "noisiness", "discontinuity", "coloration", "loudness")
    scores = {
        "clean": [4.76, 4.58, 4.72, 4.42, 4.52],
        "ipad_confroom1": [3.20, 2.00, 4.49, 3.86, 3.53],
    }
    for name, wanted in scores.items():
        audio = read_audio(real_data / "daps" / f"m2_script1_{name}.flac", rate=RATE)
        with torch.no_grad():
            found = model(torch.from_numpy(audio.samples)[None])[0]
        np.testing.assert_allclose(found, wanted, atol=0.01)
