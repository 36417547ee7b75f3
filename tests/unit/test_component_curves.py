"""The small curves of the table of components as the page holds them, and its links."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earwitness.audio import write_audio
from earwitness.clips import find_clips
from earwitness.report.components import codes, maxima, mel_maxima, sounds_by_name
from earwitness.train.interpreters.strongest import names_of
from earwitness.types import Audio, FloatArray


def one_hot(bins: int, *places: int) -> FloatArray:
    return np.eye(bins, dtype=np.float32)[list(places)]


def test_patterns_are_the_maxima_of_bands_of_equal_width_in_mel() -> None:
    top, bins = 16000.0, 1025
    places = (0, 40, 205, 640, 1024)
    found = mel_maxima(one_hot(bins, *places), top)
    assert found.shape == (5, 64)
    for row, place in zip(found, places, strict=True):
        hertz = place * top / (bins - 1)
        mel = 64 * np.log10(1 + hertz / 700) / np.log10(1 + top / 700)
        assert np.abs(np.flatnonzero(row) - min(mel, 63.5) + 0.5).max() <= 1
        assert row.max() == 1.0
    np.testing.assert_array_equal(mel_maxima(np.ones((1, bins), np.float32), top), np.ones((1, 64)))
    assert mel_maxima(one_hot(17, 3), 8000.0).shape == (1, 17)


def test_no_bin_is_lost() -> None:
    assert (mel_maxima(np.eye(1025, dtype=np.float32), 16000.0).max(axis=1) == 1).all()
    assert (maxima(np.eye(313, dtype=np.float32)).max(axis=1) == 1).all()


def test_activations_are_the_maxima_of_equal_steps() -> None:
    values = np.arange(256, dtype=np.float32)[None]
    np.testing.assert_array_equal(maxima(values), values[:, 1::2])
    np.testing.assert_array_equal(maxima(values[:, :50]), values[:, :50])


def test_codes_are_shares_of_the_own_maximum() -> None:
    curves = np.float32([[0, 5, 10], [0, 0, 0], [2, 1, 0]])
    np.testing.assert_array_equal(codes(curves), [[0, 128, 255], [0, 0, 0], [255, 128, 0]])


def written(root: Path, *places: str) -> None:
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        write_audio(root / place, Audio(np.zeros(100, np.float32), 8000))


def test_sounds_of_one_name_are_not_mistaken_for_each_other(tmp_path: Path) -> None:
    written(tmp_path, "a.wav", "x/b.wav", "y/b.wav", "y/c.wav", "d.wav", "x/d.wav")
    found = sounds_by_name(str(tmp_path))
    assert {name: path for name, path in found.items() if "/" not in name} == {
        "a.wav": tmp_path / "a.wav",
        "c.wav": tmp_path / "y" / "c.wav",  # a bare name of a sub-folder
        "d.wav": tmp_path / "d.wav",  # relative to the folder
    }


def test_sounds_of_one_name_in_folders_of_classes_are_found_by_their_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data"
    written(root, "dog/01.wav", "rain/01.wav", "rain/02.wav")
    wanted = {name: root / name for name in ("dog/01.wav", "rain/01.wav", "rain/02.wav")}
    clips = find_clips([root])
    assert dict(zip(names_of(clips), clips, strict=True)) == wanted
    for folder in (root, tmp_path):  # itself, and one above it
        found = sounds_by_name(str(folder))
        assert {name: found[name] for name in wanted} == wanted
        assert "01.wav" not in found
    below = sounds_by_name(str(root / "rain"))
    assert below["rain/01.wav"] == below["01.wav"] == root / "rain" / "01.wav"
    assert "dog/01.wav" not in below  # and not the other one of this name
    monkeypatch.chdir(root / "dog")
    assert sounds_by_name(".")["dog/01.wav"] == Path("01.wav")
    written(tmp_path, "data/old/dog/01.wav")
    sounds_by_name.cache_clear()
    assert sounds_by_name(str(root))["dog/01.wav"] == root / "dog" / "01.wav"
    assert "dog/01.wav" not in sounds_by_name(str(tmp_path))  # which of two?
