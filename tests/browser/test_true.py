"""The desk shows what it plays and what the command found, whatever is pressed meanwhile."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.audio import write_audio
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.report.folder import ReportFolder
from earwitness.types import Audio
from tests.browser.desk import open_clip, state, toy_page, wait_open
from tests.pages import clips
from tests.toys import RATE, Magnitude, RegionNet

pytestmark = pytest.mark.browser
LABEL = "\u0645\u0631\u062d\u0628\u0627"  # runs from right to left


@pytest.mark.parametrize("keep", ["energy:50%", "40%,smooth:1.5"])
def test_scores_of_a_mask_that_is_not_on_the_dial_are_those_of_the_trust_card(
    tmp_path: Path, view: Any, keep: str
) -> None:
    path = toy_page(tmp_path, ("low.wav",), ("saliency",), options={"keep": keep, "curve": True})
    (clip,) = clips(path)
    own, *controls = clip["explanations"][0]["trust"]["rows"]
    energy = next(row for row in controls if row["name"] == "energy")
    page = view(path)
    wait_open(page, 0)
    said = page.locator("#sizes").inner_text()
    rows = (own["evidence"], own["remainder"], energy["evidence"])
    percent = [100 * scores["audio"] for scores in rows]
    parts = [
        said.split(word)[1].split(" %")[0].removeprefix("under ")
        for word in ("score there: evidence ", "remainder ", "energy control ")
    ]
    np.testing.assert_allclose([float(part) for part in parts], percent, atol=0.51)
    page.locator("#keep").fill("40")  # the dial's mask has another score
    assert page.locator("#sizes").inner_text() != said


def test_a_new_sound_is_played_at_the_speed_that_is_shown(many: Path, view: Any) -> None:
    page = view(many)
    open_clip(page, 0)
    page.select_option("[data-part=speed]", "0.25")
    open_clip(page, 1)
    wait_open(page, 1)
    assert page.locator("[data-part=speed]").input_value() == "1"
    page.locator("[data-part=play]").click()
    page.wait_for_function("() => earwitness.state().position > 0")
    passed = page.evaluate(
        """() => new Promise(done => {
            const time = performance.now(), { position } = earwitness.state();
            setTimeout(() => done((earwitness.state().position - position)
                / (performance.now() - time) * 1000), 600);
        })"""
    )
    np.testing.assert_allclose(passed, 1.0, atol=0.35)


def test_of_explanations_chosen_in_haste_the_last_is_on_the_desk(many: Path, view: Any) -> None:
    """The first one has pieces to unpack, and the second is there at once."""
    page = view(many)
    open_clip(page, 0)
    page.evaluate(
        """() => {
            const [gradient, pieces] = document.querySelectorAll("[data-part=multiples] button");
            pieces.click();
            gradient.click();
        }"""
    )
    page.wait_for_timeout(500)
    assert state(page)["method"] == "input-x-gradient"
    chosen = page.locator("[data-part=multiples] [aria-checked=true] .method")
    assert chosen.inner_text() == "input-x-gradient"
    assert not page.locator("[data-part=pieces]").is_visible()


def test_another_explanation_begins_without_strokes(many: Path, view: Any) -> None:
    page = view(many)
    open_clip(page, 0)
    page.locator("summary", has_text="Brush").click()
    page.locator(".apply").click()
    assert page.locator(".brush-state").inner_text() == "1 stroke"
    page.locator("[data-part=multiples] button").nth(1).click()
    page.wait_for_function("() => earwitness.state().method === 'occlusion'")
    assert page.locator(".brush-state").inner_text() == "no strokes"
    assert page.locator(".brush .undo").is_disabled()


def test_a_stroke_that_was_erased_is_not_saved_as_a_label(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    page.locator("summary", has_text="Brush").click()
    page.locator("[name=base]").select_option("nothing")
    spans = (("keep", 0.2, 0.4), ("keep", 0.8, 1.0), ("erase", 0.1, 0.5))
    for mode, start, end in spans:
        page.locator(f".modes [data-id={mode}]").click()
        page.locator("[name=t0]").fill(str(start))
        page.locator("[name=t1]").fill(str(end))
        page.locator(".apply").click()
    with page.expect_download() as saved:
        page.locator("[data-save=csv]").click()
    rows = Path(saved.value.path()).read_text().splitlines()[1:]
    times = [[float(one) for one in row.split(",")[:2]] for row in rows]
    np.testing.assert_allclose(times, [[0.8, 1.0]], atol=1e-6)


def test_switching_within_a_short_loop_stays_in_it(single: Path, view: Any) -> None:
    """A voice begins some 20 ms ahead of the clock, which is longer than the loop."""
    page = view(single)
    wait_open(page, 0)
    for _ in range(7):
        page.locator("[data-zoom=in]").click()
    box = page.locator("[data-part=picture]").bounding_box()
    left, width = box["x"] + 52, box["width"] - 118
    page.mouse.move(left + 0.4 * width, box["y"] + 90)
    page.mouse.down()
    page.mouse.move(left + 0.6 * width, box["y"] + 90, steps=3)
    page.mouse.up()
    first, last = state(page)["loop"]
    assert 0.002 < last - first < 0.01  # s
    page.locator("[data-part=play]").click()
    page.wait_for_timeout(200)
    positions = page.evaluate(
        """async () => {
            const found = [];
            for (let k = 0; k < 16; k++) {
                document.querySelector(`[data-id=${k % 2 ? "input" : "evidence"}]`).click();
                found.push(earwitness.state().position);
                await new Promise(done => setTimeout(done, 33));
            }
            return found;
        }"""
    )
    assert min(positions) >= first - 1e-3  # s: the loop is in whole samples
    assert max(positions) <= last + 1e-3


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A page behind the server of the standard library, which sends files only as a whole."""
    path = toy_page(tmp_path, ("low.wav",), ("energy",))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield path, f"http://127.0.0.1:{server.server_port}/r/index.html"
        server.shutdown()


