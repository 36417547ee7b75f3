"""Chromium, and a page that holds the modules of the report's engine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.desk import NAMES, toy_page
from tests.browser.engine import engine_page

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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def engine(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page whose functions can be called with arrays: ``call(engine, "analyse(...)", ...)``."""
    path: Path = tmp_path_factory.mktemp("engine") / "engine.html"
    path.write_text(engine_page(), encoding="utf-8")
    page = browser.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    yield page
    page.close()
    assert said == []


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of four sounds, explained by a gradient and by pieces; one has a hostile name."""
    return toy_page(tmp_path_factory.mktemp("many"), NAMES, ("input-x-gradient", "occlusion"))


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of one sound."""
    return toy_page(tmp_path_factory.mktemp("single"), ("low.wav",), ("input-x-gradient", "energy"))


@pytest.fixture
def view(browser: Any) -> Iterator[Any]:
    """Open a page at a width and in a theme; what it says on the console fails the test."""
    said: list[str] = []
    contexts: list[Any] = []

    def show(path: Path, width: int = 1280, scheme: str = "light") -> Any:
        size = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert said == []
