"""The timeline of a scan: zoomed, moved, and left for the desk of an event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import earwitness
from tests.browser.desk import state
from tests.browser.test_access import SCREENS, axe

pytestmark = pytest.mark.browser
RATE = 8000
SECONDS = 100.0


class Loud(torch.nn.Module):
    """The mean square in windows of 1 s; loud from 0.1 on."""

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        return torch.stack([waves.square().mean(1) * 60 - 5, waves.mean(1) - 5], 1)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings, loud at 20 s and at 60 s, or at 40 s; the two strongest are explained."""
    root = tmp_path_factory.mktemp("scanned")
    model = earwitness.wrap(
        Loud(), sample_rate=RATE, labels=["<b>loud", "offset"], task="multi-label",
        output="logits", lengths=(1.0, 1.0),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for name, bursts in (("a", ((20, 0.4), (60, 0.5))), ("b", ((40, 0.45),))):
        sound = 0.01 * rng.standard_normal(round(SECONDS * RATE))
        for start, level in bursts:
            sound[start * RATE : (start + 1) * RATE] += level * rng.standard_normal(RATE)
        soundfile.write(root / f"{name}.wav", sound, RATE, subtype="FLOAT")
    found = earwitness.scan(
        model, [root / "a.wav", root / "b.wav"], output=root / "out", top=2, method="energy",
        trust="none",
    )  # fmt: skip
    return found.page


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_axe_finds_nothing_on_the_timeline(
    scanned: Path, view: Any, width: int, scheme: str
) -> None:
    assert axe(view(scanned, width, scheme)) == []


def shown(page: Any) -> str:
    return page.locator("[data-timeline=readout]").inner_text()


def test_the_timeline_zooms_and_moves_within_the_recording(scanned: Path, view: Any) -> None:
    page = view(scanned)
    press = lambda name: page.locator(f"#timeline [data-zoom={name}]").click()  # noqa: E731
    assert shown(page) == "0:00.0 to 1:40.0"
    press("in")
    assert shown(page) == "0:25.0 to 1:15.0"
    press("later")
    assert shown(page) == "0:50.0 to 1:40.0"
    press("later")
    assert shown(page) == "0:50.0 to 1:40.0"
    press("all")
    assert shown(page) == "0:00.0 to 1:40.0"


def test_curves_and_events_are_drawn_where_they_are(scanned: Path, view: Any) -> None:
    page = view(scanned)
    # columns of the picture that have the colour of the first label, in the lane of its events
    read = """() => {
        const canvas = document.querySelector("[data-timeline=canvas]");
        const scale = canvas.width / canvas.clientWidth, y = Math.round(138 * scale), at = [];
        const row = canvas.getContext("2d").getImageData(0, y, canvas.width, 1).data;
        for (let k = 0; k < canvas.width; k++) {
            const [r, g, b] = row.slice(4 * k, 4 * k + 3), pixel = 100 / (canvas.clientWidth - 44);
            if (Math.max(r, g, b) - Math.min(r, g, b) > 60) at.push((k / scale - 44) * pixel);
        }
        return [Math.min(...at), Math.max(...at), at.filter(t => t > 30 && t < 55).length];
    }"""
    first, last, between = page.evaluate(read)
    # windows of 1 s from 19.5, 20 and 20.5 s on, and from 59.5 to 61.5 s; a pixel is 0.1 s
    assert abs(first - 19.5) < 0.2
    assert abs(last - 61.5) < 0.2
    assert between == 0


def test_a_click_on_an_event_opens_its_desk(scanned: Path, view: Any) -> None:
    page = view(scanned)
    canvas = page.locator("[data-timeline=canvas]")
    box = canvas.bounding_box()
    canvas.click(position={"x": 44 + (box["width"] - 44) * 0.605, "y": 138})
    page.wait_for_function("() => earwitness.state().method")
    assert state(page)["name"] == "a.wav 60.00\u201361.00 s"
    assert page.locator("#timeline").is_visible()


def test_the_table_of_events_sorts_and_leads_to_timeline_and_desk(scanned: Path, view: Any) -> None:
    page = view(scanned)
    rows = page.locator("#events tbody tr")
    assert rows.count() == 3
    page.locator("#events thead button", has_text="Score").click()
    page.locator("#events thead button", has_text="Score").click()
    starts = [rows.nth(k).locator("td").first.inner_text() for k in range(3)]
    assert starts == ["0:59.50", "0:39.50", "0:19.50"]
    rows.nth(1).locator("button.show").click()
    assert page.locator("[data-timeline=recording]").input_value() == "1"
    assert shown(page) == "0:19.5 to 1:01.5"  # 20 s before 39.5 and after 41.5 s
    assert rows.nth(2).locator("a").count() == 0  # not among the two strongest
    rows.nth(1).locator("a").click()
    page.wait_for_function("() => earwitness.state().method")
    assert state(page)["name"] == "b.wav 40.00\u201341.00 s"


def test_a_long_table_of_events_scrolls_in_itself(scanned: Path, view: Any) -> None:
    page = view(scanned)
    page.evaluate("""() => {
        const row = document.querySelector("#events a").closest("tr"), body = row.parentNode;
        for (let k = 0; k < 200; k++) body.append(row.cloneNode(true));
    }""")
    height, last = page.evaluate(
        """() => [document.documentElement.scrollHeight,
                  document.querySelector("footer").getBoundingClientRect().bottom + scrollY]"""
    )
    assert height <= max(900, last + 20)  # the window, or the footer with the page's margin


def test_a_label_can_be_hidden(scanned: Path, view: Any) -> None:
    page = view(scanned)
    button = page.locator("[data-timeline=labels] button").first
    assert button.inner_text() == "<b>loud"
    button.click()
    assert (
        page.locator("[data-timeline=labels] button").first.get_attribute("aria-pressed") == "false"
    )
