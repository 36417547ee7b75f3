"""``earwitness report``: a page written again, and a page of several folders."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import earwitness
from earwitness.types import Attribution, Audio, Mask, Request
from tests.command import explain, run
from tests.pages import clips
from tests.toys import spectral


def written(page: Path) -> str:
    """Return a page without its thumbnails, which are of maps of full precision at first."""
    return re.sub(r'base64,[^"]+"', "", page.read_text())


QUICK = ("--trust", "none", "--no-curve")


def test_a_lost_page_is_written_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain(capsys, "clips", "-o", "r", "--assets", "data", *QUICK)
    page = place / "r" / "index.html"
    before = written(page)
    page.unlink()
    code, out, err = run(capsys, "report", "r")
    assert (code, out.strip(), err) == (0, "r/index.html", "")
    assert written(page) == before
    assert run(capsys, "report", "r")[0] == 0
    assert written(page) == before
    code, out, _ = explain(capsys, "clips", "-o", "r", "--assets", "data", *QUICK)  # goes on
    assert code == 0
    (place / "r" / "a" / "input-x-gradient" / "attribution.npz").write_bytes(b"")
    page.unlink()
    code, _, err = run(capsys, "report", "r")
    assert code == 1
    assert "damaged; it is not on the page" in err
    assert len(clips(page)) == 1


def test_methods_of_a_sound_from_two_folders_are_shown_together(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    explain(capsys, "clips", "-o", "one", *QUICK)
    model = ("--model", "python:model.py:make")
    run(capsys, "explain", "clips/a.wav", "b.wav", "-o", "deep/two", "--method", "energy", *model,
        *QUICK)  # fmt: skip
    words = ("one", "deep/two", "-o", "pages/all.html", "--title", "All")
    code, out, _ = run(capsys, "report", *words)
    assert (code, out.strip()) == (0, "pages/all.html")
    page = place / "pages" / "all.html"
    assert ">All</h1>" in page.read_text()
    found = clips(page)
    methods = [[one["method"] for one in clip["explanations"]] for clip in found]
    assert methods == [["input-x-gradient", "energy"], ["input-x-gradient"], ["energy"]]
    assert len({clip["anchor"] for clip in found}) == 3
    for clip in found:
        for one in clip["explanations"]:
            assert all((page.parent / link).is_file() for link in one["files"].values())
    other = ("--model", "python:model.py:several")
    run(capsys, "explain", "b.wav", "-o", "three", "--method", "energy", *other, *QUICK)
    run(capsys, "report", "deep/two", "three")
    page = place / "earwitness-report.html"
    assert [len(clip["explanations"]) for clip in clips(page)] == [1, 1, 1]  # of two models
    assert "bands: single-label model" in page.read_text()


def test_what_is_no_folder_of_results_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, text in (
        (("clips",), "clips: no explanations in this folder; results are what earwitness explain"),
        (("nowhere",), "nowhere: no such folder"),
        (("b.wav",), "b.wav: no such folder"),
        (("clips", "-o", "page.txt"), "ending .html"),
    ):
        code, out, err = run(capsys, "report", *words)
        assert (code, out) == (2, "")
        assert text in err
        assert len(err.splitlines()) == 1
    (place / "scanned").mkdir()
    (place / "scanned" / "scan.json").write_text(json.dumps({"schema": 1}))
    code, _, err = run(capsys, "report", "scanned")
    assert code == 2
    assert "the page of a scan is written by earwitness scan" in err
    explain(capsys, "b.wav", "-o", "r", *QUICK)
    for change in ({"form": {"mine": "x"}}, {"model": {"name": "x"}}, {"form": {"title": 3}}):
        record = place / "r" / "report.json"
        whole = record.read_text()
        record.write_text(json.dumps({**json.loads(whole), **change}))
        code, _, err = run(capsys, "report", "r")
        assert code == 2
        assert "not a record of earwitness" in err
        record.write_text(whole)
    (place / "r" / "index.html").write_text("mine")
    assert run(capsys, "report", "r")[0] == 2
    assert (place / "r" / "index.html").read_text() == "mine"


def test_every_value_is_one_line_that_helps(white: Audio) -> None:
    found = earwitness.explain(spectral(), white, "saliency", keep="area:10%", trust="none")
    assert repr(white) == "<Audio white: 1.5 s at 16000 Hz>"
    assert repr(spectral()).startswith("<Model RegionNet: single-label, 2 outputs, 16000 Hz>")
    assert repr(found.mask).startswith("<Mask area:10%: 3.97 % of the area, ")
    assert repr(found.attribution).startswith("<Attribution 129 bins to 8000 Hz, 189 frames to ")
    request = Request("lime", {"samples": 5}, target="dog", seed=3)
    assert repr(request) == "<Request lime, samples=5, target='dog', seed=3>"
    assert repr(Request()) == "<Request integrated-gradients>"
    several = earwitness.explain(spectral(), [white, white], "saliency", trust="none")
    assert repr(several) == "<Explanations: 2>"
    for value in (white, found, found.mask, found.attribution, request, several, spectral()):
        assert "\n" not in repr(value)
        assert len(repr(value)) < 300
        assert not isinstance(value, Attribution | Mask) or "array" not in repr(value)
