"""``window.earwitness``, which tests and scripts call."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.audio import read_audio, write_audio
from earwitness.pipeline import explain
from earwitness.report.folder import ReportFolder
from earwitness.report.page import Form
from earwitness.types import Audio
from tests.browser.desk import open_clip
from tests.browser.engine import array, call, decibels
from tests.browser.test_sounds import asked
from tests.toys import RATE, additive, spectral

pytestmark = pytest.mark.browser


def refusal(page: Any, call_text: str) -> str:
    return page.evaluate(f"earwitness.{call_text}.then(() => 'none', error => error.message)")


def test_it_works_before_a_sound_is_opened(many: Path, view: Any) -> None:
    page = view(many)
    assert page.evaluate("earwitness.state().clip") is None
    sounds = {part: asked(page, part, clip=1, method="occlusion") for part in ("evidence",)}
    sounds["default"] = asked(page, "remainder")  # the first sound, the first method
    root = many.parent
    wanted = read_audio(root / "high" / "occlusion" / "evidence.wav").samples
    assert decibels(sounds["evidence"] - wanted, wanted) < -55
    wanted = read_audio(root / "low" / "input-x-gradient" / "remainder.wav").samples
    assert decibels(sounds["default"] - wanted, wanted) < -55
    assert page.evaluate("earwitness.state().clip") is None


def test_the_order_is_that_of_the_file_whatever_the_table_shows(many: Path, view: Any) -> None:
    page = view(many)
    before = asked(page, "evidence", clip=3)
    page.locator("thead button, thead th").first.click()  # sorts
    page.evaluate(
        "() => { const body = document.querySelector('tbody'); body.append(body.rows[0]); }"
    )
    np.testing.assert_array_equal(asked(page, "evidence", clip=3), before)


@pytest.mark.parametrize("keep", [25, "25", "25%", " 25 % "])
def test_a_share_is_written_as_one_likes(many: Path, view: Any, keep: Any) -> None:
    page = view(many)
    wanted = asked(page, "evidence", clip=0, keep=25)
    np.testing.assert_array_equal(asked(page, "evidence", clip=0, keep=keep), wanted)
    own = asked(page, "evidence", clip=0)
    assert decibels(own - wanted, wanted) > -60


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("evidence({clip: 4})", "clip is a whole number from 0 to 3, got 4"),
        ("evidence({clip: -1})", "clip is a whole number from 0 to 3, got -1"),
        ("remainder({clip: 'a'})", "clip is a whole number from 0 to 3, got a"),
        (
            "evidence({method: 'lime'})",
            "the explanations are low by input-x-gradient, low by occlusion; "
            "got any target by lime",
        ),
        (
            "evidence({target: 'high', method: 'occlusion'})",
            "the explanations are low by input-x-gradient, low by occlusion; got high by occlusion",
        ),
        ("evidence({keep: 0})", "keep is a whole percentage from 1 to 100, got 0"),
        ("evidence({keep: '101%'})", "keep is a whole percentage from 1 to 100, got 101%"),
        ("evidence({keep: 2.5})", "keep is a whole percentage from 1 to 100, got 2.5"),
        ("remainder({keep: 'area:5%'})", "keep is a whole percentage from 1 to 100, got area:5%"),
        ("evidence({kept: 5})", "clip, method, target and keep are known, got kept"),
        ("evidence(3)", "evidence and remainder take {clip, method, target, keep}, got 3"),
        ("evidence(null)", "evidence and remainder take {clip, method, target, keep}, got null"),
        ("seek(1)", "no sound is open: click its name in the table"),
        ("seek('a')", "seek takes a number of seconds, got a"),
    ],
)
def test_bad_arguments_are_refused_in_a_line(many: Path, view: Any, text: str, wanted: str) -> None:
    assert refusal(view(many), text) == wanted


def test_seeking_moves_the_open_sound(many: Path, view: Any) -> None:
    page = view(many)
    open_clip(page, 1)
    assert refusal(page, "seek(0.75)") == "none"
    state = page.evaluate("earwitness.state()")
    np.testing.assert_allclose(state["position"], 0.75, rtol=0, atol=1e-9)
    assert state["clip"] == 1


def test_sounds_beside_the_page_are_read_when_asked_for(tmp_path: Path, browser: Any) -> None:
    model = spectral()
    folder = ReportFolder(tmp_path / "r", overwrite=False, form=Form(assets="data"))
    folder.prepare()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        wave = 0.1 * rng.standard_normal(8000).astype(np.float32)
        write_audio(tmp_path / f"{name}.wav", Audio(wave, RATE))
        folder.add(explain(model, tmp_path / f"{name}.wav", "energy", trust="none"))
    path = folder.finish(model)
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("document.querySelectorAll('script.clip').length") == 0
    wanted = read_audio(path.parent / "b" / "energy" / "evidence.wav").samples
    found = asked(page, "evidence", clip=1)
    assert decibels(found - wanted, wanted) < -55
    (source,) = re.findall(r'data-clip="0"[^>]* data-src="([^"]*)"', path.read_text())
    (path.parent / source).unlink()
    said = page.evaluate(
        """Promise.race([
            earwitness.evidence({clip: 0}).then(() => "none", error => error.message),
            new Promise(done => setTimeout(() => done("waited for ever"), 5000)),
        ])"""
    )
    assert said == f"{source} cannot be read; it must lie beside the page"


def test_overlapping_pieces_add_up_to_the_input(engine: Any, browser: Any, tmp_path: Path) -> None:
    """At its level and rate; the pieces are stored as lossy copies, louder, and slower if bats."""
    import torch

    seconds = 1.5
    time = np.arange(int(seconds * RATE)) / RATE
    wave = sum(0.02 * np.sin(2 * np.pi * hz * time) for hz in (440, 1500, 6000))
    write_audio(tmp_path / "a.wav", Audio(wave.astype(np.float32), RATE))
    model = additive(torch.rand(129, 189, generator=torch.Generator().manual_seed(0)))
    found = explain(model, tmp_path / "a.wav", "occlusion", pieces="nmf", trust="none")
    folder = ReportFolder(tmp_path / "r", overwrite=False)
    folder.prepare()
    folder.add(found)
    page = browser.new_page()
    page.goto(folder.finish(model).as_uri())
    pieces = page.evaluate(
        "JSON.parse(document.querySelector('script.clip').textContent).explanations[0].pieces"
    )
    assert pieces["map"] is None
    clip = {"rate": RATE, "expansion": 1}
    sounds = [one["sound"] for one in pieces["table"]] + [pieces["rest"]]
    whole = np.zeros(len(wave), np.float32)
    for uri in filter(None, sounds):
        part = array(
            engine, "decodePiece(uri, clip, scale)", uri=uri, clip=clip, scale=pieces["scale"]
        )
        size = min(len(part), len(whole))
        whole[:size] += part[:size]
    assert decibels(whole - wave, wave) < -20
    slow = call(
        engine, "decodePiece(uri, clip, 1).then(sound => sound.length)",
        uri=next(filter(None, sounds)), clip={"rate": 250000, "expansion": 10},
    )  # fmt: skip
    # what is 1.5 s long at audible speed lasts 0.15 s
    np.testing.assert_allclose(slow, 0.15 * 250000, rtol=0.02)
