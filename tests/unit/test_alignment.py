"""Alignment by dynamic time warping, and one sound on the time axis of another."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from earwitness.comparing import alignment as room
from earwitness.comparing.alignment import HOP_SECONDS, align, warp
from earwitness.comparing.comparison import UNLIKE
from earwitness.comparing.warping import on_axis_of
from earwitness.errors import AudioError
from earwitness.types import Audio

RATE = 16000
SLOW = 1.2  # seconds of the first recording for one of the second, in its middle part
Wave = NDArray[np.float64]


def words(moments: Wave) -> Wave:
    """Return a voice of gliding vowels and pauses; ``moments`` is its own time at each sample."""
    steps = np.diff(moments, append=2 * moments[-1] - moments[-2])
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.9 * moments)
    phase = 2 * np.pi * np.cumsum(pitch * steps)
    first = 550 + 250 * np.sin(2 * np.pi * 4.1 * moments)
    second = 1700 + 600 * np.sin(2 * np.pi * 3.3 * moments + 1)
    wave = np.zeros(len(moments))
    for harmonic in range(1, 30):
        hz = harmonic * pitch
        level = 1 / (1 + ((hz - first) / 90) ** 2) + 0.5 / (1 + ((hz - second) / 120) ** 2)
        wave += level * np.sin(harmonic * phase)
    return 0.05 * wave * (np.sin(2 * np.pi * 2.3 * moments) > -0.5)


def bent(seconds: Wave) -> Wave:
    """Return the second recording's time of moments of the first: slower from 1 to 2.2 s."""
    late = 2.0 + (seconds - (1 + SLOW))
    return np.where(
        seconds < 1, seconds, np.where(seconds < 1 + SLOW, 1 + (seconds - 1) / SLOW, late)
    )


def audio(wave: Wave, name: str = "sound") -> Audio:
    return Audio(wave.astype(np.float32), RATE, name)


@cache
def pair() -> tuple[Audio, Audio]:
    """The first recording, warped, and the second."""
    first, second = np.arange(0, 3.2, 1 / RATE), np.arange(0, 3, 1 / RATE)
    return audio(words(bent(first)), "a"), audio(words(second), "b")


def spoken(moments: Wave) -> NDArray[np.bool_]:
    """Whether there are words, more than two hops from a pause, in which nothing says where."""
    around = [moments + shift for shift in np.arange(-3, 4) * HOP_SECONDS]
    return np.all([np.sin(2 * np.pi * 2.3 * one) > -0.5 for one in around], axis=0)


def error(first: Audio, second: Audio) -> Wave:
    found = align(first, second)
    inside = spoken(bent(found.times)) & (found.times < 3.15)
    gap: Wave = np.abs(found.places - bent(found.times))[inside]
    return gap


def test_a_known_warp_of_words_is_recovered_within_two_hops() -> None:
    gap = error(*pair())
    assert np.percentile(gap, 95) <= 2 * HOP_SECONDS
    assert gap.max() <= 2.5 * HOP_SECONDS  # where the speed changes the stairs are rounded


def test_neither_level_nor_an_equaliser_bends_the_path() -> None:
    first, second = pair()
    louder = Audio(32 * second.samples, RATE)
    hz = np.fft.rfftfreq(len(second.samples), 1 / RATE)
    ripple = 10 ** np.sin(2 * np.pi * hz / 1500)  # 20 dB up and down
    tilted = audio(np.fft.irfft(np.fft.rfft(second.samples) * ripple, len(second.samples)))
    assert_allclose(align(first, louder).places, align(first, second).places, atol=1e-6)
    assert error(first, tilted).max() <= 2.5 * HOP_SECONDS
    assert align(second, tilted).cost < UNLIKE  # 0.41; 0.57 if bands kept their means


def test_a_burst_of_noise_in_one_recording_bends_no_path() -> None:
    _, second = pair()
    noisy = second.samples.copy()
    noise = np.random.default_rng(0).standard_normal(4800)
    noisy[16000:20800] += (2 * np.std(noisy) * noise).astype(np.float32)
    found = align(Audio(noisy, RATE), second)
    assert_allclose(found.places, found.times, atol=1.01 * HOP_SECONDS)


