"""Degraded speech: what is changed, where, and by how much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from earwitness.audio import write_audio
from earwitness.data.degraded import KINDS, LEVELS, Degraded, degrade, speech_level, third_edges
from earwitness.data.speech import degraded_clips, draw_excerpts
from earwitness.errors import AudioError, ParameterError, UnknownNameError
from earwitness.metrics.place import third_of
from earwitness.signals import crying_baby
from earwitness.types import Audio, FloatArray

RATE = 16000
SECONDS = 4.0


def speech(seed: int = 0, rate: int = RATE) -> FloatArray:
    return crying_baby(SECONDS, rate, np.random.default_rng(seed)).astype(np.float32)


def made(kind: str, seed: int = 0) -> Degraded:
    return degrade(speech(), RATE, kind, np.random.default_rng(seed))


def inside(one: Degraded) -> slice:
    return slice(round(one.start * RATE), round(one.end * RATE))


def share_of_band(wave: FloatArray, low: float, high: float) -> float:
    power = np.abs(np.fft.rfft(wave.astype(np.float64))) ** 2
    frequencies = np.fft.rfftfreq(len(wave), 1 / RATE)
    return float(power[(frequencies >= low) & (frequencies <= high)].sum() / power.sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_changes_outside_of_the_stretch_that_is_said(kind: str, seed: int) -> None:
    one = made(kind, seed)
    outside = np.ones(len(one.clean), bool)
    outside[inside(one)] = False
    assert 0 <= one.start < one.end <= SECONDS
    assert_allclose(one.sound[outside], one.clean[outside], rtol=0, atol=0)
    assert np.abs(one.source[~outside]).max() > 1e-3


@pytest.mark.parametrize(("kind", "decibels"), [("burst", 0.0), ("quiet-burst", -10.0), ("hum", 0)])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_added_has_the_level_of_the_speech_or_lies_below(
    kind: str, decibels: float, seed: int
) -> None:
    one = made(kind, seed)
    added = float(np.sqrt((one.source[inside(one)].astype(np.float64) ** 2).mean()))
    level = 20 * np.log10(added / speech_level(one.clean.astype(np.float64), RATE))
    # fades of 5 ms take at most 0.2 dB of 0.2 s, and noise does not fade evenly
    assert_allclose(level, decibels, atol=0.5)


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("seed", range(4))
def test_what_is_added_lies_in_the_band_that_is_said_and_that_in_one_third(
    kind: str, seed: int
) -> None:
    one = made(kind, seed)
    assert share_of_band(one.source[inside(one)], one.low, one.high) > 0.97  # fades widen it
    if kind != "hum":
        edges = third_edges(RATE / 2)
        third = int(third_of(np.array([(one.low * one.high) ** 0.5]), RATE / 2)[0])
        assert edges[third] <= one.low + 1e-6
        assert one.high <= edges[third + 1] + 1e-6


def test_bursts_are_in_every_third() -> None:
    some = [made("burst", seed) for seed in range(24)]
    thirds = [int(third_of(np.array([(s.low * s.high) ** 0.5]), RATE / 2)[0]) for s in some]
    assert set(thirds) == {0, 1, 2}


def test_lost_packets_are_silent_or_repeat_the_last_one() -> None:
    edge, size = round(0.006 * RATE), round(0.02 * RATE)
    kinds = set()
    for seed in range(8):
        one = made("packet-loss", seed)
        middle = one.sound[inside(one)][edge:-edge]
        kinds.add(one.detail)
        if one.detail == "packets of silence":
            assert_allclose(middle, 0, atol=1e-9)
        else:
            assert_allclose(middle[size:], middle[:-size], atol=1e-6)
    assert kinds == {"packets of silence", "packets repeated"}


def test_clipping_flattens_peaks_and_keeps_the_power() -> None:
    one = made("clipping")
    edge = round(0.006 * RATE)
    stretch = one.sound[inside(one)][edge:-edge].astype(np.float64)
    before = one.clean[inside(one)][edge:-edge].astype(np.float64)
    at_limit = np.abs(stretch) > 0.999 * np.abs(stretch).max()
    assert at_limit.mean() > 0.3
    assert_allclose((stretch**2).mean(), (before**2).mean(), rtol=0.1)


def test_band_limiting_removes_what_lies_above_the_edge() -> None:
    one = made("band-limiting")
    stretch, before = one.sound[inside(one)], one.clean[inside(one)]
    above = (1.3 * one.low, RATE / 2)
    assert share_of_band(before, *above) > 0.01
    assert share_of_band(stretch, *above) < 0.02 * share_of_band(before, *above)


def test_the_same_seed_gives_the_same_sound_and_another_one_another() -> None:
    assert_allclose(made("burst", 1).sound, made("burst", 1).sound, rtol=0, atol=0)
    assert made("burst", 1).start != made("burst", 2).start


def test_what_cannot_be_degraded_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UnknownNameError, match="burst"):
        degrade(speech(), RATE, "bursts", rng)
    with pytest.raises(ParameterError, match="longer speech, or it is silent"):
        degrade(np.zeros(RATE, np.float32), RATE, "burst", rng)
    with pytest.raises(ParameterError, match="longer speech"):
        degrade(speech()[: RATE // 10], RATE, "burst", rng)


def test_excerpts_come_from_the_part_and_have_a_level_in_the_range(tmp_path: Path) -> None:
    wave = np.concatenate([speech(), 0 * speech(), speech(1)])
    write_audio(tmp_path / "a.wav", Audio(wave, RATE, "a"))
    some = draw_excerpts([tmp_path / "a.wav"], 6, 1.5, 0, since=8.0)
    assert min(one.start for one in some) >= 8.0
    assert max(one.start + one.seconds for one in some) <= 12.0
    clips = degraded_clips(some, ["burst"], 0)
    assert len({clip.name for clip in clips}) == 6
    clean = [material.input - material.source for material in (c.make(RATE) for c in clips)]
    levels = [20 * np.log10(speech_level(one, RATE)) for one in clean]
    assert_allclose(levels, [one.level for one in some], atol=0.1)
    assert min(levels) >= -30.1
    assert max(levels) <= -21.9
    assert max(levels) - min(levels) > 1


def test_a_silent_file_is_refused(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", Audio(np.zeros(2 * RATE, np.float32), RATE, "a"))
    with pytest.raises(AudioError, match="is silent; the benchmark needs clean speech"):
        draw_excerpts([tmp_path / "a.wav"], 2, 1.5, 0)
