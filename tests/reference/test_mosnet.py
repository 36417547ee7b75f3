"""MOSNet against a slow version in float64, with TensorFlow's padding written out.

Lo et al. 2019, table 1; layers in Keras' layout (kernel (time, freq, in, out); gates in the order
input, forget, cell, output).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earwitness.models.registry import load_model
from tests.keras_files import LAYOUTS, Arrays, arrays_of, write

pytest.importorskip("h5py", reason="h5py is not installed: pip install 'earwitness[mosnet]'")


def same(maps: Any, kernel: Any, bias: Any, stride: int) -> Any:
    """Convolve (time, freq, channel) with padding SAME: the odd cell of it comes after."""
    frames, width, _ = maps.shape
    out = -(-width // stride)
    lacking = max((out - 1) * stride + 3 - width, 0)
    before = lacking // 2
    padded = np.pad(maps, ((1, 1), (before, lacking - before), (0, 0)))
    found = np.zeros((frames, out, kernel.shape[3])) + bias
    for i in range(3):
        for j in range(3):
            part = padded[i : i + frames, j : j + (out - 1) * stride + 1 : stride]
            found += part @ kernel[i, j]
    return np.maximum(found, 0)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def lstm(inputs: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    state = cell = np.zeros(128)
    rows = []
    for row in inputs:
        i, f, g, o = np.split(row @ kernel + state @ recurrent + bias, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        state = sigmoid(o) * np.tanh(cell)
        rows.append(state)
    return np.stack(rows)


def slow(layers: Arrays, magnitude: Any) -> tuple[Any, Any]:
    """Return the score, and the scores of frames (frame,), of a magnitude (frame, 257)."""
    rows = magnitude
    layers = {name: [a.astype(np.float64) for a in some] for name, some in layers.items()}
    if "conv 0" in layers:
        maps = rows[:, :, None]
        for number in range(12):
            maps = same(maps, *layers[f"conv {number}"], 3 if number % 3 == 2 else 1)
        assert maps.shape[1:] == (4, 128)
        rows = maps.reshape(len(maps), 512)  # frequency outside, channels inside
    if "forward" in layers:
        ahead = lstm(rows, *layers["forward"])
        back = lstm(rows[::-1], *layers["backward"])[::-1]
        rows = np.concatenate([ahead, back], axis=1)
    kernel, bias = layers["dense"]
    rows = np.maximum(rows @ kernel + bias, 0)
    kernel, bias = layers["frame"]
    frames = (rows @ kernel + bias)[:, 0]
    return frames.mean(), frames


@pytest.mark.parametrize("variant", ["cnn", "blstm", "cnn-blstm"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_slow_version(tmp_path: Path, variant: str, layout: str) -> None:
    layers = arrays_of(variant)
    model = load_model(f"mosnet:{write(tmp_path / 'x.h5', layers, layout)}")
    network: Any = model.module  # type: ignore[attr-defined]
    magnitudes = np.random.default_rng(1).uniform(0, 3, (2, 11, 257))
    with torch.no_grad():
        scores, frames = network(torch.from_numpy(magnitudes).float())
    assert (scores.shape, frames.shape) == ((2, 1), (2, 11, 1))
    for number in range(2):
        score, each = slow(layers, magnitudes[number])
        scale = np.abs(each).max()
        assert scale > 0.1
        np.testing.assert_allclose(frames[number, :, 0], each, atol=1e-5 * scale)
        np.testing.assert_allclose(scores[number, 0], score, atol=1e-5 * scale)


@pytest.mark.real_data
@pytest.mark.parametrize("variant", ["cnn", "blstm", "cnn_blstm"])
def test_outputs_of_tensorflow_are_met(real_data: Path, variant: str) -> None:
    folder = real_data.parent / "reference" / "mosnet"
    (path,) = folder.glob(f"{variant}_[wf]*.h5")
    network: Any = load_model(f"mosnet:{path}").module  # type: ignore[attr-defined]
    with np.load(folder / "expected_outputs.npz") as wanted, torch.no_grad():
        scores, frames = network(torch.from_numpy(wanted[f"{variant}_in"]))
        scale = np.abs(wanted[f"{variant}_frame"]).max()
        np.testing.assert_allclose(frames, wanted[f"{variant}_frame"], atol=1e-4 * scale)
        np.testing.assert_allclose(scores, wanted[f"{variant}_avg"], atol=1e-4 * scale)
