"""Metrics, pictures and sounds for pages against numbers known beforehand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from earwitness.audio import write_audio
from earwitness.metrics.calibration import expected_calibration_error
from earwitness.pipeline import explain
from earwitness.render.picture import strength, thumbnail
from earwitness.render.players import loudness, players
from earwitness.types import Audio
from tests.reference import slow
from tests.toys import spectral

RATE = 16000


def test_calibration_error_of_four_answers() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False])
    # two bins: |0.95 - 1| and |0.55 - 0.5|, each with half of the answers
    np.testing.assert_allclose(expected_calibration_error(confidence, right, 10), 0.05)


def test_calibration_error_is_the_papers() -> None:
    rng = np.random.default_rng(0)
    confidence, right = rng.random(300), rng.random(300) < 0.6
    np.testing.assert_allclose(
        expected_calibration_error(confidence, right), slow.calibration_error(confidence, right, 15)
    )


def test_loudness_ignores_silence_around_a_sound() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    alone = loudness(tone.astype(np.float32), RATE)
    padded = loudness(np.concatenate([tone, np.zeros(9 * RATE)]).astype(np.float32), RATE)
    np.testing.assert_allclose(alone, 20 * np.log10(0.5 / np.sqrt(2)), atol=0.01)
    np.testing.assert_allclose(padded, alone, atol=0.01)
    assert loudness(np.zeros(RATE, np.float32), RATE) == -np.inf


@pytest.mark.parametrize("rate", [8000, 10000, 16000, 44100, 96000])
def test_players_are_equally_loud_and_do_not_clip(rate: int) -> None:
    time = np.arange(2 * rate) / rate
    tone = np.sin(2 * np.pi * 440 * time)
    burst = np.where(time < 0.3, tone, 0)
    sounds = [Audio((g * w).astype(np.float32), rate) for g, w in ((0.01, tone), (3, burst))]
    made = players([*sounds, Audio(np.zeros(rate, np.float32), rate)])
    levels = []
    for player in made[:2]:
        samples, decoded_rate = soundfile.read(io.BytesIO(player.data), dtype="float32")
        levels.append(loudness(samples, decoded_rate))
        assert np.abs(samples).max() <= 1.0
    np.testing.assert_allclose(levels[0], levels[1], atol=0.5)
    np.testing.assert_allclose(made[0].gain_db - made[1].gain_db, 20 * np.log10(300), atol=0.5)
    assert made[2].gain_db is None


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


def test_a_thumbnail_has_time_to_the_right_and_frequency_upwards() -> None:
    magnitude, values = np.full((40, 96), 1e-6, np.float32), np.zeros((40, 96), np.float32)
    magnitude[5:10, 70:80] = 1.0
    values[25:30, 10:20], values[25:30, 40:50] = 1.0, -1.0
    picture = pixels(thumbnail(magnitude, values))
    assert picture.shape == (80, 192, 3)
    assert picture[2 * 32, 2 * 75].min() > 200  # loud: white
    red, green, blue = picture[2 * 12, 2 * 15]  # for the target: orange
    assert red > 200 > 160 > green > 100 > 60 > blue
    assert picture[2 * 12, 2 * 45].max() < 40  # neither


def test_long_maps_are_shrunk_without_losing_peaks() -> None:
    magnitude, values = np.full((1025, 40000), 1e-6, np.float32), np.zeros((1025, 40000))
    magnitude[0, 0] = 1.0
    values[505:535, 29800:30200] = 3.0
    picture = pixels(thumbnail(magnitude, values.astype(np.float32)))
    tint = picture[..., 0] - picture[..., 2]
    row, column = np.unravel_index(tint.argmax(), tint.shape)
    assert abs(row - 80 * (1024 - 520) / 1025) <= 2
    assert abs(column - 192 * 30000 / 40000) <= 2


def test_one_cell_cannot_hide_the_others() -> None:
    values = np.ones((100, 100), np.float32)
    values[0, 0] = 1e6
    np.testing.assert_allclose(np.median(strength(values)), 1.0)
    np.testing.assert_array_equal(strength(np.zeros((3, 3), np.float32)), np.zeros((3, 3)))


def test_labels_count_from_the_beginning_of_the_file(tmp_path: Path) -> None:
    """The low region, at 1.00 to 1.25 s of the part, lies 0.5 s later in the file."""
    wave = 0.1 * np.random.default_rng(0).standard_normal(40000).astype(np.float32)
    facts = {"target": "low", "keep": "80%", "trust": "none", "start": 0.5}
    for clip in ((wave, RATE), tmp_path / "x.wav"):
        if isinstance(clip, Path):
            write_audio(clip, Audio(wave, RATE))
        found = explain(spectral(), clip, "input-x-gradient", **facts)  # type: ignore[arg-type]
        files = found.save(tmp_path / type(clip).__name__)
        start, end, _ = files["labels"].read_text().splitlines()[0].split("\t")
        assert 1.5 - 0.03 <= float(start) < float(end) <= 1.75 + 0.03
