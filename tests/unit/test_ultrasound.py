"""Sounds above what people hear: players, planes and pieces; and sounds that end early."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from torch import Tensor, nn

from earwitness.models.model import Model
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.perturbation.pieces.registry import Sizes, cut
from earwitness.perturbation.pieces.time import span_name
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.render.notebook import cell_html
from earwitness.render.players import copies, expansion, players, ultrasound
from earwitness.report.folder import ReportFolder
from earwitness.types import Audio
from tests.pages import clips

RATE = 384000


def tone(hertz: float, rate: int, seconds: float = 0.5, level: float = 0.1) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def calls() -> np.ndarray:
    """Two calls of 5 ms at 45 kHz, over wind of ten times their level at 100 Hz."""
    sound = tone(100, RATE, 0.3)
    for start in (0.05, 0.2):
        first = round(start * RATE)
        sound[first : first + 1920] += tone(45000, RATE, 0.005, 0.01)
    return sound


class Detector(nn.Module):
    """The power above 20 kHz, and what is missing of it."""

    def forward(self, waves: Tensor) -> Tensor:
        power = torch.fft.rfft(waves).abs().square()
        first = round(20000 * waves.shape[1] / RATE)
        level = power[:, first:].mean(dim=1).add(1e-9).log()
        return torch.stack([level, -level], dim=1)


def detector(plane: float | None = None) -> Model:
    return wrap(Detector(), sample_rate=RATE, labels=["bat", "none"], plane=plane)


def loudest(data: bytes) -> tuple[float, float]:
    """Return the loudest frequency in Hz, and the length in seconds."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    power = np.abs(np.fft.rfft(samples))
    return float(power.argmax() * rate / len(samples)), len(samples) / rate


@pytest.mark.parametrize(
    ("hertz", "rate", "wanted"),
    [
        (45000, 384000, 4500.0),
        (45000, 192000, 4500.0),
        (30000, 96000, 3000.0),
        (22000, 48000, 2200.0),
        (21500, 44100, 2150.0),
    ],
)
def test_ultrasound_is_played_ten_times_slower(hertz: float, rate: int, wanted: float) -> None:
    sound = Audio(tone(hertz, rate), rate)
    (player,) = players([sound])
    found, seconds = loudest(player.data)
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
    np.testing.assert_allclose(seconds, 5.0, rtol=1e-3)
    assert player.expansion == 10
    np.testing.assert_allclose(ultrasound(sound), 1.0, atol=1e-3)


def test_pieces_are_played_as_slowly_as_the_input() -> None:
    (player,) = copies([Audio(tone(45000, RATE), RATE)], 6.0, 10)
    found, seconds = loudest(player.data)
    np.testing.assert_allclose((found, seconds), (4500.0, 5.0), rtol=1e-3)
    assert (player.gain_db, player.expansion) == (6.0, 10)


@pytest.mark.parametrize(("hertz", "rate"), [(440, 96000), (440, 16000), (19000, 44100)])
def test_audible_sound_is_played_at_its_own_speed(hertz: float, rate: int) -> None:
    (player,) = players([Audio(tone(hertz, rate), rate)])
    found, seconds = loudest(player.data)
    np.testing.assert_allclose(found, hertz, rtol=1e-3)
    np.testing.assert_allclose(seconds, 0.5, rtol=1e-3)


def test_faint_calls_under_loud_wind_are_not_lost() -> None:
    # 10 ms of 300 at a hundredth of the wind's power
    sound = Audio(calls(), RATE)
    np.testing.assert_allclose(ultrasound(sound), 0.01 / 30, rtol=0.02)
    assert expansion([Audio(tone(100, RATE), RATE), sound]) == 10


def test_the_page_and_the_notebook_say_that_time_is_expanded(tmp_path: Path) -> None:
    model = detector(0.002)
    found = explain(model, (calls(), RATE), "occlusion", target="bat")
    folder = ReportFolder(tmp_path / "r", overwrite=False)
    folder.prepare()
    folder.add(found)
    (clip,) = clips(folder.finish(model))
    assert clip["expansion"] == 10
    assert [note for note in clip["notes"] if note.startswith("ultrasound: 0.033% of the input")]
    shown = cell_html("bat", (), b"", {"evidence": found.evidence}, "")
    assert "evidence time-expanded \u00d710" in shown
    dog = {"evidence": Audio(tone(440, 8000), 8000)}
    assert "time-expanded" not in cell_html("dog", (), b"", dog, "")


