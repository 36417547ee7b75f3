"""The desk for everybody: rules of WCAG, tab stops, and what a screen reader is told."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.browser.desk import REGION, open_clip, state, wait_open

pytestmark = pytest.mark.browser
MOST_STOPS = 25  # of the open sound
MOST_OF_A_ROW = 3
SCREENS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
# elements that Tab reaches: Chromium skips what is not shown, and tabindex -1
STOPS = """host => [...host.querySelectorAll(
        "a[href], button, input, select, textarea, summary, [tabindex]")]
    .filter(one => one.tabIndex >= 0 && !one.disabled
        && one.checkVisibility({ visibilityProperty: true })
        && !one.closest("details:not([open]) > :not(summary)")).length"""


def axe(page: Any) -> list[str]:
    """Return what axe finds."""
    module = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = module.Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:120]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_axe_finds_nothing_in_the_table(many: Path, view: Any, width: int, scheme: str) -> None:
    assert axe(view(many, width, scheme)) == []


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_axe_finds_nothing_on_the_desk(many: Path, view: Any, width: int, scheme: str) -> None:
    page = view(many, width, scheme)
    open_clip(page, 2)
    assert axe(page) == []
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert axe(page) == []


def test_tab_stops_are_few(many: Path, view: Any) -> None:
    page = view(many)
    rows = page.locator("tr.sound").evaluate_all(f"rows => rows.map({STOPS})")
    assert max(rows) <= MOST_OF_A_ROW
    open_clip(page, 0)
    page.locator("#desk [role=radio]").nth(1).wait_for()  # both methods
    assert 15 <= page.locator("#desk").evaluate(STOPS) <= MOST_STOPS


def test_tab_goes_through_the_desk_in_the_order_that_is_seen(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    page.locator("#desk h2").focus()
    places = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if not page.evaluate("document.activeElement.closest('#desk') !== null"):
            break
        places.append(page.evaluate(
            "(() => { const r = document.activeElement.getBoundingClientRect();"
            " return [r.top + scrollY, r.bottom + scrollY, r.width, r.height,"
            " getComputedStyle(document.activeElement).outlineStyle]; })()"
        ))  # fmt: skip
    assert 10 <= len(places) < MOST_STOPS
    for before, after in pairwise(places):
        assert after[1] > before[0]  # never back above
    assert all(width >= 18 and height >= 18 for _, _, width, height, _ in places)
    assert {outline for *_, outline in places} == {"solid"}


def test_every_control_has_a_name(many: Path, view: Any) -> None:
    page = view(many)
    open_clip(page, 1)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    unnamed = page.evaluate(
        """[...document.querySelectorAll("#desk :is(button, input, select, [role=slider])")]
            .filter(one => one.checkVisibility() && !(one.ariaLabel || one.labels?.length
                || one.textContent.trim())).map(one => one.outerHTML)"""
    )
    assert unnamed == []


def test_the_screen_reader_is_told_where_the_strongest_region_lies(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    host = page.locator("[data-part=picture]")
    text = page.locator(f"#{host.get_attribute('aria-describedby')}").inner_text()
    assert text.startswith("Spectrogram of low.wav, 0 to 1.50 s, up to 8 kHz. The model says low")
    region = page.locator(".places button").first.inner_text()
    times, hertz = (part.split("\u2013") for part in region.split(" s, "))
    start, end, low, high = REGION
    # the toy hears this region alone; its layer spreads over a frame and a bin on either side
    assert start - 0.05 <= float(times[0]) <= float(times[1]) <= end + 0.05
    assert low <= 1500 <= high
    assert region.split(" s, ")[0] in text
    assert hertz[0] in text


def test_the_state_is_announced(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    page.keyboard.press("2")
    assert page.locator("#live").inner_text() == "Evidence at 0.00 s"
    page.keyboard.press("l")
    assert page.locator("#live").inner_text() == "loop from 0.00 s to 0.50 s"
    page.keyboard.press("Escape")
    assert page.locator("#live").inner_text() == "loop ended"
    assert state(page)["loop"] is None


def test_the_glossary_opens_on_focus_and_closes_on_escape(single: Path, view: Any) -> None:
    page = view(single)
    wait_open(page, 0)
    page.locator("#sizes .term").first.focus()
    tip = page.locator("#tip")
    assert tip.inner_text().startswith("area mean gain of the mask")
    assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "tip"
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_motion_is_reduced_where_asked(single: Path, browser: Any) -> None:
    page = browser.new_page(reduced_motion="reduce")
    page.goto(single.as_uri())
    wait_open(page, 0)
    assert (
        page.locator("[data-part=play]").evaluate("b => getComputedStyle(b).transitionDuration")
        == "0s"
    )
    page.close()
