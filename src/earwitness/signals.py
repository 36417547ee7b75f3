"""Synthesised sounds with known sources: the demo scene.

All signals are synthesised from a seed; no recordings are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from earwitness.types import Audio

Wave = NDArray[np.float64]

_SCENE_SECONDS = 5.0  # s, length of the default model's input
_CRY_SECONDS = 2.6  # s, about half of the scene
_RAIN_LEVEL = 0.3  # gain of the rain; both classes are detected at this ratio


@dataclass(frozen=True)
class Scene:
    """A mixture and its sources.

    Attributes
    ----------
    mixture : Audio
    sources : mapping of label to Audio
        They sum to the mixture.
    """

    mixture: Audio
    sources: Mapping[str, Audio]


def place(wave: Wave, start: float, seconds: float, rate: int) -> Wave:
    """Return ``seconds`` of silence with a wave (samples,) inserted at ``start`` seconds.

    Examples
    --------
    >>> place(np.ones(2), 0.5, 1.0, 4).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    whole = np.zeros(round(seconds * rate))
    first = round(start * rate)
    segment = wave[: max(0, len(whole) - first)]
    whole[first : first + len(segment)] = segment
    return whole


def crying_baby(seconds: float, rate: int, rng: np.random.Generator) -> Wave:
    """Return cries of about one second: harmonics of 400-550 Hz with an infant's formants."""
    whole = np.zeros(round(seconds * rate))
    start = 0.1
    while start < seconds - 0.3:
        length = rng.uniform(0.7, 1.1)
        time = np.arange(round(length * rate)) / rate
        arc = np.sin(np.pi * np.minimum(time / length, 1)) ** 0.5
        pitch = rng.uniform(400, 450) + 110 * arc + 8 * np.sin(2 * np.pi * 6 * time)
        wail = _voice(pitch, rate, formants=((1100, 300), (3300, 500), (5500, 800)))
        wail += 0.05 * rng.standard_normal(len(wail)) * np.abs(wail).max()
        whole += place(wail * arc * _fades(len(wail), rate, 0.03), start, seconds, rate)
        start += length + rng.uniform(0.15, 0.3)
    return 0.3 * whole / np.abs(whole).max()


def rain(seconds: float, rate: int, rng: np.random.Generator) -> Wave:
    """Return stationary rain: high-pass noise plus random impulses (drops)."""
    samples = round(seconds * rate)
    drops = np.zeros(samples)
    at = rng.integers(0, samples, round(400 * seconds))
    drops[at] = rng.standard_exponential(len(at)) * rng.choice((-1, 1), len(at))
    drops = signal.sosfilt(signal.butter(2, 1500, "highpass", fs=rate, output="sos"), drops)
    bed = signal.sosfilt(
        signal.butter(1, 1000, "highpass", fs=rate, output="sos"), rng.standard_normal(samples)
    )
    whole = bed / np.sqrt(np.mean(bed**2)) + 0.5 * drops / np.sqrt(np.mean(drops**2))
    return 0.1 * whole / np.sqrt(np.mean(whole**2))


def scene(rate: int, seed: int = 0) -> Scene:
    """Return the demo scene: five seconds of rain, with a crying baby in the first half.

    The default model detects both classes, so the explanations for "crying_baby" and for "rain" are
    different, and the true source is known for both.

    Parameters
    ----------
    rate : int
        Sampling rate in Hz.
    seed : int

    Examples
    --------
    >>> sorted(scene(16000).sources)
    ['crying_baby', 'rain']
    """
    rng = np.random.default_rng(seed)
    wails = place(crying_baby(_CRY_SECONDS, rate, rng), 0.0, _SCENE_SECONDS, rate)
    sources = {"crying_baby": wails, "rain": _RAIN_LEVEL * rain(_SCENE_SECONDS, rate, rng)}
    mixture = np.sum(list(sources.values()), axis=0)
    return Scene(
        Audio(mixture.astype(np.float32), rate, "baby in the rain"),
        {name: Audio(wave.astype(np.float32), rate, name) for name, wave in sources.items()},
    )


def _voice(pitch: Wave, rate: int, formants: tuple[tuple[float, float], ...]) -> Wave:
    """Return harmonics of a time-varying pitch (Hz), with a formant envelope (Hz, bandwidth)."""
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    wave = np.zeros(len(pitch))
    for harmonic in range(1, int(0.48 * rate / pitch.min()) + 1):
        frequency = harmonic * pitch
        level = np.sum([1 / (1 + ((frequency - f) / w) ** 2) for f, w in formants], axis=0)
        below_nyquist = frequency < 0.48 * rate
        wave += (0.15 + level) / harmonic**0.7 * np.sin(harmonic * phase) * below_nyquist
    return wave / np.abs(wave).max()


def _fades(samples: int, rate: int, seconds: float) -> Wave:
    ramp = np.minimum(1.0, (np.arange(samples) + 0.5) / max(1.0, seconds * rate))
    return np.sin(0.5 * np.pi * np.minimum(ramp, ramp[::-1])) ** 2
