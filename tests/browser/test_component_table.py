"""The table of components on the desk: figures, plots, hearing one alone, training sounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.audio import read_audio, write_audio
from earwitness.explanation import Explanation
from earwitness.pipeline import explain
from earwitness.report.folder import ReportFolder
from earwitness.report.page import Form
from earwitness.types import Audio
from tests.browser.desk import SECONDS, state, wait_open
from tests.browser.test_access import MOST_STOPS, SCREENS, STOPS, axe
from tests.interpreters import saved
from tests.toys import RATE, spectral

pytestmark = pytest.mark.browser
HOSTILE = "<b>hum</b> & co"


def component_page(root: Path, *, data: bool = True, audio: bool = True) -> Path:
    """Explain noise by components of an interpreter, and return the page."""
    model = spectral()
    interpreter = saved(model, root / "i")
    (root / "training" / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for place in ("clip.wav", "training/a.wav", "training/deep/b.wav"):
        samples = 0.1 * rng.standard_normal(int(SECONDS * RATE))
        write_audio(root / place, Audio(samples.astype(np.float32), RATE))
    (root / "names.csv").write_text(f"component,name\n2,{HOSTILE}\n")
    form = Form(audio=audio, data=str(root / "training") if data else "")
    folder = ReportFolder(root / "r", overwrite=False, form=form)
    folder.prepare()
    options = {"interpreter": str(interpreter), "names": str(root / "names.csv")}
    folder.add(explain(model, root / "clip.wav", "l2i", target="low", **options))
    folder.add(explain(model, root / "clip.wav", "energy", target="low"))
    return folder.finish(model)


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return component_page(tmp_path_factory.mktemp("components"))


def made(page: Path) -> Explanation:
    return Explanation.load(page.parent / "clip" / "l2i")


def figures(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def test_the_table_lists_components_by_relevance_with_its_sign(page_of: Path, view: Any) -> None:
    page = view(page_of)
    wait_open(page, 0)
    found = made(page_of)
    table = found.components
    assert table is not None
    order = sorted(range(4), key=lambda k: -abs(table.relevance[k]))
    assert min(table.relevance) < 0 < max(table.relevance)
    rows = page.locator(".components-table tbody tr")
    rows.first.wait_for()
    heads = page.locator(".components-table thead th").all_inner_texts()
    assert heads == ["component", "relevance", "hear", "spectral pattern", "activation",
                     "strongest in training sounds"]  # fmt: skip
    for row, k in zip(rows.all(), order, strict=True):
        name, number = row.locator("th").inner_text().split("\n")
        assert (name, number) == (table.names[k], f"component {k + 1}")
        text = row.locator("td.weight").inner_text().split("\n")
        way = "against low" if table.relevance[k] < 0 else "for low"
        assert [part.strip() for part in text if part.strip()] == [
            figures(table.relevance[k]), way,
        ]  # fmt: skip
        assert ("negative" in row.locator("td.weight").get_attribute("class")) == (way != "for low")
        spots = row.locator("svg").evaluate_all("some => some.map(one => one.ariaLabel)")
        peak = found.attribution.freqs[table.patterns[k].argmax()]  # type: ignore[index]
        hertz = f"{peak:.0f} Hz" if peak < 1000 else f"{peak / 1000:.3g} kHz"
        time = found.attribution.times[table.activations[k].argmax()]
        assert spots == [f"peak at {hertz}", f"most at {time:.2f} s"]
    assert HOSTILE in rows.nth(order.index(1)).inner_text()


def test_training_sounds_that_were_not_found_are_counted(page_of: Path, view: Any) -> None:
    lost = page_of.parent / "lost.html"
    text = page_of.read_text(encoding="utf-8")
    segments = sum(map(len, made(page_of).components.strongest)) // 2  # type: ignore[union-attr]
    link = '"../training/deep/b.wav"'
    assert (segments, text.count(link)) == (4, 4)
    lost.write_text(text.replace(link, "null"), encoding="utf-8")
    said = "4 segments are of files that were not found in the folder of training sounds"
    for path, expected in ((page_of, False), (lost, True)):
        page = view(path)
        wait_open(page, 0)
        assert (said in page.locator("[data-part=components]").inner_text()) == expected


def test_a_component_is_heard_alone_and_the_evidence_again(page_of: Path, view: Any) -> None:
    page = view(page_of)
    wait_open(page, 0)
    button = page.get_by_role("button", name="Hear component 1")
    button.click()
    page.wait_for_function(
        "() => earwitness.state().playing && earwitness.state().source === 'evidence'"
    )
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator(".components-table [aria-pressed=true]").count() == 1
    assert page.locator(".piece-state").text_content() == "1 of 5 on"
    page.locator("[data-part=brush] summary").click()
    with page.expect_download() as download:
        page.locator("[data-save=wav]").click()
    kept = read_audio(download.value.path()).samples
    model = spectral()
    folder = page_of.parent.parent
    again = explain(model, folder / "clip.wav", "l2i", target="low", trust="none",
                    interpreter=str(folder / "i"))  # fmt: skip
    likeness = {
        sound.name[:11]: np.corrcoef(kept, sound.samples)[0, 1] for sound in again.piece_sounds
    }
    assert likeness.pop("component 1") > 0.95  # pieces are lossy copies, here of noise
    assert max(map(abs, likeness.values())) < 0.3  # the rest has a share of the same cells
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert state(page)["kept"]["kind"] == "own"
    assert page.locator(".piece-state").text_content() == "5 of 5 on"
    button.click()
    page.locator("#keep").fill("30")  # the dial ends it
    assert button.get_attribute("aria-pressed") == "false"


def test_the_component_is_heard_from_the_first_sample_on(page_of: Path, view: Any) -> None:
    """What begins to play is what plays after everything has settled."""
    page = view(page_of)
    wait_open(page, 0)
    page.evaluate(
        """() => {
            window.begun = [];
            const { start } = AudioBufferSourceNode.prototype;
            AudioBufferSourceNode.prototype.start = function (...when) {
                const samples = this.buffer.getChannelData(0);
                window.begun.push(Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0)));
                return start.apply(this, when);
            };
        }"""
    )
    page.get_by_role("button", name="Hear component 1").click()
    page.wait_for_function("() => begun.length")
    first = page.evaluate("begun.splice(0)")
    page.wait_for_timeout(800)
    page.evaluate("begun.splice(0)")
    page.evaluate("earwitness.seek(0.2)")
    page.locator("[data-part=play]").click()  # pauses, or plays again if it has ended
    page.locator("[data-part=play]").click()
    page.wait_for_function("() => begun.length")
    page.wait_for_timeout(200)
    assert set(first) <= set(page.evaluate("begun"))
    assert first


def test_segments_of_training_sounds_play_one_at_a_time(page_of: Path, view: Any) -> None:
    page = view(page_of)
    wait_open(page, 0)
    buttons = page.get_by_role("button", name="Play a.wav, 0.10")
    assert buttons.count() == 1
    row = page.locator(".components-table tbody tr").filter(has=buttons)
    assert row.locator("li").all_inner_texts() == [
        f"\N{BLACK RIGHT-POINTING TRIANGLE} {name}.wav, 0.10\N{EN DASH}1.10 s" for name in "ab"
    ]
    page.locator("[data-part=play]").click()
    page.wait_for_function("() => earwitness.state().playing")
    buttons.click()
    pressed = page.locator(".components-table li [aria-pressed=true]")
    assert pressed.count() == 1
    assert state(page)["playing"] is False
    row.locator("li button").nth(1).click()
    assert pressed.evaluate_all("some => some.map(one => one.ariaLabel.slice(0, 10))") == [
        "Play b.wav"
    ]
    pressed.wait_for(state="detached", timeout=8000)  # it ends after a second
    buttons.click()
    page.locator("[data-part=play]").click()  # the transport ends it
    page.wait_for_function("() => earwitness.state().playing")
    assert pressed.count() == 0


def test_without_the_folder_segments_are_text(tmp_path: Path, view: Any) -> None:
    page = view(component_page(tmp_path, data=False))
    wait_open(page, 0)
    assert page.locator(".components-table li").count() == 8
    assert page.locator(".components-table li button").count() == 0


def test_a_page_without_sound_has_the_table_without_players(tmp_path: Path, view: Any) -> None:
    page = view(component_page(tmp_path, audio=False))
    wait_open(page, 0)
    assert page.locator(".components-table tbody tr").count() == 4
    assert page.locator(".components-table button").count() == 0


def test_other_methods_have_no_table(page_of: Path, view: Any) -> None:
    page = view(page_of)
    wait_open(page, 0)
    page.locator("[data-part=multiples] button").nth(1).click()
    page.wait_for_function("() => earwitness.state().method === 'energy'")
    assert not page.locator("[data-part=components]").is_visible()


def test_the_table_is_one_tab_stop_and_arrow_keys_move_in_it(page_of: Path, view: Any) -> None:
    page = view(page_of)
    wait_open(page, 0)
    page.locator(".components-table").wait_for()
    assert page.locator(".components-table tbody").evaluate(STOPS) == 1
    assert page.locator("#desk").evaluate(STOPS) <= MOST_STOPS
    first = page.locator(".components-table button").first
    first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.ariaLabel").startswith("Play a.wav")
    page.keyboard.press("End")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    assert first.get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_axe_finds_nothing_in_the_table_of_components(
    page_of: Path, view: Any, width: int, scheme: str
) -> None:
    page = view(page_of, width, scheme)
    wait_open(page, 0)
    page.locator(".components-table").wait_for()
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
