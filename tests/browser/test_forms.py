"""Other forms of the page: without sound, data beside it, ultrasound, pieces that overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earwitness.audio import write_audio
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.report.folder import ReportFolder
from earwitness.report.page import Form
from earwitness.types import Audio
from tests.browser.desk import open_clip, state, toy_page, wait_open

pytestmark = pytest.mark.browser
BATS = 250_000  # Hz


def test_a_page_without_sound_shows_maps_and_offers_no_player(tmp_path: Path, view: Any) -> None:
    path = toy_page(tmp_path, ("a.wav", "b.wav"), ("input-x-gradient",), Form(audio=False))
    page = view(path)
    assert page.locator("button.play:visible").count() == 0
    open_clip(page, 1)
    assert page.locator("[data-part=sources] button:visible").count() == 0
    assert not page.locator("[data-save=wav]").is_visible()
    first = page.locator("[data-part=picture]").screenshot()
    page.locator("#keep").fill("5")
    assert state(page)["keep"] == 5
    page.wait_for_timeout(100)
    assert page.locator("[data-part=picture]").screenshot() != first
    for key in (" ", "2", "l"):
        page.keyboard.press(key)
    assert (state(page)["playing"], state(page)["loop"], state(page)["source"]) == (
        False,
        None,
        "input",
    )
    page.locator("#desk h2").focus()  # on the dial, arrows turn it
    page.keyboard.press("ArrowRight")
    assert "0.100 s · " in page.locator("[data-part=readout]").inner_text()
    page.keyboard.press("k")
    wait_open(page, 0)


def test_data_beside_the_page_are_read_when_a_sound_is_opened(tmp_path: Path, view: Any) -> None:
    path = toy_page(tmp_path, ("a.wav", "b.wav"), ("input-x-gradient",), Form(assets="data"))
    page = view(path)
    read: list[str] = []
    page.on("request", lambda request: read.append(request.url))
    assert page.locator("script.clip").count() == 0
    open_clip(page, 1)
    wait_open(page, 1)
    (script,) = [url for url in read if url.endswith(".js")]
    assert "/data/" in script
    page.keyboard.press("k")
    wait_open(page, 0)
    assert page.locator("#desk h2").inner_text() == "a.wav"


def test_data_that_are_missing_get_a_line(tmp_path: Path, browser: Any) -> None:
    path = toy_page(tmp_path, ("a.wav", "b.wav"), ("input-x-gradient",), Form(assets="data"))
    page = browser.new_page()
    page.goto(path.as_uri())
    for script in (path.parent / "data").iterdir():
        script.unlink()
    page.locator("button.open").first.click()
    line = page.locator("#desk [role=alert]")
    line.wait_for()
    assert line.inner_text().startswith("This sound cannot be shown: data/")
    page.locator("#desk button").click()
    assert page.locator("#list").is_visible()
    page.close()


class Above(nn.Module):
    """The level above and below 20 kHz."""

    def forward(self, waves: Tensor) -> Tensor:
        power = torch.fft.rfft(waves).abs().square()
        first = round(40000 * power.shape[1] / BATS)
        parts = power[:, first:], power[:, :first]
        return torch.stack([part.mean(dim=1).add(1e-9).log() for part in parts], dim=1)


def test_ultrasound_is_slowed_down_or_heterodyned(tmp_path: Path, view: Any) -> None:
    time = np.arange(BATS // 5) / BATS
    call = 0.2 * np.sin(2 * np.pi * 45000 * time) * (np.abs(time - 0.1) < 0.03)
    noise = 1e-4 * np.random.default_rng(0).standard_normal(len(time))
    write_audio(tmp_path / "bat.wav", Audio((call + noise).astype(np.float32), BATS))
    model = wrap(Above(), sample_rate=BATS, labels=["bat", "none"])
    folder = ReportFolder(tmp_path / "r", overwrite=False)
    folder.prepare()
    folder.add(explain(model, tmp_path / "bat.wav", "input-x-gradient"))
    page = view(folder.finish(model))
    wait_open(page, 0)
    choices = page.locator("[data-part=ultrasound] option").all_inner_texts()
    assert choices[:2] == ["10 times slower", "heterodyne at 20 kHz"]
    assert choices[-1] == "heterodyne at 120 kHz"
    assert state(page)["view"]["axis"] == "linear"
    page.keyboard.press(" ")
    page.wait_for_timeout(700)
    slow = state(page)
    assert slow["playing"]
    assert 0.02 < slow["position"] < 0.15  # of its own time: ten times slower
    page.select_option("[data-part=ultrasound]", "45000")
    page.wait_for_function("() => !earwitness.state().playing")  # at its own speed it ends


def test_pieces_that_overlap_are_mixed_as_sounds(tmp_path: Path, view: Any) -> None:
    options = {"pieces": "nmf", "components": 3, "samples": 16}
    path = toy_page(tmp_path, ("a.wav",), ("lime",), options=options)
    page = view(path)
    wait_open(page, 0)
    page.locator("summary", has_text="Pieces").click()
    switches = page.locator(".piece-list button")
    assert switches.count() == 4  # and what they do not explain
    switches.first.click()
    assert page.locator(".piece-state").inner_text() == "3 of 4 on"
    assert state(page)["kept"]["kind"] == "pieces"
    page.keyboard.press("2")
    page.keyboard.press(" ")
    if not state(page)["playing"]:  # the focus was on a button
        page.locator("[data-part=play]").click()
    page.wait_for_function("() => earwitness.state().playing")
    page.locator("summary", has_text="Brush").click()
    page.locator("[data-save=mask]").click()
    assert "no mask" in page.locator("#live").inner_text()
