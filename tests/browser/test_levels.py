"""Levels as Python measures them, and sounds at other rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from earwitness.render.players import loudness, players
from earwitness.types import Audio
from tests.browser.engine import array, call, decibels

pytestmark = pytest.mark.browser


def bursts(rate: int, seconds: float, level: float) -> np.ndarray:
    """Noise that is on for a fifth of a second in each second, and 40 dB quieter between."""
    samples = round(seconds * rate)
    noise = np.random.default_rng(rate).standard_normal(samples)
    loud = np.arange(samples) / rate % 1 < 0.2
    return (level * noise * np.where(loud, 1, 0.01)).astype(np.float32)


SOUNDS = [(8000, 2.03, 0.1), (44100, 1.0, 0.001), (250000, 0.31, 0.2), (2000, 3.0, 0.05)]


@pytest.mark.parametrize(("rate", "seconds", "level"), SOUNDS)
def test_the_level_is_that_of_python(engine: Any, rate: int, seconds: float, level: float) -> None:
    sound = bursts(rate, seconds, level)
    found = call(engine, "loudness(sound, rate)", sound=sound, rate=rate)
    np.testing.assert_allclose(found, loudness(sound, rate), rtol=0, atol=1e-6)  # dB
    # 20 % of a second in two blocks of ten; the others lie below the gate
    np.testing.assert_allclose(found, 20 * np.log10(level), rtol=0, atol=1.5)


def test_silence_has_no_level_and_no_gain(engine: Any) -> None:
    zeros = np.zeros(1000, np.float32)
    assert call(engine, "loudness(sound, 8000) === -Infinity", sound=zeros)
    assert call(engine, "levelGains({ input: sound }, 8000).input", sound=zeros) == 1


def test_sounds_are_matched_as_players_are(engine: Any) -> None:
    rate = 16000
    click = np.zeros(rate, np.float32)
    click[100] = 0.9  # its crest lowers the level of all
    sounds = [bursts(rate, 1.0, 0.02), click, bursts(rate, 1.2, 0.3), 1e-5 * bursts(rate, 1, 0.02)]
    given = {f"s{k}": sound for k, sound in enumerate(sounds)}
    found = call(engine, "Object.values(levelGains({ s0, s1, s2, s3 }, rate))", rate=rate, **given)
    wanted = [one.gain_db for one in players([Audio(sound, rate) for sound in sounds])]
    np.testing.assert_allclose(20 * np.log10(found), wanted, rtol=0, atol=0.01)
    assert wanted[3] == 60.0  # quieter ones are not amplified further
    assert max(np.abs(g * sound).max() for g, sound in zip(found, sounds, strict=True)) <= 0.951


RATES = [(16000, 48000), (44100, 48000), (2000, 48000), (250000, 48000), (25000, 48000)]
RATES += [(11111, 48000), (8000.5, 44100)]


@pytest.mark.parametrize(("given", "wanted"), RATES)
def test_tones_keep_pitch_phase_and_level_at_another_rate(
    engine: Any, given: float, wanted: float
) -> None:
    seconds, edge = 0.4, 0.1
    hertz = np.array([0.03, 0.3, 0.6, 0.8]) * min(given, wanted) / 2
    waves = [
        np.sin(2 * np.pi * np.arange(round(seconds * rate))[:, None] / rate * hertz).sum(axis=1)
        for rate in (given, wanted)
    ]
    found = array(
        engine, "resample(wave, given, wanted)",
        wave=waves[0].astype(np.float32), given=given, wanted=wanted,
    )  # fmt: skip
    np.testing.assert_allclose(len(found), len(waves[1]), rtol=0, atol=wanted / given + 1)
    inner = slice(round(edge * wanted), round((seconds - edge) * wanted))
    # with more positions between two samples than the table has, the nearest is taken
    worst = -70 if given in (16000, 44100, 2000, 250000, 25000) else -55
    assert decibels(found[inner] - waves[1][inner], waves[1][inner]) < worst


def test_what_lies_above_half_the_new_rate_is_gone(engine: Any) -> None:
    tone = np.sin(2 * np.pi * 30000 * np.arange(50000) / 250000).astype(np.float32)
    found = array(engine, "resample(tone, 250000, 48000)", tone=tone)
    assert np.abs(found[1000:-1000]).max() < 1e-4


def test_a_resampled_tone_has_no_image(engine: Any) -> None:
    """Linear interpolation would leave one at 9 kHz, 5 dB below the tone."""
    tone = np.sin(2 * np.pi * 7000 * np.arange(16000) / 16000).astype(np.float32)
    found = array(engine, "resample(tone, 16000, 48000)", tone=tone)[4800:-4800]
    power = np.abs(np.fft.rfft(found * np.hanning(len(found)))) ** 2
    hertz = np.fft.rfftfreq(len(found), 1 / 48000)
    near = np.abs(hertz - 7000) < 50
    assert 10 * np.log10(power[~near].sum() / power[near].sum()) < -70
