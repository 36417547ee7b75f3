"""A small grid on a toy model; run as a program, so that it can be killed: FOLDER."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.benchmark.engine import run_grid
from earwitness.benchmark.grid import Grid, Part, choose
from earwitness.data.clips import Clip, Material
from tests.toys import spectral

SECONDS = 1.5


def make(seed: int, rate: int) -> Material:
    """Noise, and as the truth a burst of noise in the region that class "low" hears."""
    rng = np.random.default_rng(seed)
    samples = round(SECONDS * rate)
    time_axis = np.arange(samples) / rate
    source = np.zeros(samples)
    inside = (time_axis >= 1.0) & (time_axis < 1.25)
    for pitch in range(1000, 2000, 20):
        source += inside * np.sin(2 * np.pi * pitch * time_axis + rng.uniform(0, 2 * np.pi))
    source = (0.05 * source).astype(np.float32)
    return Material(source + (0.05 * rng.standard_normal(samples)).astype(np.float32), source)


def toy_grid(clips: int = 6, **kwargs: Any) -> Grid:
    sounds = tuple(Clip(f"noise {k}", "noise", "low", partial(make, k)) for k in range(clips))
    settings: dict[str, Any] = {
        "methods": (choose("input-x-gradient"), choose("smoothgrad", samples=2)),
        "masks": ("area:5%", "minmax+"),
        "seeds": (0, 1),
        "rank": "si-sdr-source",
    }
    return Grid("toy", (Part("toy", lambda _folder: spectral(), sounds),), **(settings | kwargs))


if __name__ == "__main__":
    run_grid(toy_grid(), Path(sys.argv[1]), on_clip=lambda _name: time.sleep(0.05))
