"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness.types import Audio

ROOT = Path(__file__).parent.parent


def data_folder() -> Path | None:
    """Return the folder of real recordings, if there is one."""
    named = os.environ.get("EARWITNESS_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = data_folder()
    if folder is None:
        pytest.skip("no real recordings here: set EARWITNESS_DATA to their folder")
    return folder


@pytest.fixture
def white() -> Audio:
    """1.5 s of white noise at 16 kHz: energy in every cell."""
    samples = 0.1 * np.random.default_rng(7).standard_normal(24000)
    return Audio(samples.astype(np.float32), 16000, "white")


@pytest.fixture(autouse=True)
def _one_seed() -> None:
    torch.manual_seed(1234)
