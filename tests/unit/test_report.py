"""The page in a browser, and what must hold of it without one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.audio import write_audio
from earwitness.pipeline import explain
from earwitness.report.folder import ReportFolder
from earwitness.report.page import _ticks
from earwitness.types import Audio
from tests.toys import RATE, REGIONS, spectral

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    model = spectral()
    folder = ReportFolder(root / "r", overwrite=False)
    folder.prepare()
    for name in ("one <b>&'", "two"):
        samples = 0.1 * np.random.default_rng(0).standard_normal(24000).astype(np.float32)
        write_audio(root / f"{name}.wav", Audio(samples, RATE))
        for method in ("input-x-gradient", "all-ones"):
            folder.add(explain(model, root / f"{name}.wav", method, target="high"))
    return folder.finish(model)


def test_the_page_is_one_file_without_a_network(page: Path) -> None:
    text = page.read_text()
    for address in re.findall(r'(?:src|href)="([^"]+)"|url\(([^)]+)\)', text):
        found = address[0] or address[1]
        inside = found.startswith(("data:", "#")) or (page.parent / unquote(found)).is_file()
        assert inside, found[:80]
    assert "http://" not in text
    assert "https://" not in text
    assert "<b>&'" not in text


def unquote(text: str) -> str:
    from html import unescape
    from urllib.parse import unquote

    return unquote(unescape(text))


def test_axes_are_true() -> None:
    centres = np.arange(126) * 0.016  # 0 to 2 s
    ticks = {tick["text"]: tick["at"] for tick in _ticks(centres, "s")}
    assert list(ticks) == ["0 s", "0.5 s", "1 s", "1.5 s", "2 s"]
    np.testing.assert_allclose(ticks["1 s"], 100 * (1 + 0.008) / (2.0 + 0.016), atol=1e-6)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 380])
def test_it_loads_plays_and_fits(page: Path, browser: Any, width: int) -> None:
    view = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    view.on("console", lambda message: said.append(message.text))
    view.on("pageerror", lambda error: said.append(str(error)))
    view.on("request", lambda request: asked.append(request.url[:60]))
    view.goto(page.as_uri())
    played = view.evaluate(
        """async () => {
            const sounds = [...document.querySelectorAll("article audio")];
            await sounds[0].play();
            await sounds[1].play();
            const lent = document.querySelectorAll("article")[1].querySelector("audio");
            await new Promise(done => setTimeout(done, 600));
            return {
                lent: lent.src === sounds[0].src,
                first: sounds[0].paused, at: sounds[1].currentTime, length: sounds[1].duration,
                cursor: getComputedStyle(document.querySelector(".cursor")).display,
                wide: document.documentElement.scrollWidth, window: innerWidth,
                unnamed: [...document.querySelectorAll("audio, input, [role=img]")].filter(
                    one => !(one.ariaLabel || one.labels?.length)).length,
            };
        }"""
    )
    assert said == []
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
    assert played["lent"]
    assert played["first"]  # one sound at a time
    assert played["at"] > 0.1
    np.testing.assert_allclose(played["length"], 1.5, atol=0.1)
    assert played["cursor"] == "block"
    assert played["wide"] <= played["window"]
    assert played["unnamed"] == 0
    view.close()


@pytest.mark.browser
def test_the_overlay_lies_where_the_region_is(page: Path, browser: Any) -> None:
    view = browser.new_page(viewport={"width": 1200, "height": 900})
    view.goto(page.as_uri())
    at = view.evaluate(
        """async () => {
            const image = document.querySelector(".picture img");
            await image.decode();
            const canvas = document.createElement("canvas");
            canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
            const pen = canvas.getContext("2d");
            pen.drawImage(image, 0, 0);
            const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
            let x = 0, y = 0, all = 0;
            for (let i = 0; i < data.length / 4; i++) {
                const weight = data[4 * i + 3] > 128 ? 1 : 0;
                x += weight * (i % canvas.width); y += weight * Math.floor(i / canvas.width);
                all += weight;
            }
            return [x / all / canvas.width, 1 - y / all / canvas.height];
        }"""
    )
    start, end, low, high = REGIONS[0]
    np.testing.assert_allclose(at[0], (start + end) / 2 / 1.52, atol=0.02)
    np.testing.assert_allclose(at[1], (low + high) / 2 / 8000, atol=0.02)
    view.close()


@pytest.mark.browser
def test_it_is_worked_by_keyboard(page: Path, browser: Any) -> None:
    view = browser.new_page(viewport={"width": 1200, "height": 900})
    view.goto(page.as_uri())
    view.keyboard.press("Tab")
    assert view.evaluate("document.activeElement.className") == "skip"
    view.locator("input[type=range]").first.focus()
    before = view.evaluate("getComputedStyle(document.querySelector('.picture img')).opacity")
    view.keyboard.press("Home")
    after = view.evaluate("getComputedStyle(document.querySelector('.picture img')).opacity")
    assert (float(before), float(after)) == (0.8, 0.0)
    view.close()
