"""How many bits the page keeps of a sound, so that faint evidence is right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from earwitness.plane.stft import Plane
from earwitness.report.packing import POSITIVE, bits_for

PLANE = Plane(16000, 512, 128)
SAMPLES = 16000


def call_in_wind(level_db: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A loud tone of 200 Hz with a faint one of 5 kHz, and gains of the cells of the latter."""
    time = np.arange(SAMPLES) / PLANE.rate
    faint = 10 ** (level_db / 20) * np.sin(2 * np.pi * 5000 * time)
    gains = np.zeros((PLANE.bins, PLANE.frames(SAMPLES)), np.float32)
    gains[140:181] = 1  # 4.4 to 5.6 kHz
    return (0.5 * np.sin(2 * np.pi * 200 * time) + 0.5 * faint).astype(np.float32), gains


def evidence(sound: NDArray[np.floating], gains: NDArray[np.float32]) -> NDArray[np.float64]:
    wave = torch.from_numpy(np.asarray(sound, np.float64))[None]
    spectrum = torch.from_numpy(gains).double() * PLANE.analyse(wave)
    return PLANE.synthesise(spectrum, SAMPLES)[0].numpy()


@pytest.mark.parametrize(("level", "wanted"), [(-10.0, 16), (-50.0, 17), (-70.0, 20)])
@pytest.mark.parametrize("way", ["own", "dial"])
def test_faint_evidence_is_kept_to_sixty_decibels(level: float, wanted: int, way: str) -> None:
    sound, gains = call_in_wind(level)
    exact = evidence(sound, gains)
    magnitude = PLANE.analyse(torch.from_numpy(sound)[None])[0].abs().numpy()
    parts = [(gains, exact.astype(np.float32))] if way == "own" else []
    codes = np.where(gains > 0, 7, 0).astype(np.uint8)
    dials = [(codes, [POSITIVE + 1] + 100 * [5])] if way == "dial" else []
    bits = bits_for(sound, parts, dials, magnitude)
    assert bits == wanted

    def error(bits: int) -> float:
        full = 2 ** (bits - 1) - 1
        peak = np.abs(sound).max()
        off = evidence(np.round(sound / peak * full) * peak / full, gains) - exact
        return float(10 * np.log10((off**2).sum() / (exact**2).sum()))

    assert error(bits) < -57
    if bits > 16:
        assert error(bits - 2) > -57  # no bit too many


def test_silence_takes_no_more_bits() -> None:
    sound, gains = call_in_wind(-10)
    nothing = np.zeros_like(sound)
    magnitude = np.zeros_like(gains)
    codes = np.where(gains > 0, 7, 0).astype(np.uint8)
    assert bits_for(sound, [(gains, nothing)], [(codes, 101 * [5])], magnitude) == 16
