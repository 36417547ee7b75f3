"""Synthesised sounds whose every part is known: test signals and the demo scene.

Everything is drawn from a seed; no recording is involved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from earwitness.types import Audio

Wave = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A mixture and the sources it is the sum of.

    Attributes
    ----------
    mixture : Audio
    sources : mapping of label to Audio
        They add up to the mixture.
    """

    mixture: Audio
    sources: Mapping[str, Audio]


def tone(frequency: float, seconds: float, rate: int, level: float = 0.5) -> Wave:
    """Return a sine with 10 ms fades; ``frequency`` in Hz, ``level`` its amplitude."""
    time = np.arange(round(seconds * rate)) / rate
    return level * np.sin(2 * np.pi * frequency * time) * _fades(len(time), rate, 0.01)


def noise(seconds: float, rate: int, rng: np.random.Generator, level: float = 0.1) -> Wave:
    """Return white Gaussian noise of RMS ``level``."""
    return level * rng.standard_normal(round(seconds * rate))


def band_noise(
    low: float, high: float, seconds: float, rate: int, rng: np.random.Generator, level: float = 0.1
) -> Wave:
    """Return noise of RMS ``level`` between two frequencies in Hz."""
    sections = signal.butter(4, (low, min(high, 0.49 * rate)), "bandpass", fs=rate, output="sos")
    wave = signal.sosfilt(sections, rng.standard_normal(round(seconds * rate)))
    return level * wave / np.sqrt(np.mean(wave**2))


def place(wave: Wave, start: float, seconds: float, rate: int) -> Wave:
    """Return silence of ``seconds`` with a wave from ``start`` on, cut at the end."""
    whole = np.zeros(round(seconds * rate))
    first = round(start * rate)
    part = wave[: max(0, len(whole) - first)]
    whole[first : first + len(part)] = part
    return whole


def crying_baby(seconds: float, rate: int, rng: np.random.Generator) -> Wave:
    """Return wails of about a second: harmonics of 400-550 Hz with a baby's formants."""
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


def rooster(seconds: float, rate: int, rng: np.random.Generator) -> Wave:
    """Return one crow: four notes, the third long and high, falling at the end."""
    notes = ((0.15, 500, 700), (0.15, 750, 800), (0.75, 900, 950), (0.45, 850, 450))
    whole = np.zeros(round(seconds * rate))
    start = 0.2
    for length, first, last in notes:
        time = np.arange(round(length * rate)) / rate
        pitch = np.linspace(first, last, len(time)) * rng.uniform(0.98, 1.02)
        note = _voice(pitch, rate, formants=((1200, 400), (2600, 600), (4200, 800)))
        whole += place(note * _fades(len(note), rate, 0.03), start, seconds, rate)
        start += length + 0.04
    return 0.3 * whole / np.abs(whole).max()


def clock_tick(seconds: float, rate: int, rng: np.random.Generator) -> Wave:
    """Return two ticks a second: short damped resonances, alternating in pitch."""
    whole = np.zeros(round(seconds * rate))
    time = np.arange(round(0.06 * rate)) / rate
    for number, start in enumerate(np.arange(0.2, seconds - 0.1, 0.5)):
        pitch = 1.0 if number % 2 else 1.15
        tick = np.zeros(len(time))
        for frequency, decay, level in ((2100, 250, 1.0), (3700, 350, 0.8), (5600, 500, 0.6)):
            phase = rng.uniform(0, 2 * np.pi)
            wave = np.sin(2 * np.pi * frequency * pitch * time + phase)
            tick += level * np.exp(-decay * time) * wave
        tick += 0.5 * np.exp(-1500 * time) * rng.standard_normal(len(time))
        whole += place(tick, float(start), seconds, rate)
    return 0.3 * whole / np.abs(whole).max()


def rain(seconds: float, rate: int, rng: np.random.Generator) -> Wave:
    """Return steady rain: bright noise with drops falling on it."""
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


def sea_waves(seconds: float, rate: int, rng: np.random.Generator) -> Wave:
    """Return surf: low-passed noise that swells and breaks every few seconds."""
    samples = round(seconds * rate)
    time = np.arange(samples) / rate
    swell = 0.25 + 0.75 * np.sin(np.pi * (time / 3.5 + rng.uniform())) ** 4
    raw = rng.standard_normal(samples)
    low = signal.sosfilt(signal.butter(1, 500, "lowpass", fs=rate, output="sos"), raw)
    high = signal.sosfilt(signal.butter(1, (500, 4000), "bandpass", fs=rate, output="sos"), raw)
    whole = low * swell + 0.5 * high * swell**2
    return 0.1 * whole / np.sqrt(np.mean(whole**2))


def helicopter(seconds: float, rate: int, rng: np.random.Generator) -> Wave:
    """Return rotor blades at 13 slaps a second over the hum of a turbine."""
    samples = round(seconds * rate)
    time = np.arange(samples) / rate
    beat = (0.5 + 0.5 * np.cos(2 * np.pi * 13 * time)) ** 6
    raw = rng.standard_normal(samples)
    slap = signal.sosfilt(signal.butter(2, (40, 600), "bandpass", fs=rate, output="sos"), raw)
    wash = signal.sosfilt(signal.butter(1, (300, 2500), "bandpass", fs=rate, output="sos"), raw)
    whole = slap * (0.1 + beat) + 0.15 * wash * (0.5 + beat)
    return 0.15 * whole / np.sqrt(np.mean(whole**2))


def scene(rate: int = 16000, seconds: float = 5.0, seed: int = 0) -> Scene:
    """Return the demo scene: a baby cries while a helicopter passes.

    Parameters
    ----------
    rate : int
        Sampling rate in Hz.
    seconds : float
    seed : int
    """
    rng = np.random.default_rng(seed)
    parts = {
        "crying_baby": crying_baby(seconds, rate, rng),
        "helicopter": 0.5 * helicopter(seconds, rate, rng),
    }
    mixture = np.sum(list(parts.values()), axis=0)
    return Scene(
        Audio(mixture.astype(np.float32), rate, "demo scene"),
        {name: Audio(wave.astype(np.float32), rate, name) for name, wave in parts.items()},
    )


def _voice(pitch: Wave, rate: int, formants: tuple[tuple[float, float], ...]) -> Wave:
    """Return harmonics of a moving pitch, each as loud as the nearest formant lets it be."""
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    wave = np.zeros(len(pitch))
    for harmonic in range(1, int(0.48 * rate / pitch.min()) + 1):
        frequency = harmonic * pitch
        level = np.sum([1 / (1 + ((frequency - f) / w) ** 2) for f, w in formants], axis=0)
        audible = frequency < 0.48 * rate
        wave += (0.15 + level) / harmonic**0.7 * np.sin(harmonic * phase) * audible
    return wave / np.abs(wave).max()


def _fades(samples: int, rate: int, seconds: float) -> Wave:
    ramp = np.minimum(1.0, (np.arange(samples) + 0.5) / max(1.0, seconds * rate))
    return np.sin(0.5 * np.pi * np.minimum(ramp, ramp[::-1])) ** 2
