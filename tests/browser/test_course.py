"""The score over time on the desk: drawn in the window of the picture, and played where clicked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.audio import write_audio
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.report.folder import ReportFolder
from earwitness.types import Audio
from tests.browser.desk import open_clip, state, toy_page

pytestmark = pytest.mark.browser
RATE = 8000


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a sound of 2 s with four frame scores, explained from 0.5 to 1 s."""
    root = tmp_path_factory.mktemp("framed")
    outputs = np.array([[0.1, 0.9, 0.2, 0.4], [0.5, 0.5, 0.5, 0.5]], np.float32)
    model = wrap(
        lambda waves: np.stack([outputs.T] * len(waves)), sample_rate=RATE, labels=["dog", "cat"],
        output="probabilities", task="multi-label", per_frame=True,
    )  # fmt: skip
    samples = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE)
    write_audio(root / "x.wav", Audio(samples.astype(np.float32), RATE))
    folder = ReportFolder(root / "r", overwrite=False)
    folder.prepare()
    folder.add(
        explain(model, root / "x.wav", "energy", target="dog", span=(0.5, 1.0), trust="none")
    )
    return folder.finish(model)


def test_a_click_plays_from_there_also_when_zoomed(framed: Path, view: Any) -> None:
    page = view(framed)
    page.wait_for_function("() => earwitness.state().method")
    strip = page.locator("[data-part=course]")
    assert strip.is_visible()
    said = (
        "Score of dog over time: highest 90 % at 0.50\u20131.00 s, lowest 10 % at 0.00\u20130.50 s."
    )
    assert strip.locator("p").inner_text().startswith(said)
    assert strip.locator("svg").get_attribute("aria-label") == said
    path = "() => document.querySelector('.course path.evidence').getAttribute('d')"
    # y is 48 at 0 and 2 at 1 in a picture of 1000 by 50
    assert page.evaluate(path).startswith("M0.00 43.40L250.00 43.40L250.00 6.60L500.00 6.60")
    rect = strip.locator("rect")
    assert (rect.get_attribute("x"), rect.get_attribute("width")) == ("250", "250")
    box = strip.locator("svg").bounding_box()
    strip.locator("svg").click(position={"x": 0.75 * box["width"], "y": 10})
    assert 1.49 < state(page)["position"] <= 2.0  # it plays to the end of the sound
    page.wait_for_function("() => !earwitness.state().playing")  # a playing sound moves the window
    page.locator("[data-zoom=in]").click()
    window = state(page)["view"]
    assert window["t1"] - window["t0"] == pytest.approx(1.0)
    shown = page.evaluate(path)
    assert shown.startswith(f"M{1000 * (0 - window['t0']):.2f} 43.40")


def test_a_model_with_one_output_has_none(tmp_path: Path, view: Any) -> None:
    page = view(toy_page(tmp_path, ["low.wav"], ["energy"]))
    open_clip(page, 0) if state(page)["clip"] is None else None
    page.wait_for_function("() => earwitness.state().method")
    assert not page.locator("[data-part=course]").is_visible()
