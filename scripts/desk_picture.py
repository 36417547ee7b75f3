"""Make the README's picture of the report: ``make picture``.

The demo's report (or the page given as an argument) is opened in Chromium at 1280 pixels, its first
sound is opened, and a third of the attribution is kept on the dial.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from earwitness.cli.scene import explain_scene

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "desk.png"
WIDTH, HEIGHT = 1280, 1000
PERCENT = 30  # of the dial
METHOD = "integrated-gradients"
MOST_BYTES = 300_000


def main(page: str | None = None) -> int:
    """Write the picture and return the exit code."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium on this machine", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        if page is None:
            explain_scene(0, folder + "/demo", overwrite=False)
            page = folder + "/demo/index.html"
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            size = {"width": WIDTH, "height": HEIGHT}
            opened = browser.new_page(viewport=size, color_scheme="light")
            opened.goto(Path(page).resolve().as_uri())
            part = arrange(opened)
            data = compressed(opened.screenshot(full_page=True, clip=part))
            browser.close()
    if len(data) > MOST_BYTES:
        print(f"{len(data)} bytes, more than {MOST_BYTES}", file=sys.stderr)
        return 1
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_bytes(data)
    print(f"{PICTURE}: {len(data) // 1000} kB")
    return 0


def arrange(page: Page) -> dict[str, float]:
    """Open the first sound, choose the method, turn the dial, and return the part to show."""
    button = page.locator("tr.sound").first.locator("button.open")
    if button.is_visible():  # a page of one sound opens it itself
        button.click()
    page.wait_for_function("() => earwitness.state().clip === 0 && earwitness.state().method")
    page.get_by_role("radio", name=METHOD).first.click()
    page.wait_for_function("name => earwitness.state().method === name", arg=METHOD)
    page.locator("#keep").fill(str(PERCENT))
    page.wait_for_function("percent => earwitness.state().keep === percent", arg=PERCENT)
    page.locator("h1, h2").first.click()  # so that nothing has the focus
    page.wait_for_timeout(1000)  # until all pictures are drawn
    places = [page.locator(part).bounding_box() for part in ("header.head", "div.instrument")]
    first, last = (place for place in places if place)
    top = first["y"] + page.evaluate("scrollY") - 8
    bottom = last["y"] + last["height"] + page.evaluate("scrollY") + 8
    return {"x": 0, "y": top, "width": WIDTH, "height": bottom - top}


def compressed(data: bytes) -> bytes:
    """Return a PNG in at most 256 colours."""
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").quantize(256).save(out, "PNG", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:2]))
