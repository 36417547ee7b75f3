"""Where in the training sounds each component is strongest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness.audio import write_audio
from earwitness.decoders.interpreter import load_interpreter
from earwitness.errors import ModelError
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.train.contamination import Sounds
from earwitness.train.interpreters.l2i import train_l2i
from earwitness.train.interpreters.strongest import names_of, smoothed, strongest
from earwitness.types import Audio, Segment
from tests.interpreters import BANDS, saved
from tests.toys import RATE, TOY_PLANE, Magnitude, RegionNet, spectral
from tests.training import STRIDE, coarse
from tests.unit.test_train_l2i import SETTINGS

HERTZ = (750.0, 3125.0, 7100.0)  # of a tone in the band of each component


class InBands:
    """Activations are the mean magnitude in three bands."""

    def activations(
        self, model: Model, magnitude: torch.Tensor, wave: torch.Tensor
    ) -> torch.Tensor:
        return torch.stack([magnitude[low:high].mean(dim=0) for low, high in BANDS])


def tone(place: Path, seconds: float, *events: tuple[int, float, float, float]) -> Path:
    """Write a silent sound with tones: component, level, start and end in seconds."""
    samples = np.zeros(round(seconds * RATE), np.float32)
    time = np.arange(len(samples)) / RATE
    for component, level, start, end in events:
        inside = (time >= start) & (time < end)
        samples += np.float32(level * np.sin(2 * np.pi * HERTZ[component] * time) * inside)
    write_audio(place, Audio(samples, RATE))
    return place


def found_in(paths: list[Path]) -> list[list[Segment]]:
    found = strongest(spectral(), InBands(), Sounds(paths, RATE))
    return [list(some) for some in found]


def test_a_tone_is_found_in_its_file_at_its_second(tmp_path: Path) -> None:
    paths = [
        tone(tmp_path / "a.wav", 4, (0, 0.1, 2.0, 2.4), (1, 0.3, 0.0, 0.2)),
        tone(tmp_path / "b.wav", 4, (0, 0.4, 1.0, 1.4)),
        tone(tmp_path / "c.wav", 4, (0, 0.2, 3.7, 3.9)),
        tone(tmp_path / "d.wav", 0.5, (0, 0.3, 0.1, 0.5)),
        tone(tmp_path / "e.wav", 4),
    ]
    low, middle, high = found_in(paths)
    step = 0.5 * TOY_PLANE.hop / RATE + 1e-3  # centres lie on frames, and are rounded to ms
    assert [one.file for one in low] == ["b.wav", "d.wav", "c.wav"]  # three of four, by level
    np.testing.assert_allclose([low[0].start, low[0].end], [0.7, 1.7], atol=step)
    assert (low[1].start, low[1].end) == (0.0, 0.5)  # as long as the sound
    assert (low[2].start, low[2].end) == (3.0, 4.0)  # inside the sound
    assert middle[0] == Segment("a.wav", 0.0, 1.0)
    assert high[0].file == "a.wav"  # what leaks of its tones into the band


def test_long_sounds_are_read_in_parts(tmp_path: Path) -> None:
    lengths: list[int] = []

    class Watched(InBands):
        def activations(
            self, model: Model, magnitude: torch.Tensor, wave: torch.Tensor
        ) -> torch.Tensor:
            lengths.append(len(wave))
            return super().activations(model, magnitude, wave)

    events = [(k, (0.4, 0.2)[k == late], (1.0, 68.0)[late], (1.5, 68.5)[late])
              for k in (0, 1) for late in (0, 1)]  # fmt: skip
    path = tone(tmp_path / "long.wav", 70, *events)
    found = strongest(spectral(), Watched(), Sounds([path], RATE))
    assert lengths == [30 * RATE, 30 * RATE]  # of three parts, the second is silent
    np.testing.assert_allclose([one[0].start for one in found[:2]], [67.75, 0.75], atol=0.01)


def test_sounds_in_folders_of_classes_have_different_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dog", "rain"):
        (tmp_path / name).mkdir()
    quiet = tone(tmp_path / "dog" / "01.wav", 2, (0, 0.1, 0.5, 0.7))
    loud = tone(tmp_path / "rain" / "01.wav", 2, (0, 0.2, 0.5, 0.7))
    wanted = ["rain/01.wav", "dog/01.wav"]
    assert [one.file for one in found_in([quiet, loud])[0]] == wanted
    monkeypatch.chdir(tmp_path / "dog")
    assert [one.file for one in found_in([Path("01.wav"), loud])[0]] == wanted


def test_no_absolute_path_is_kept() -> None:
    assert names_of([Path("/home/me/data/a.wav")]) == ["a.wav"]
    assert names_of([Path("/home/me/a.wav"), Path("/media/disk/b.wav")]) == ["a.wav", "b.wav"]
    assert names_of([]) == []


def test_a_model_of_one_window_at_a_time_is_given_a_window_at_a_time(tmp_path: Path) -> None:
    model = wrap(RegionNet(stride=STRIDE), sample_rate=RATE, labels=["high", "low"],
                 features=Magnitude(), batch=1, lengths=(None, 1.0))  # fmt: skip
    path = tone(tmp_path / "long.wav", 3.5, (0, 0.1, 0.2, 0.6), (0, 0.4, 2.2, 2.6))
    (low, *_) = strongest(model, InBands(), Sounds([path], RATE))
    np.testing.assert_allclose([low[0].start, low[0].end], [1.9, 2.9], atol=0.01)
    trained = load_interpreter(saved(coarse(), tmp_path / "i"))
    found = strongest(model, trained, Sounds([path], RATE))  # layers are recorded in one call
    whole = strongest(coarse(), trained, Sounds([path], RATE))
    assert [len(some) for some in found] == [len(some) for some in whole]


def test_a_silent_sound_has_no_segment_and_the_first_of_equal_ones_is_first(tmp_path: Path) -> None:
    names = ("silent", "two", "one", "three", "four")
    paths = [tone(tmp_path / f"{name}.wav", 2, *[(2, 0.2, 0.5, 0.7)] * (name != "silent"))
             for name in names]  # fmt: skip
    assert [one.file for one in found_in(paths)[2]] == ["two.wav", "one.wav", "three.wav"]
    assert found_in(paths[:1]) == []


def test_the_strength_is_a_mean_under_a_hann_window_of_a_second() -> None:
    activations = torch.zeros(1, 300)
    activations[0, 150] = 1.0
    reach = round(0.5 * RATE / TOY_PLANE.hop)
    window = np.cos(np.pi * np.arange(-reach, reach + 1) / (2 * reach + 2)) ** 2
    wanted = np.zeros(300)
    wanted[150 - reach : 151 + reach] = window / window.sum()
    np.testing.assert_allclose(smoothed(activations, TOY_PLANE)[0], wanted, atol=1e-7)
    assert torch.equal(smoothed(activations, TOY_PLANE), smoothed(activations, TOY_PLANE))


def test_a_training_keeps_the_segments_and_old_folders_load(
    sounds: list[Path], tmp_path: Path
) -> None:
    made = train_l2i(coarse(), sounds[:6], sounds[12:14], replace(SETTINGS, epochs=1), tmp_path)
    counts = [len({one.file for one in some}) for some in made.strongest]
    assert counts == [0, 3, 3, 3]  # the first is never active, after so short a training
    assert made.strongest == strongest(coarse(), made, Sounds(sounds[:6], RATE))
    assert load_interpreter(tmp_path).strongest == made.strongest
    place = tmp_path / "interpreter.json"
    stored = json.loads(place.read_text())
    assert stored["strongest"][1][0] == vars(made.strongest[1][0])
    assert {one["file"] for some in stored["strongest"] for one in some} <= {
        f"{number:02}.wav" for number in range(6)
    }
    segments = stored.pop("strongest")
    place.write_text(json.dumps(stored))
    assert load_interpreter(tmp_path).strongest == ()
    for damaged in (segments[:3], [[{"file": "a.wav"}]] * 4, [["a.wav"]] * 4, 5):
        place.write_text(json.dumps({**stored, "strongest": damaged}))
        with pytest.raises(ModelError, match="damaged or do not fit each other"):
            load_interpreter(tmp_path)
