"""The desk: opening, listening, seeking, looping, the dial and the brush, as a user works it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.explanation import Explanation
from earwitness.pipeline import explain
from tests.browser.desk import NAMES, SECONDS, open_clip, state, wait_open
from tests.toys import RATE, spectral

pytestmark = pytest.mark.browser


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag on the picture, between fractions of its plot."""
    box = page.locator("[data-part=picture]").bounding_box()
    left, width, height = box["x"] + 52, box["width"] - 118, box["height"] - 34
    points = [(left + x * width, box["y"] + 8 + y * height) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=4)
    page.mouse.up()


def payloads(path: Path) -> list[dict[str, Any]]:
    """Return the data of the sounds in a page."""
    texts = re.findall(r'class="clip" data-clip="\d+">(.*?)</script>', path.read_text(), re.S)
    return [json.loads(text) for text in texts]


def test_keys_alone_open_play_switch_loop_and_set_the_dial(many: Path, view: Any) -> None:
    page = view(many)
    for _ in range(3):  # the third sound
        page.keyboard.press("j")
        page.wait_for_timeout(50)
    wait_open(page, 2)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    np.testing.assert_allclose(state(page)["position"], 0.2, atol=1e-9)
    page.keyboard.press("Space")
    page.wait_for_function("() => earwitness.state().playing && earwitness.state().position > 0.25")
    before = state(page)
    page.keyboard.press("2")
    after = state(page)
    assert (before["source"], after["source"], after["playing"]) == ("input", "evidence", True)
    assert before["position"] <= after["position"] < before["position"] + 0.5
    page.keyboard.press("l")
    looped = state(page)["loop"]
    np.testing.assert_allclose(looped[1] - looped[0], 0.5, atol=1e-9)
    page.wait_for_timeout(700)  # longer than the loop
    inside = state(page)
    assert inside["playing"]
    assert looped[0] - 0.03 <= inside["position"] <= looped[1] + 0.03
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "keep":
            break
    page.keyboard.press("Home")
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    assert (state(page)["keep"], state(page)["playing"]) == (10, True)
    assert state(page)["source"] == "evidence"
    assert page.locator("#keep").get_attribute("aria-valuetext").startswith("10 %, area ")
    page.keyboard.press("Space")  # a range takes no space: it pauses
    page.wait_for_function("() => !earwitness.state().playing")