def test_the_same_sound_is_aligned_with_itself_at_no_cost() -> None:
    _, second = pair()
    found = align(second, second)
    assert found.cost == 0
    assert_allclose(found.places, found.times, atol=1e-12)


def test_other_words_cost_more_than_the_same_ones() -> None:
    first, second = pair()
    rng = np.random.default_rng(3)
    other = audio(words(4 + np.arange(0, 3, 1 / RATE)) * (rng.random(48000) > -1))
    assert align(first, second).cost < 0.3
    assert align(first, other).cost > 2 * align(first, second).cost


@pytest.mark.parametrize("seed", range(12))
def test_the_path_is_that_of_the_recursion_written_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # random walks, so that neighbours are alike and paths leave the diagonal
    one, other = rng.standard_normal((9, 3)).cumsum(0), rng.standard_normal((7, 3)).cumsum(0)
    apart = np.sqrt(((one[:, None] - other[None]) ** 2).mean(-1))
    lean = 0.8 * apart.mean()
    total = np.full((9, 7), np.inf)
    back: dict[tuple[int, int], tuple[int, int]] = {}
    for i in range(9):
        for j in range(7):
            if i == j == 0:
                total[0, 0] = 2 * apart[0, 0]
                continue
            ways = [
                (total[i - 1, j - 1] + 2 * apart[i, j], (i - 1, j - 1))
                if i and j
                else (np.inf, (0, 0)),
                (total[i - 1, j] + apart[i, j] + lean, (i - 1, j)) if i else (np.inf, (0, 0)),
                (total[i, j - 1] + apart[i, j] + lean, (i, j - 1)) if j else (np.inf, (0, 0)),
            ]
            total[i, j], back[i, j] = min(ways)
    path = [(8, 6)]
    while path[-1] != (0, 0):
        path.append(back[path[-1]])
    found, cost = warp(one, other)
    assert_array_equal(found, path[::-1])
    along = np.mean([apart[place] for place in path])
    assert_allclose(cost, along / apart.mean(), rtol=1e-12)


def test_a_band_about_the_line_finds_the_same_path_in_less_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = pair()
    whole = align(first, second)
    monkeypatch.setattr(room, "_MOST_CELLS", 40 * (320 + 300))  # 40 frames to either side
    assert_allclose(align(first, second).places, whole.places, atol=1e-12)


def test_a_silent_sound_is_refused_by_name() -> None:
    with pytest.raises(AudioError, match="nothing: silent, there are no words to compare"):
        align(pair()[0], Audio(np.zeros(16000, np.float32), RATE, "nothing"))


def test_a_sound_on_its_own_axis_is_the_sound() -> None:
    _, second = pair()
    found = on_axis_of(align(second, second), second, len(second.samples))
    assert_allclose(found, second.samples, atol=1e-7)  # float32


def test_a_warped_sound_has_the_words_of_the_other_at_their_times() -> None:
    first, second = pair()
    found = Audio(on_axis_of(align(first, second), second, len(first.samples)), RATE)
    assert len(found.samples) == len(first.samples)
    again = align(first, found)
    inside = spoken(bent(again.times)) & (again.times < 3.15)
    # a segment may lie 8 ms from its place, on top of the two hops of the alignment
    assert np.abs(again.places - again.times)[inside].max() <= 2.5 * HOP_SECONDS + 0.008


def test_warping_keeps_the_pitch() -> None:
    """A tone of 200 Hz, a third longer, is a tone of 200 Hz: resampling would give 150 Hz."""
    tone = audio(0.1 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE))
    times = np.arange(134, dtype=np.float64) * HOP_SECONDS
    slow = room.Alignment(times, np.minimum(0.75 * times, 0.99), 0.0)
    found = on_axis_of(slow, tone, 20000)
    spectrum = np.abs(np.fft.rfft(found * np.hanning(20000)))
    assert_allclose(spectrum.argmax() * RATE / 20000, 200, atol=1)
    assert_allclose(np.std(found[2000:18000]), np.std(tone.samples), rtol=0.05)