def test_an_original_file_that_cannot_be_sought_is_not_offered(
    served: tuple[Path, str], browser: Any, view: Any
) -> None:
    """It would play from its beginning, whatever the position is."""
    path, address = served
    from_disk = view(path)
    wait_open(from_disk, 0)
    from_disk.wait_for_timeout(300)
    assert from_disk.locator("[data-id=original]").is_visible()
    page = browser.new_page()
    page.goto(address)
    wait_open(page, 0)
    page.locator("[data-id=original]").wait_for(state="hidden")
    page.evaluate("earwitness.seek(0.7)")
    page.keyboard.press("4")
    assert (state(page)["source"], state(page)["position"]) == ("input", 0.7)
    page.close()


def test_a_label_from_right_to_left_leaves_its_score_in_place(tmp_path: Path, view: Any) -> None:
    """Numbers after such a word belong to its run, and would be written on its other side."""
    model = wrap(RegionNet(), sample_rate=RATE, labels=["high", LABEL], features=Magnitude())
    tone = 0.2 * np.sin(2 * np.pi * 1500 * np.arange(RATE) / RATE)
    write_audio(tmp_path / "a.wav", Audio(tone.astype(np.float32), RATE))
    folder = ReportFolder(tmp_path / "r", overwrite=False)
    folder.prepare()
    folder.add(explain(model, tmp_path / "a.wav", "energy", target=LABEL, trust="none"))
    page = view(folder.finish(model))
    wait_open(page, 0)
    word, score = page.evaluate(
        """() => {
            const strong = document.querySelector("[data-part=says] strong");
            const after = document.createRange();
            const text = strong.nextSibling, at = text.data.search(/\\d/);
            after.setStart(text, at); after.setEnd(text, at + 1);
            return [strong, after].map(one => one.getBoundingClientRect().x);
        }"""
    )
    assert score > word


def test_long_labels_do_not_widen_the_small_maps(tmp_path: Path, view: Any) -> None:
    labels = ["high" * 75, "low" * 100]
    model = wrap(RegionNet(), sample_rate=RATE, labels=labels, features=Magnitude())
    tone = 0.2 * np.sin(2 * np.pi * 1500 * np.arange(RATE) / RATE)
    write_audio(tmp_path / "a.wav", Audio(tone.astype(np.float32), RATE))
    folder = ReportFolder(tmp_path / "r", overwrite=False)
    folder.prepare()
    for method, target in (("energy", 0), ("saliency", 1)):
        folder.add(explain(model, tmp_path / "a.wav", method, target=target, trust="none"))
    page = view(folder.finish(model))
    wait_open(page, 0)
    boxes = [one.bounding_box() for one in page.locator("[data-part=multiples] button").all()]
    assert [box["width"] for box in boxes] == [164, 164]  # px
