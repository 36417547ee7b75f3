"""Fixtures of the unit tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, sosfilt

from tests import scans
from tests.command import MODEL
from tests.toys import RATE, REGIONS


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Noise with more in the band of one of the toys' regions, so that every sound is decided."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:02}.wav" for number in range(18)]
    for number, path in enumerate(paths):
        band = butter(4, REGIONS[number % 2][2:], "band", fs=RATE, output="sos")
        strong, weak = 0.8 * rng.standard_normal(24000), 0.05 * rng.standard_normal(24000)
        soundfile.write(path, sosfilt(band, strong) + weak, RATE, subtype="FLOAT")
    return paths


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three sounds and a model in a file, as the working directory."""
    (tmp_path / "model.py").write_text(MODEL)
    rng = np.random.default_rng(0)
    (tmp_path / "clips" / "deep").mkdir(parents=True)
    for name in ("clips/a.wav", "clips/deep/a.wav", "b.wav"):
        soundfile.write(tmp_path / name, 0.1 * rng.standard_normal(8000), RATE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording of 20 s with two tones, and models in a file, as the working directory."""
    (tmp_path / "model.py").write_text(scans.MODEL)
    monkeypatch.chdir(tmp_path)
    soundfile.write("rec.wav", scans.tones(20.0), scans.RATE, subtype="FLOAT")
    return Path("rec.wav")
