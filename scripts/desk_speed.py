"""Measure how fast the page of a report opens in Chromium, and what memory its tab takes.

``python scripts/desk_speed.py REPORT/index.html [--opened 12]`` prints, in the same browser, the
first paint of an empty page and of the report, the time to open sounds one after another by the
keyboard's ``j`` until picture and sounds are ready, the time to sort the table, and the memory of
the tab's process at the end (Linux).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"
OPEN = """async () => {
  const before = earwitness.state().clip, began = performance.now();
  document.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
  for (;;) {
    await new Promise(requestAnimationFrame);
    const { clip, name } = earwitness.state();
    const said = [...document.querySelectorAll("[role=status]")].map(one => one.textContent);
    if (clip !== before && said.includes(`${name} is open`)) return performance.now() - began;
    if (performance.now() - began > 20000) throw new Error("a sound did not open in 20 s");
  }
}"""
SORT = """async () => {
  const button = document.querySelectorAll("#sounds th button")[1], began = performance.now();
  button.click();
  await new Promise(requestAnimationFrame);
  document.body.getBoundingClientRect();
  return performance.now() - began;
}"""


def first_paint(browser: Browser, uri: str) -> tuple[Page, float]:
    """Open a page and return it with the time of its first contentful paint in ms."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(uri)
    page.wait_for_function(PAINT)
    return page, float(page.evaluate(PAINT))


def memory(browser: Browser) -> float:
    """Return the resident memory of the largest tab in MB."""
    session = browser.new_browser_cdp_session()
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    tabs = [one["id"] for one in found if one["type"] == "renderer"]
    sizes = [Path(f"/proc/{number}/statm").read_text().split()[1] for number in tabs]
    return max(map(int, sizes)) * 4096 / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--opened", type=int, default=12)
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        blank = Path(folder) / "blank.html"
        blank.write_text("<!doctype html><title>empty</title><p>empty</p>", encoding="utf-8")
        first_paint(browser, blank.as_uri())[0].close()  # the browser warms up
        empty, nothing = first_paint(browser, blank.as_uri())
        empty.close()
        page, paint = first_paint(browser, given.page.resolve().as_uri())
        loaded = page.evaluate(LOADED)
        print(f"first paint {paint:.0f} ms (empty page {nothing:.0f} ms), loaded {loaded:.0f} ms")
        sort = page.evaluate(SORT)
        print(f"sorted in {sort:.0f} ms")
        times = [float(page.evaluate(OPEN)) for _ in range(given.opened)]
        print(
            f"a sound opens in {statistics.median(times):.0f} ms (median of {len(times)}; "
            f"{min(times):.0f} to {max(times):.0f} ms)"
        )
        print(f"memory of the tab {memory(browser):.0f} MB")
        browser.close()


if __name__ == "__main__":
    main()
