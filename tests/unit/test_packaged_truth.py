"""Models of packages on sounds whose evidence is known: speech, notes and a burst of noise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import earwitness
from earwitness.audio import read_audio
from earwitness.types import Audio, FloatArray
from tests.unit.test_packaged import named

RATE = 16000


def speech(folder: Path, start: float, seconds: float) -> FloatArray:
    """Clean studio speech with a peak of 0.5."""
    (path,) = (folder / "daps").glob("*clean*")
    samples = read_audio(path, rate=RATE, start=start, end=start + seconds).samples
    return samples * (0.5 / np.abs(samples).max())


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "method", "least"),
    [("silero-vad", "integrated-gradients", 0.75), ("silero-vad:onnx", "lime", 0.0)],
)  # the methods that `earwitness check` recommends; lime weighs superpixels of noise at random
@pytest.mark.parametrize("span", [None, (1.0, 2.5)])
def test_the_evidence_for_speech_lies_where_somebody_speaks(
    real_data: Path, name: str, method: str, least: float, span: Any
) -> None:
    samples = 0.015 * np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32)
    samples[RATE : RATE * 5 // 2] += speech(real_data, 1.0, 1.5)
    found = earwitness.explain(named(name), Audio(samples, RATE), method, span=span, trust="none")
    power = np.square(found.evidence.samples)
    assert power[RATE : RATE * 5 // 2].sum() >= 0.9 * power.sum()
    seconds = np.arange(found.attribution.values.shape[1]) * 128 / RATE
    inside = (seconds >= 1.0) & (seconds <= 2.5)  # 0.375 of the sound
    positive = found.attribution.values.clip(min=0)
    assert positive[:, inside].sum() >= least * positive.sum()


def note(hz: float, seconds: float, rate: int) -> FloatArray:
    time = np.arange(int(seconds * rate)) / rate
    level = np.minimum(1, time / 0.02) * np.exp(-1.5 * time)
    level *= np.minimum(1, (time[-1] - time) / 0.03)
    tones = [0.7 ** (k - 1) * np.sin(2 * np.pi * hz * k * time) for k in range(1, 7)]
    return (0.1 * level * sum(tones)).astype(np.float32)


@pytest.mark.parametrize("midi", [60, 67, 69, 74])
def test_the_strongest_band_of_a_note_holds_one_of_its_harmonics(midi: int) -> None:
    model = named("basic-pitch")
    rate, hz = model.rate, 440 * 2 ** ((midi - 69) / 12)
    other = note(440 * 2 ** ((midi - 69 + (-7 if midi % 2 else 8)) / 12), 0.5, rate)
    samples = 0.002 * np.random.default_rng(0).standard_normal(model.longest).astype(np.float32)
    samples[: rate // 2] += other[: rate // 2]
    samples[rate // 2 : rate // 2 + rate] += note(hz, 1.0, rate)
    found = earwitness.explain(
        model, Audio(samples, rate), "occlusion", target=model.labels[midi - 21], span=(0.5, 1.4),
        trust="none", pieces="erb", bands=16,
    )  # fmt: skip
    strongest = max(found.pieces, key=lambda piece: piece.weight)
    match = re.match(r"(\d+)-(\d+) Hz", strongest.name)
    low, high = map(float, match.groups())  # type: ignore[union-attr]
    assert any(low <= k * hz <= high for k in range(1, 7))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("method", "options"),
    [("occlusion", {"pieces": "time"}), ("integrated-gradients", {"steps": 16})],
)
@pytest.mark.parametrize("start", [1.0, 17.0])
def test_what_lowers_the_quality_is_a_burst_of_noise(
    real_data: Path, method: str, options: dict[str, Any], start: float
) -> None:
    samples = speech(real_data, start, 5.0)
    noise = np.random.default_rng(int(start)).standard_normal(4800).astype(np.float32)
    samples[2 * RATE : RATE * 23 // 10] += 0.3 * noise
    found = earwitness.explain(
        named("distillmos"), Audio(samples, RATE), method, direction="down", trust="none", **options
    )
    # the strongest 100 ms: gradients of single frames are largest in pauses, by a power of 0.3
    profile = np.convolve(found.attribution.values.clip(min=0).sum(axis=0), np.ones(10), "same")
    seconds = int(profile.argmax()) * 160 / RATE
    np.testing.assert_allclose(seconds, 2.15, atol=0.15 + 0.1)  # within 100 ms of the burst
