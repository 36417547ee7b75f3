"""The page in a browser, and what must hold of it without one."""

from __future__ import annotations

import base64
import html
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earwitness.audio import write_audio
from earwitness.pipeline import explain
from earwitness.report.folder import ReportFolder
from earwitness.report.sections import _ticks
from earwitness.types import Audio
from tests.toys import RATE, REGIONS, additive, spectral

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


def test_the_policy_of_the_page_allows_its_own_script_only(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    (script,) = re.findall("<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    (policy,) = re.findall('Content-Security-Policy" content="([^"]*)"', text)
    assert f"script-src 'sha256-{digest}'" in html.unescape(policy)
    assert "default-src 'none'" in html.unescape(policy)
    assert text.index("Content-Security-Policy") < text.index("<script")


def test_sub_folders_and_equal_names_have_folders_of_their_own(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "r", overwrite=False)
    rec = Path("rec")
    names = [
        folder.place_of(str(clip), below).relative_to(folder.root).as_posix()
        for clip, below in (
            (rec / "north" / "dawn.wav", rec),
            (rec / "south" / "dawn.wav", rec),
            (rec / "north.wav", rec),  # would lie around the first
            (rec / "south" / "dawn" / "wind.wav", rec),  # would lie in the second
            (Path("other") / "north" / "DAWN.wav", Path("other")),
            (rec / "dusk.wav", None),
            (rec / "dusk.flac", None),
            (rec / "dusk.ogg", None),
            (rec / "index.html.wav", rec),
        )
    ]
    assert names == [
        *("north/dawn", "south/dawn", "rec/north", "rec/south/dawn/wind", "other/north/DAWN"),
        *("dusk", "rec/dusk", "dusk-2", "rec/index.html"),
    ]
    assert folder.place_of("rec/south/dawn.wav") == folder.root / "south" / "dawn"


def test_headings_name_the_sub_folder(tmp_path: Path) -> None:
    model = spectral()
    folder = ReportFolder(tmp_path / "r", overwrite=False)
    folder.prepare()
    wave = 0.1 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    for name in ("north", "south"):
        path = tmp_path / "rec" / name / "dawn.wav"
        path.parent.mkdir(parents=True)
        write_audio(path, Audio(wave, RATE))
        folder.place_of(str(path), tmp_path / "rec")
        folder.add(explain(model, path, "energy", trust="none", start=0.1))
    text = folder.finish(model).read_text()
    assert re.findall(r"<h2 [^>]*>([^<]*)</h2>", text) == ["north/dawn.wav", "south/dawn.wav"]
    assert len(set(re.findall(r'<section id="([^"]*)"', text))) == 2
    assert text.count("0.40 s from 0.10 s of the file on") == 2


def test_notes_stand_with_the_explanation_that_they_are_of(tmp_path: Path) -> None:
    model = spectral()
    write_audio(tmp_path / "one.wav", Audio(np.full(24000, 0.1, np.float32), RATE))
    folder = ReportFolder(tmp_path / "r", overwrite=False)
    folder.prepare()
    for method, own in (("energy", "of the first"), ("random", "of the second")):
        found = explain(model, tmp_path / "one.wav", method, target="high")
        folder.add(replace(found, notes=("of both", own)))
    text = folder.finish(model).read_text()
    heads, first, second = re.split("<article", text[text.index("<section") :])[:3]
    shown = [re.findall(r"Note: (of [a-z ]+)\.", part) for part in (heads, first, second)]
    assert shown == [["of both"], ["of the first"], ["of the second"]]


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


@pytest.fixture(scope="module")
def pieces_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pieces")
    model = additive(torch.rand(129, 189, generator=torch.Generator().manual_seed(0)))
    folder = ReportFolder(root / "r", overwrite=False)
    folder.prepare()
    # tones, which the players' compression keeps well
    time = np.arange(24000) / RATE
    samples = sum(0.1 * np.sin(2 * np.pi * hz * time) for hz in (440, 1500, 6000))
    write_audio(root / "one.wav", Audio(samples.astype(np.float32), RATE))
    for method in ("input-x-gradient", "occlusion"):
        options = {} if method != "occlusion" else {"segments": 6, "bands": 4}
        folder.add(explain(model, root / "one.wav", method, **options))
    return folder.finish(model)


