"""A mask that is painted on the desk, and what the command makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from earwitness.pipeline import explain
from tests.browser.desk import state, wait_open
from tests.toys import spectral

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("base", ["nothing", "everything"])
def test_the_command_keeps_what_was_heard_of_a_painted_mask(
    single: Path, view: Any, tmp_path: Path, base: str
) -> None:
    page = view(single)
    wait_open(page, 0)
    page.locator("summary", has_text="Brush").click()
    page.select_option("[name=base]", base)
    if base == "everything":
        page.locator(".modes button", has_text="Erase").click()
    for name, value in {"t0": 0.2, "t1": 0.6, "f0": 1200, "f1": 2100}.items():
        page.fill(f"[name={name}]", str(value))
    page.locator(".apply").click()
    for kind, name in (("mask", "mask.json"), ("wav", "heard.wav")):
        with page.expect_download() as saved:
            page.locator(f"[data-save={kind}]").click()
        saved.value.save_as(tmp_path / name)
    keep = f"file:{tmp_path / 'mask.json'}"
    found = explain(spectral(), single.parent.parent / "low.wav", "energy", target="low", keep=keep)
    heard, rate = soundfile.read(tmp_path / "heard.wav")
    assert rate == found.input.rate
    error = heard - found.evidence.samples
    level = 10 * np.log10(np.square(error).sum() / np.square(found.input.samples).sum())
    assert level <= -55  # the page holds the input in 16 bits
    np.testing.assert_allclose(found.mask.area, state(page)["kept"]["area"], rtol=1e-6)
    # the tone at 1500 Hz is painted for 0.4 of 1.5 s
    share = found.mask.energy if base == "nothing" else 1 - found.mask.energy
    np.testing.assert_allclose(share, 0.4 / 1.5, atol=0.05)
