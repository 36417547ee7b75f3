"""``earwitness check``: faults that look like others, hide behind a second path, or are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from earwitness.checking.report import check_model
from tests.unit.test_check import CLASSES, RATE, Bands, declared, found


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight tones in noise of each class, in folders with their names, and an unreadable file."""
    place = tmp_path_factory.mktemp("tones")
    generator = np.random.default_rng(5)
    time = np.arange(RATE // 4) / RATE
    for name, frequency in CLASSES.items():
        (place / name).mkdir()
        for number in range(8):
            tone = np.sin(2 * np.pi * frequency * (1 + 0.02 * number) * time)
            noise = 0.01 * generator.standard_normal(len(time))
            soundfile.write(place / name / f"{number}.wav", 0.3 * tone + noise, RATE)
    return sorted(place.rglob("*.wav"))


def test_a_wrong_rate_is_not_taken_for_permuted_labels(tones: list[Path]) -> None:
    report = check_model(declared(Bands(), sample_rate=8000), tones, methods=False)
    assert found(report, "rate and scale").declare == {"sample_rate": 16000}
    assert found(report, "rate and scale").facts["accuracy"] == 1.0
    assert [one.name for one in report.findings if one.grade == "broken"] == ["rate and scale"]


def test_permuted_labels_are_not_taken_for_a_wrong_rate(tones: list[Path]) -> None:
    model = declared(Bands(), labels=["high", "low", "middle"])
    report = check_model(model, tones, methods=False)
    assert [one.name for one in report.findings if one.grade == "broken"] == ["order of labels"]
    assert found(report, "order of labels").facts["reordered"] == 24


def test_a_file_that_cannot_be_read_is_left_out_and_not_wrong(
    tones: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "low").mkdir()
    bad = tmp_path / "low" / "bad.wav"
    bad.write_bytes(b"no sound")
    model = declared(Bands())
    model.loaded = "python:made.py:make"
    report = check_model(model, [bad, *tones], methods=False)
    one = found(report, "accuracy")
    assert (one.grade, one.facts["accuracy"], one.facts["sounds"]) == ("note", 1.0, 24)
    assert one.facts["sounds_left_out"] == ["bad.wav"]
    assert "bad.wav" not in report.command
    assert str(tones[2]) in report.command  # the next of every third file
