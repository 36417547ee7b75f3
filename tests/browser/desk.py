"""Pages of toy sounds, and what tests do on the desk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.audio import write_audio
from earwitness.pipeline import explain
from earwitness.report.folder import ReportFolder
from earwitness.report.page import Form
from earwitness.types import Audio
from tests.toys import RATE, REGIONS, spectral

REGION = REGIONS[1]  # what the toy decides on: seconds and Hz
NAMES = ("low.wav", "high.wav", "<img src=x onerror=alert(1)>&'\".wav", "again.wav")
SECONDS = 1.5


def toy_page(
    root: Path,
    names: Sequence[str],
    methods: Sequence[str],
    form: Form | None = None,
    options: dict[str, Any] | None = None,
) -> Path:
    """Explain tones that the toy model decides on, and return the page."""
    model = spectral()
    folder = ReportFolder(root / "r", overwrite=False, form=form)
    folder.prepare()
    time = np.arange(int(SECONDS * RATE)) / RATE
    for number, name in enumerate(names):
        hertz = 1500 if number % 2 == 0 else 6000
        tone = 0.2 * np.sin(2 * np.pi * hertz * time) + 0.05 * np.sin(2 * np.pi * 400 * time)
        noise = 0.01 * np.random.default_rng(number).standard_normal(len(time))
        write_audio(root / name, Audio((tone + noise).astype(np.float32), RATE))
        for method in methods:
            own = {"segments": 6, "bands": 4} if method == "occlusion" else options or {}
            folder.add(explain(model, root / name, method, target="low", **own))
    return folder.finish(model)


def open_clip(page: Any, number: int) -> None:
    """Open a sound by the button of its row, and wait for its picture."""
    page.locator("tr.sound").nth(number).locator("button.open").click()
    wait_open(page, number)


def wait_open(page: Any, number: int) -> None:
    """Wait until a sound is on the desk."""
    page.wait_for_function(
        "n => earwitness.state().clip === n && earwitness.state().method", arg=number
    )


def state(page: Any) -> dict[str, Any]:
    return page.evaluate("earwitness.state()")
