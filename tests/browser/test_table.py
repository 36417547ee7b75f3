"""The table of sounds: order, search, filter, stepping, and a page of three hundred."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from earwitness.report.sections import environment, row_tag
from tests.browser.desk import NAMES, open_clip, state, wait_open

pytestmark = pytest.mark.browser
SHOWN = "rows => rows.filter(row => row.checkVisibility()).map(row => Number(row.dataset.clip))"


def order(page: Any) -> list[int]:
    """Return the sounds in the order shown."""
    return page.locator("tr.sound").evaluate_all(SHOWN)


def test_a_click_on_a_heading_sorts_and_the_next_one_turns(many: Path, view: Any) -> None:
    page = view(many)
    heading = page.locator("th button", has_text="Sound")
    heading.click()
    assert [NAMES[k] for k in order(page)] == sorted(
        NAMES, key=lambda name: (name[0].isalpha(), name)
    )
    assert page.locator("th", has_text="Sound").first.get_attribute("aria-sort") == "ascending"
    heading.click()
    assert [NAMES[k] for k in order(page)][-1] == NAMES[2]
    page.locator("th button", has_text="Score").click()
    shares = page.locator("td.number").evaluate_all(
        "cells => cells.map(c => Number(c.dataset.sort))"
    )
    assert shares == sorted(shares)


def test_verdicts_are_sorted_by_grade_the_weakest_first(many: Path, view: Any) -> None:
    grades = ["strong", "weak", "none", "moderate", "degenerate", None]
    score = {"kind": "probability", "value": 0.5}
    rows = []
    for number, grade in enumerate(grades):
        one = {"method": "lime", "target": "a", "score": score}
        one["verdict"] = grade and {"grade": grade}
        decision = {"label": "a", **score}
        clip = {"name": f"{number}.wav", "decision": decision, "explanations": [one]}
        cells = environment().get_template("row.html").render(clip=clip, thumb="data:,")
        rows.append(row_tag(str(number), grade or "ungraded", "1", number) + cells + "</tr>")
    text = many.read_text(encoding="utf-8")
    path = many.parent / "grades.html"
    body = re.compile(r"<tbody>.*?</tbody>", re.S)
    path.write_text(body.sub(f"<tbody>{''.join(rows)}</tbody>", text, count=1), encoding="utf-8")
    page = view(path)
    page.locator("th button", has_text="Verdict").click()
    wanted = [None, "degenerate", "none", "weak", "moderate", "strong"]
    assert [grades[k] for k in order(page)] == wanted


def test_sounds_are_searched_and_filtered(many: Path, view: Any) -> None:
    page = view(many)
    page.fill("#search", "again")
    assert order(page) == [3]
    assert page.locator("#count").inner_text() == "1 of 4 sounds"
    page.fill("#search", "")
    grades = page.locator("[data-grades]").evaluate_all("all => all.map(c => c.dataset.grades)")
    some = grades[0].split()[0]
    page.select_option("#filter", some)
    assert order(page) == [k for k, found in enumerate(grades) if some in found.split()]


def test_a_sound_that_cannot_be_shown_stays_last_and_is_stepped_over(many: Path, view: Any) -> None:
    text = many.read_text(encoding="utf-8")
    lost = '<tr class="missing" id="clip-lost"><td colspan="99">lost.wav: damaged</td></tr>\n'
    path = many.parent / "lost.html"
    path.write_text(text.replace("<tbody>", f"<tbody>{lost}", 1), encoding="utf-8")
    page = view(path)
    for heading in ("Score", "Sound"):
        page.locator("th button", has_text=heading).click()
        rows = page.locator("tbody tr[id^=clip-]")
        assert rows.evaluate_all("all => all.map(row => row.className)") == [
            "sound", "sound", "sound", "sound", "missing",
        ]  # fmt: skip
    *_, third, last = order(page)
    for step, clip in (("k", last), ("k", third), ("j", last), ("j", last)):
        page.keyboard.press(step)
        wait_open(page, clip)
    assert page.locator("tr[aria-current]").get_attribute("data-clip") == str(last)


def test_j_and_k_step_through_the_order_shown(many: Path, view: Any) -> None:
    page = view(many)
    page.locator("th button", has_text="Sound").click()
    first, second, *_ = order(page)
    page.keyboard.press("j")
    wait_open(page, first)
    page.keyboard.press("j")
    wait_open(page, second)
    page.keyboard.press("k")
    wait_open(page, first)
    assert page.locator("tr[aria-current]").get_attribute("data-clip") == str(first)
    page.locator("#search").focus()
    page.keyboard.type("j2 l")  # a letter in a text field is a letter
    page.wait_for_timeout(100)
    now = state(page)
    assert (now["clip"], now["source"], now["loop"]) == (first, "input", None)
    assert page.input_value("#search") == "j2 l"


def test_a_closed_sound_leaves_the_focus_on_its_row(many: Path, view: Any) -> None:
    page = view(many)
    open_clip(page, 1)
    wait_open(page, 1)
    page.locator("[data-part=close]").click()
    assert state(page)["clip"] is None
    assert page.evaluate("document.activeElement.closest('tr').dataset.clip") == "1"


def test_an_address_names_a_sound(many: Path, view: Any) -> None:
    page = view(many)
    anchor = page.locator("tr.sound").nth(2).get_attribute("id")
    page.evaluate("location.hash = '#%'")  # none, and no URL-encoded text either
    page.evaluate("anchor => { location.hash = anchor; }", anchor)
    wait_open(page, 2)
    page.reload()
    wait_open(page, 2)


def crowd(many: Path, count: int) -> Path:
    """Return a page with `count` sounds, copies of those of a page, beside it."""
    text = many.read_text(encoding="utf-8")
    rows = re.findall(r'<tr class="sound".*?</tr>\n', text, re.S)
    data = re.findall(r'<script type="application/json" class="clip".*?</script>\n', text, re.S)

    def copies(parts: list[str]) -> str:
        made = []
        for k in range(count):
            part = re.sub(r'data-clip="\d+"', f'data-clip="{k}"', parts[k % len(parts)], count=1)
            made.append(re.sub(r'id="clip-[^"]*"', f'id="clip-{k}"', part))
        return "".join(made)

    text = text.replace("".join(rows), copies(rows)).replace("".join(data), copies(data))
    page = many.parent / f"crowd-{count}.html"
    page.write_text(text, encoding="utf-8")
    return page


def test_sixteen_sounds_take_few_screens(many: Path, view: Any) -> None:
    page = view(crowd(many, 16))
    assert page.locator("tr.sound").count() == 16
    assert page.evaluate("document.documentElement.scrollHeight") <= 4 * 900


def test_three_hundred_sounds_open_sort_and_step(many: Path, view: Any) -> None:
    page = view(crowd(many, 300))
    opened = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert opened < 6000  # ms; likewise
    took = page.evaluate(
        """async () => {
            const start = performance.now();
            document.querySelectorAll("th button")[1].click();
            document.body.offsetHeight;
            const sorted = performance.now() - start;
            document.querySelectorAll("tr.sound button.open")[299].click();
            while (!earwitness.state().method) await new Promise(done => setTimeout(done, 5));
            return [sorted, performance.now() - start - sorted];
        }"""
    )
    assert took[0] < 1500
    assert took[1] < 3000  # 0.3 s on a quiet machine (scripts/desk_speed.py); tests share cores
    for _ in range(3):
        page.keyboard.press("k")
        page.wait_for_timeout(100)
    assert page.locator("tr[aria-current]").count() == 1