def test_space_on_a_button_presses_the_button(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    page.locator("[data-part=loop]").focus()
    page.keyboard.press("Space")
    np.testing.assert_allclose(state(page)["loop"], [0, 0.5], atol=1e-9)
    page.wait_for_timeout(200)
    assert not state(page)["playing"]


def test_keys_pressed_while_the_sound_is_made_are_not_lost(many: Path, view: Any) -> None:
    page = view(many)
    page.evaluate(
        """() => {
            const press = key => document.body.dispatchEvent(
                new KeyboardEvent("keydown", { key, bubbles: true }));
            const wait = () => {
                if (!earwitness.state().method) { setTimeout(wait, 0); return; }
                press("ArrowRight"); press("2"); press("l"); press(" ");
            };
            press("j");
            wait();
        }"""
    )
    page.wait_for_function("() => earwitness.state().playing && earwitness.state().position > 0.2")
    now = state(page)
    np.testing.assert_allclose(now["loop"], [0.1, 0.6], atol=1e-9)
    assert (now["source"], now["clip"]) == ("evidence", 0)


def test_the_answer_says_what_was_decided_and_what_was_asked(many: Path, view: Any) -> None:
    page = view(many)
    open_clip(page, 0)
    assert page.locator("[data-part=says]").inner_text().startswith("The model says low, ")
    open_clip(page, 1)
    wait_open(page, 1)
    clip = payloads(many)[1]
    asked = clip["explanations"][0]["score"]["value"]
    said = page.locator("[data-part=says]").inner_text()
    assert said.startswith("The model says high, ")
    found = re.search(r"You asked about low: ([\d.]+|under 0\.1) %\.", said)
    assert found is not None
    if not found[1].startswith("under"):
        np.testing.assert_allclose(float(found[1]), 100 * asked, atol=0.51)
    assert page.locator(".bars .decided .label").inner_text() == "high"
    assert page.locator(".bars .asked .label").inner_text().startswith("low")


def test_a_page_of_one_sound_opens_it_at_once(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    assert page.locator("#desk h2").inner_text() == "low.wav"
    assert not page.locator("#list").is_visible()


def test_hostile_names_stay_text(many: Path, view: Any) -> None:
    page = view(many)
    open_clip(page, 2)
    wait_open(page, 2)
    assert page.locator("#desk h2").inner_text() == NAMES[2]
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(many: Path, view: Any, width: int) -> None:
    page = view(many, width)
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= width
    open_clip(page, 0)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert page.evaluate(wide) <= width


def test_the_read_out_under_the_pointer_is_that_of_the_explanation(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    page.select_option("[data-part=axis]", "linear")
    box = page.locator("[data-part=picture]").bounding_box()
    seconds, hertz = 1.1, 1500.0
    x = box["x"] + 52 + (box["width"] - 118) * seconds / SECONDS
    y = box["y"] + 8 + (box["height"] - 34) * (1 - hertz / (RATE / 2))
    page.mouse.move(x, y)
    text = page.locator("[data-part=readout]").inner_text().replace("\u2212", "-")
    saved = Explanation.load(single.parent / "low" / "input-x-gradient")
    at, there, level, attribution, gain = text.split(" · ")
    np.testing.assert_allclose(float(at.split()[0]), seconds, atol=SECONDS / 500)
    np.testing.assert_allclose(float(there.split()[0]), hertz, atol=RATE / 2 / 250)
    cell = (
        np.abs(saved.attribution.freqs - hertz).argmin(),
        np.abs(saved.attribution.times - seconds).argmin(),
    )
    exact = 20 * np.log10(saved.magnitude[cell] / saved.magnitude.max())
    np.testing.assert_allclose(float(level.split()[0]), exact, atol=0.1)
    # eight bits: codes of positive values lie a percent of the sum apart
    np.testing.assert_allclose(
        float(attribution.split()[1]), saved.attribution.values[cell], rtol=0.3
    )
    assert gain == ("kept" if saved.mask.gains[cell] else "removed")


def test_a_click_seeks_and_a_drag_loops(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    drag(page, (0.5, 0.5), (0.5, 0.5))
    np.testing.assert_allclose(state(page)["position"], 0.75, atol=0.005)
    drag(page, (0.2, 0.5), (0.6, 0.5))
    np.testing.assert_allclose(state(page)["loop"], [0.3, 0.9], atol=0.005)
    drag(page, (0.1, 0.5), (0.1, 0.5))
    assert state(page)["loop"] is None


def test_zoom_keeps_the_playhead_in_sight_and_arrows_take_a_tenth(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    page.evaluate("earwitness.seek(1.2)")
    page.keyboard.press("+")
    shown = state(page)["view"]
    np.testing.assert_allclose(shown["t1"] - shown["t0"], SECONDS / 2, atol=1e-9)
    assert shown["t0"] <= 1.2 <= shown["t1"]
    page.keyboard.press("ArrowLeft")
    np.testing.assert_allclose(state(page)["position"], 1.2 - SECONDS / 20, atol=1e-9)
    page.keyboard.press("0")
    assert state(page)["view"]["t0"] == 0


def test_the_dial_shows_the_size_of_the_command_s_mask(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    sound = single.parent.parent / "low.wav"
    for percent in (20, 70):
        page.locator("#keep").fill(str(percent))
        options = {"target": "low", "keep": f"{percent}%", "trust": "none"}
        mask = explain(spectral(), sound, "input-x-gradient", **options).mask
        kept = state(page)["kept"]
        np.testing.assert_allclose(kept["area"], mask.area, rtol=1e-6)
        np.testing.assert_allclose(kept["energy"], mask.energy, rtol=1e-3)  # 16 bits
    page.locator(".own").click()
    assert state(page)["keep"] is None


def test_views_show_what_they_are_named_after(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    page.select_option("[data-part=axis]", "linear")
    page.locator("[data-part=outline]").uncheck()
    box = page.locator("[data-part=picture]").bounding_box()

    def colour(seconds: float, hertz: float) -> list[int]:
        x = 52 + (box["width"] - 118) * seconds / SECONDS
        y = 8 + (box["height"] - 34) * (1 - hertz / (RATE / 2))
        code = """async ([x, y]) => {
            await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
            const pen = new OffscreenCanvas(1, 1).getContext("2d");
            const canvas = document.querySelector("[data-part=picture] canvas");
            pen.drawImage(canvas, -Math.round(x), -Math.round(y));
            return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
        }"""
        return page.evaluate(code, [x, y])

    kept, removed, white = (1.12, 1500.0), (0.2, 400.0), [255, 255, 255]  # white: below the range
    shown = {}
    for name in ("Input", "Evidence", "Remainder", "Attribution"):
        page.locator("[data-part=views] button", has_text=name).click()
        shown[name] = colour(*kept), colour(*removed)
    assert shown["Input"][0] != white
    assert shown["Input"][1] != white
    assert (shown["Evidence"], shown["Remainder"]) == (
        (shown["Input"][0], white),
        (white, shown["Input"][1]),
    )
    red, _, blue = shown["Attribution"][0]
    assert red > blue  # orange
    assert min(shown["Attribution"][1]) > 250  # about 0


def test_paint_is_heard_undone_and_saved_as_a_mask(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    page.locator("summary", has_text="Brush").click()
    page.select_option("[name=base]", "nothing")
    for name, value in {"t0": 0.2, "t1": 0.6, "f0": 1000, "f1": 2000}.items():
        page.fill(f"[name={name}]", str(value))
    page.locator(".apply").click()
    plane = payloads(single)[0]["plane"]
    times = np.arange(plane["frames"]) * plane["hop"] / RATE
    freqs = np.arange(plane["bins"]) * RATE / plane["n_fft"]
    inside = ((freqs >= 1000) & (freqs <= 2000))[:, None] & ((times >= 0.2) & (times <= 0.6))
    assert state(page)["kept"]["kind"] == "brush"
    edge = (inside.sum(0).max() + inside.sum(1).max()) / inside.size  # cells at the edges
    np.testing.assert_allclose(state(page)["kept"]["area"], inside.mean(), atol=edge)
    with page.expect_download() as saved:
        page.locator("[data-save=mask]").click()
    mask = json.loads(Path(saved.value.path()).read_text())
    np.testing.assert_allclose(
        sum(mask["runs"][1::2]) / inside.size, state(page)["kept"]["area"], atol=1e-9
    )
    page.locator(".undo").click()
    assert state(page)["kept"]["kind"] == "own"


def test_a_box_is_painted_with_the_pointer(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    page.locator("summary", has_text="Brush").click()
    page.select_option("[name=base]", "nothing")
    page.locator(".tools button", has_text="Time").click()
    page.locator("[data-part=picture]").scroll_into_view_if_needed()
    drag(page, (0.25, 0.5), (0.5, 0.6))
    np.testing.assert_allclose(state(page)["kept"]["area"], 0.25, atol=0.02)
    assert state(page)["loop"] is None


def test_pieces_are_switched_on_the_picture(many: Path, view: Any) -> None:
    page = view(many)
    open_clip(page, 0)
    page.locator("[data-part=multiples] button", has_text="occlusion").click()
    page.wait_for_function("() => earwitness.state().method === 'occlusion'")
    page.locator("summary", has_text="Pieces").click()
    switches = page.locator(".piece-list button")
    assert switches.count() == 13  # the twelve strongest of 24, and the others together
    page.select_option("[data-part=axis]", "linear")
    page.locator("[data-part=picture]").scroll_into_view_if_needed()
    drag(page, (0.72, 0.7), (0.72, 0.7))
    assert page.locator(".piece-state").inner_text() == "23 of 24 on"
    saved = Explanation.load(many.parent / "low" / "occlusion")
    at = np.abs(saved.attribution.freqs - 0.3 * RATE / 2).argmin()
    when = np.abs(saved.attribution.times - 0.72 * SECONDS).argmin()
    share = (saved.piece_map == saved.piece_map[at, when]).mean()
    assert 0.01 < share < 0.1
    np.testing.assert_allclose(state(page)["kept"]["area"], 1 - share, atol=1e-6)
    assert state(page)["position"] == 0
    page.locator(".all-off").click()
    assert state(page)["kept"]["area"] == 0


def test_a_card_of_its_own_holds_one_sound_and_works(many: Path, view: Any, tmp_path: Path) -> None:
    page = view(many)
    open_clip(page, 2)
    wait_open(page, 2)
    page.locator("summary", has_text="save it").click()
    with page.expect_download() as saved:
        page.locator("[data-do=card]").click()
    card = tmp_path / "card.html"
    saved.value.save_as(card)
    (clip,) = payloads(card)
    assert clip["name"] == NAMES[2]
    assert clip["original"] is None
    own = view(card)
    wait_open(own, 0)
    assert own.locator("#desk h2").inner_text() == NAMES[2]
    assert own.locator("tr.sound").count() == 1
    assert own.locator("header .soft").first.inner_text().startswith("1 sound explained")
    assert "folder" not in own.locator("footer").inner_text()
    sums = "earwitness.evidence({clip: %d}).then(x => x.reduce((sum, v) => sum + v * v, 0))"
    np.testing.assert_allclose(own.evaluate(sums % 0), page.evaluate(sums % 2), rtol=1e-6)


def test_the_verdict_says_that_it_is_not_of_the_mask_that_was_chosen(
    single: Path, view: Any
) -> None:
    page = view(single)
    wait_open(page, 0)
    words = page.locator("[data-part=verdict] .verdict-of")
    assert words.is_hidden()
    page.locator("#keep").press("Home")
    assert words.is_visible()
    assert words.inner_text().strip() == "of the method's own mask, not of what is kept now"
    page.locator(".own").click()
    assert words.is_hidden()


def test_the_small_maps_follow_the_axis_of_the_picture(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    rows = """() => {
        const canvas = document.querySelector(".small canvas"), { width, height } = canvas;
        const copy = new OffscreenCanvas(width, height).getContext("2d");
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, width, height);
        const dark = [...Array(height).keys()].map(y => {
            const row = data.subarray(4 * width * y, 4 * width * (y + 1));
            return row.reduce((sum, value, k) => sum + (k % 4 < 3 ? 255 - value : 0), 0);
        });
        return (dark.indexOf(Math.max(...dark)) + 0.5) / height;
    }"""
    # the tone of 1500 Hz is the strongest row, counted from above
    for axis in ("linear", "mel"):
        page.select_option("[data-part=axis]", axis)
        page.wait_for_timeout(300)
        mel = [np.log10(1 + hertz / 700) for hertz in (1500, RATE / 2)]
        height = 1500 / (RATE / 2) if axis == "linear" else mel[0] / mel[1]
        np.testing.assert_allclose(page.evaluate(rows), 1 - height, atol=0.04)


def test_a_copied_command_is_told_to_the_eye(single: Path, view: Any) -> None:
    from playwright.sync_api import expect

    page = view(single)
    wait_open(page, 0)
    page.evaluate("document.querySelector('[data-fold=save]').open = true")
    page.evaluate("document.querySelector('.command').hidden = false")  # toys have no command
    page.locator("[data-do=copy]").click()
    told = page.locator("[data-part=copied]")
    expect(told).to_have_text(re.compile(r"^(copied|selected: copy it with Ctrl\+C)$"))
    assert told.is_visible()


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_picture_is_saved(single: Path, view: Any, kind: str, start: bytes) -> None:
    page = view(single)
    wait_open(page, 0)
    page.locator("summary", has_text="save it").click()
    with page.expect_download() as saved:
        page.locator(f"[data-do={kind}]").click()
    assert Path(saved.value.path()).read_bytes().startswith(start)