def test_players_that_hold_a_part_of_the_band_say_so() -> None:
    one = wrap(Detector(), sample_rate=96000, labels=["bat", "none"])
    found = explain(one, (tone(440, 96000), 96000), "energy", trust="none")
    assert [note for note in found.notes if note.startswith("players hold up to 24 kHz: ")]


def test_pieces_are_as_short_as_the_windows_of_the_plane() -> None:
    wave = torch.from_numpy(calls())
    spans = {}
    for plane in (None, 0.002):
        model = detector(plane)
        probe = Probe(model, wave, make_target(model, torch.zeros(2), 0))
        spans[plane] = cut(probe, "time", Sizes()).names
    assert spans[None] == ("0.00-0.30 s",)
    # 20 windows of 1024 samples are 53 ms
    assert spans[0.002][:2] == ("0.00-0.05 s", "0.05-0.10 s")
    assert len(spans[0.002]) == 6


def test_the_map_of_a_fine_plane_tells_calls_of_milliseconds_apart() -> None:
    found = explain(
        detector(0.002), (calls(), RATE), "input-x-gradient", target="bat", trust="none"
    )
    by_time = np.maximum(found.attribution.values, 0).sum(axis=0)
    inside = np.zeros(len(by_time), bool)
    for start in (0.05, 0.2):
        times = found.attribution.times
        inside |= (times > start - 0.002) & (times < start + 0.007)
    assert by_time[inside].sum() / by_time.sum() > 0.99
    assert inside.mean() < 0.07


def test_names_of_short_spans_differ() -> None:
    assert span_name(0.25, 0.5, 0.25) == "0.25-0.50 s"
    assert span_name(0.002, 0.004, 0.002) == "0.0020-0.0040 s"
    assert span_name(0.03, 0.06, 0.03) == "0.030-0.060 s"


def test_sounds_of_milliseconds_are_explained_at_high_rates() -> None:
    found = explain(detector(0.001), (tone(45000, RATE, 0.01), RATE), "energy", trust="none")
    np.testing.assert_allclose(found.input.seconds, 0.01)


class Bright(nn.Module):
    """The levels of two bands, each relative to a floor, so that silent cells have a gradient."""

    def forward(self, waves: Tensor) -> Tensor:
        power = torch.fft.rfft(waves, 4096).abs().square()
        return torch.stack([power[:, :700].mean(dim=1), 1e6 * power[:, 700:].mean(dim=1)], dim=1)


def test_a_map_above_the_end_of_the_sound_is_said() -> None:
    rng = np.random.default_rng(0)
    narrow = soxr.resample(0.1 * rng.standard_normal(8000).astype(np.float32), 8000, 48000)
    model = wrap(Bright(), sample_rate=48000, labels=["low", "high"], output="logits")
    found = explain(model, (narrow, 48000), "saliency", target="high", trust="none")
    (note,) = (one for one in found.notes if "the sound ends at" in one)
    freqs, size = found.attribution.freqs, np.abs(found.attribution.values)
    top = float(re.search(r"ends at ([\d.]+) of 24 kHz", note)[1])  # type: ignore[index]
    np.testing.assert_allclose(top, 4.2, atol=0.3)
    share = float(re.search(r"and (\d+)% of the map", note)[1]) / 100  # type: ignore[index]
    np.testing.assert_allclose(share, size[freqs > 1000 * top].sum() / size.sum(), atol=0.02)
    assert share > 0.5
    wide = (0.1 * rng.standard_normal(48000).astype(np.float32), 48000)
    found = explain(model, wide, "saliency", target="high", trust="none")
    assert not [one for one in found.notes if "the sound ends at" in one]


def test_a_soft_noise_floor_is_no_end_of_the_sound() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(16000) / 16000
    sound = 0.5 * np.sin(2 * np.pi * 800 * time) + 0.002 * rng.standard_normal(16000)
    model = wrap(
        lambda waves: np.abs(waves).mean(axis=1, keepdims=True), sample_rate=16000, output="scores"
    )
    found = explain(model, (sound.astype(np.float32), 16000), "energy", trust="none")
    assert [note for note in found.notes if "the sound ends" in note] == []
    found = explain(model, (sound.astype(np.float32), 16000), "random", trust="none")
    assert [note for note in found.notes if "the sound ends" in note] == []