def test_pieces_are_listed_with_weight_and_interval(pieces_page: Path) -> None:
    text = pieces_page.read_text()
    assert text.count('<fieldset class="pieces">') == 1
    assert text.count('type="checkbox"') == 13
    assert "everything else (12 pieces)" in text
    assert "The estimate is deterministic" in text
    assert len(text) < 1_500_000


@pytest.mark.browser
def test_pieces_are_mixed_as_they_are_switched(pieces_page: Path, browser: Any) -> None:
    view = browser.new_page(viewport={"width": 1200, "height": 900})
    said: list[str] = []
    view.on("console", lambda message: said.append(message.text))
    view.on("pageerror", lambda error: said.append(str(error)))
    # an analyser node measures the level, as the browser of the tests has no loudspeaker
    view.add_init_script(
        """
        const Real = AudioContext;
        window.AudioContext = class extends Real {
            constructor() { super(); window.analyser = this.createAnalyser();
                            window.analyser.fftSize = 16384;
                            window.analyser.connect(super.destination); }
            get destination() { return window.analyser ?? super.destination; }
        };
        window.level = () => {
            const wave = new Float32Array(analyser.fftSize);
            analyser.getFloatTimeDomainData(wave);
            return Math.sqrt(wave.reduce((sum, one) => sum + one * one, 0) / wave.length);
        };
        """
    )
    view.goto(pieces_page.as_uri())
    box = view.locator(".pieces")
    button = box.locator(".mix")
    button.focus()
    view.keyboard.press("Enter")
    view.wait_for_selector(".mix[aria-pressed=true]")
    view.wait_for_timeout(1000)
    loud = view.evaluate("level()")
    first = box.locator("input").first
    first.focus()
    view.keyboard.press("Space")
    assert box.locator("[role=status]").inner_text() == "12 of 13 on"
    view.wait_for_selector(".mix[aria-pressed=false]")  # it ends
    box.locator(".none").click()
    assert box.locator("[role=status]").inner_text() == "0 of 13 on"
    button.click()
    view.wait_for_selector(".mix[aria-pressed=true]")
    view.wait_for_timeout(1000)
    assert view.evaluate("level()") < 1e-3 * loud
    assert loud > 0.01
    view.evaluate("document.querySelector('.pieces audio').play()")  # one sound at a time
    view.wait_for_selector(".mix[aria-pressed=false]")
    unnamed = """[...document.querySelectorAll("audio, input")].filter(
        one => !(one.ariaLabel || one.labels?.length)).length"""
    assert view.evaluate(unnamed) == 0
    assert said == []
    view.close()


@pytest.mark.browser
def test_all_pieces_together_are_the_input(pieces_page: Path, browser: Any) -> None:
    view = browser.new_page()
    view.goto(pieces_page.as_uri())
    error = view.evaluate(
        """async () => {
            const context = new OfflineAudioContext(1, 24000, 16000);
            const decode = audio => context.decodeAudioData(
                Uint8Array.from(atob(audio.src.split(",")[1]), c => c.charCodeAt(0)).buffer);
            const parts = await Promise.all(
                [...document.querySelectorAll(".pieces audio")].map(decode));
            const whole = await decode(document.querySelector("article .players audio"));
            const sum = new Float32Array(whole.length);
            parts.forEach(part => part.getChannelData(0).forEach((v, k) => { sum[k] += v; }));
            let rest = 0, all = 0;
            whole.getChannelData(0).forEach((v, k) => { rest += (sum[k] - v) ** 2; all += v * v; });
            return 10 * Math.log10(rest / all);
        }"""
    )
    assert error < -20  # thirteen lossy copies against one
    view.close()
