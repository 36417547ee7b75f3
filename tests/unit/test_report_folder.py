"""The folder of a report in every form: data beside the page, no sounds, former versions."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.errors import OutputError
from earwitness.explanation import Explanation
from earwitness.pipeline import explain
from tests import command
from tests.pages import clips, methods, names, unpack


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_assets_lie_beside_the_page_and_follow_its_form(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, mine = place / "r" / "index.html", place / "r" / "data" / "mine.js"
    assert command.explain(capsys, "clips", "-o", "r")[0] == 0
    inside = clips(page)
    assert command.explain(capsys, "clips", "-o", "r", "--assets", "data")[0] == 0
    assert clips(page) == inside
    assert "application/json" in page.read_text()
    assert 'class="clip"' not in page.read_text()
    mine.write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in (place / "r").rglob("*.*")}
    assert command.explain(capsys, "clips", "-o", "r", "--assets", "data")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert command.explain(capsys, "b.wav", "-o", "r", "--assets", "data")[0] == 0
    assert [one["name"] for one in clips(page)] == ["a.wav", "deep/a.wav", "b.wav"]
    kept = [path for path in before if path.parent.name == "data"]
    assert len(kept) == 3
    assert [path.stat().st_mtime_ns for path in kept] == [before[path] for path in kept]
    assert command.explain(capsys, "b.wav", "-o", "r", "--assets", "other")[0] == 0
    assert [path.name for path in mine.parent.iterdir()] == ["mine.js"]
    assert len(list((place / "r" / "other").iterdir())) == 3
    code, _, err = command.explain(capsys, "b.wav", "-o", "r", "--assets", "B")
    assert (code, "a sound has the folder B" in err) == (2, True)
    assert command.explain(capsys, "b.wav", "-o", "r")[0] == 0
    assert not (place / "r" / "other").exists()
    assert clips(page)[:2] == inside
    assert command.explain(capsys, "b.wav", "-o", "r", "--assets", "data", "--overwrite")[0] == 0
    assert command.explain(capsys, "b.wav", "-o", "r", "--overwrite")[0] == 0
    assert [path.name for path in mine.parent.iterdir()] == ["mine.js"]


def test_an_asset_that_vanished_is_written_again(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("clips", "-o", "r", "--assets", "data", "--trust", "none")
    assert command.explain(capsys, *words)[0] == 0
    before = clips(place / "r" / "index.html")
    for path in (place / "r" / "data").iterdir():
        path.unlink()
    assert command.explain(capsys, *words, "b.wav")[0] == 0
    assert [one["name"] for one in clips(place / "r" / "index.html")][:2] == [
        one["name"] for one in before
    ]


@pytest.mark.parametrize("name", ["", "..", "a/b", "/tmp/x", ".hidden", "a b", "\u00fc", "-x"])
def test_assets_are_a_plain_folder_beside_the_page(
    place: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, out, err = command.explain(capsys, "b.wav", "-o", "r", f"--assets={name}")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "assets" in err
    assert not (place / "r").exists()


def audible(folder: Path) -> list[str]:
    """Return the files of a folder that hold or name sounds."""
    kinds = (b"RIFF", b"fLaC", b"OggS", b"data:audio", b'"flac":"', b"<audio")
    script = re.compile(b"<script>.*?</script>", re.DOTALL)  # it names them
    files = [path for path in folder.rglob("*") if path.is_file()]
    texts = {path: script.sub(b"", path.read_bytes()) for path in files}
    return [str(path) for path, text in texts.items() if any(kind in text for kind in kinds)]


@pytest.mark.parametrize("assets", [(), ("--assets", "data")])
def test_without_audio_no_file_holds_the_recording(
    place: Path, capsys: pytest.CaptureFixture[str], assets: tuple[str, ...]
) -> None:
    words = ("-o", "r", "--no-audio", "--seed", "3", *assets)
    grid = ("--method", "lime", "--set", "samples=20", "--files", "picture,gains")
    code, out, _ = command.explain(capsys, "b.wav", "--json", *grid, *words)
    assert (code, audible(place / "r")) == (0, [])
    for line in out.splitlines():
        assert not {"input", "evidence", "remainder"} & set(json.loads(line)["files"])
    (clip,) = clips(place / "r" / "index.html")
    assert (clip["input"], clip["original"]) == (None, None)
    exact = explain(command_model(place), place / "b.wav", "energy", trust="none")
    np.testing.assert_array_equal(
        unpack(clip["spectrogram"], "uint8"), spectrogram(exact.magnitude)
    )
    with pytest.raises(OutputError, match="made with --no-audio, there are no sounds to load"):
        Explanation.load(place / "r" / "b" / "lime")
    # it is gone on with, and other methods and sounds are added
    again = command.explain(capsys, "b.wav", "--json", *grid, *words)
    assert again[:2] == (0, out)
    added = ("--method", "energy", "--files", "picture,gains")
    assert command.explain(capsys, "clips", "b.wav", *added, *words)[0] == 0
    assert audible(place / "r") == []
    assert methods(place / "r" / "index.html")[0] == ["lime", "input-x-gradient", "energy"]
    assert names(place / "r" / "index.html") == ["b.wav", "a.wav", "deep/a.wav"]
    former, now = clip["explanations"][0], clips(place / "r" / "index.html")[0]["explanations"][0]
    assert now == former
    code, _, err = command.explain(capsys, "b.wav", *grid, "-o", "r", "--seed", "3")
    assert (code, "holds explanations with --no-audio, not sounds" in err) == (2, True)
    code, _, err = command.explain(capsys, "b.wav", *words, "--files", "pieces", "-o", "s")
    assert (code, "--no-audio saves no sound" in err) == (2, True)


def command_model(place: Path) -> Any:
    from earwitness.models.registry import load_model

    return load_model(f"python:{place / 'model.py'}:make")


def spectrogram(magnitude: Any) -> Any:
    level = 20 * np.log10(np.maximum(magnitude / magnitude.max(), 1e-5))
    return np.round(255 * (1 + level / 100))


@pytest.mark.parametrize(
    "words",
    [
        ("--method", "energy"),
        ("--method", "lime", "--set", "samples=20", "--seed", "5", "--trust", "light"),
        ("--method", "pieces", "--set", "pieces=time", "--set", "samples=9", "--curve"),
        ("--method", "smoothgrad", "--target", "low", "--start", "0.1", "--end", "0.4"),
        ("--method", "saliency", "--versus", "low", "--target", "high", "--keep", "area:10%"),
    ],
)
def test_the_line_of_an_explanation_repeats_it(
    place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    (place / "it's $HOME.wav").write_bytes((place / "b.wav").read_bytes())
    own = ("explain", "it's $HOME.wav", "--model", "python:model.py:make")
    assert command.run(capsys, *own, *words, "-o", "r")[0] == 0
    (clip,) = clips(place / "r" / "index.html")
    line = clip["explanations"][0]["command"]
    first, *rest = shlex.split(line)
    assert first == "earwitness"
    assert command.run(capsys, *rest, "-o", "again")[0] == 0
    (folder,) = (path.parent.relative_to("r") for path in Path("r").rglob("explanation.json"))
    one, two = Explanation.load(Path("r") / folder), Explanation.load(Path("again") / folder)
    np.testing.assert_array_equal(one.attribution.values, two.attribution.values)
    np.testing.assert_array_equal(one.mask.gains, two.mask.gains)
    assert one.facts() == {**two.facts(), "seconds": one.seconds}
    assert clips(Path("again/index.html"))[0]["explanations"][0]["command"] == line


def test_sections_of_an_earlier_page_are_rendered_again(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.explain(capsys, "clips", "-o", "r")[0] == 0
    wanted = clips(place / "r" / "index.html")
    text = (place / "r" / "index.html").read_text()
    (place / "r" / "index.html").write_text(re.sub("(?s)<main.*", "", text))
    assert command.explain(capsys, "b.wav", "-o", "r")[0] == 0
    assert clips(place / "r" / "index.html")[:2] == wanted


def former_report(root: Path) -> list[Path]:
    """Write a report as the first version did, and return the files in it that are not its own."""
    own = ["b/energy", "b/lime", "c/energy"]
    for name in own:
        folder = root / name
        folder.mkdir(parents=True)
        for file in ("input.wav", "evidence.wav", "remainder.wav", "explanation.json",
                     "labels.txt", "attribution.npz"):  # fmt: skip
            (folder / file).write_text("ours")
    (root / "b" / "input.wav").write_text("ours")
    (root / "report.json").write_text(json.dumps({"schema": 1, "own": [*own, "mine"]}))
    (root / "index.html").write_text("<!doctype html><title>earwitness: explanations of x</title>")
    mine = [root / "mine" / "labels.txt", root / "c" / "energy" / "notes.txt"]
    mine += [root / "b.wav", root / "c" / "input.txt"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    return mine


def test_a_report_of_the_first_version_is_replaced_and_nothing_else(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = former_report(place / "r")
    code, _, err = command.explain(capsys, "b.wav", "-o", "r")
    assert (code, "written by another version (schema 1" in err) == (2, True)
    assert command.explain(capsys, "b.wav", "-o", "r", "--overwrite")[0] == 0
    assert names(place / "r" / "index.html") == ["b.wav"]
    assert [path.read_text() for path in mine] == ["mine"] * 4
    there = {str(path.relative_to(place / "r")) for path in (place / "r").rglob("*")}
    assert {one for one in there if one.startswith("c")} == {
        "c", "c/energy", "c/energy/notes.txt", "c/input.txt"
    }  # fmt: skip


@pytest.mark.parametrize("own", [["../x"], ["/tmp"], "b/energy", [3], ["b", "link/b"]])
def test_a_tampered_record_of_the_first_version_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], own: Any
) -> None:
    mine = former_report(place / "r")
    shutil.copytree(place / "r" / "b" / "energy", place / "x")
    os.symlink(place, place / "r" / "link")
    (place / "r" / "report.json").write_text(json.dumps({"schema": 1, "own": own}))
    code, _, err = command.explain(capsys, "b.wav", "-o", "r", "--overwrite")
    assert (code, "not a record of earwitness" in err) == (2, True)
    assert [path.read_text() for path in mine] == ["mine"] * 4
    assert len(list((place / "x").iterdir())) == 6
    assert len(list((place / "r").rglob("evidence.wav"))) >= 3


@pytest.mark.parametrize("mode", [(), ("--assets", "data")])
def test_a_sound_killed_between_two_methods_keeps_the_sounds_of_its_pieces(
    place: Path, capsys: pytest.CaptureFixture[str], mode: tuple[str, ...]
) -> None:
    def sounds() -> list[int]:
        parts = [one["explanations"][0]["pieces"] for one in clips(place / "r" / "index.html")]
        return [sum(bool(row["sound"]) for row in part["table"]) for part in parts]

    nmf = (
        "--method",
        "pieces",
        "--set",
        "pieces=nmf",
        "--set",
        "samples=20",
        "--set",
        "components=3",
        "-o",
        "r",
        *mode,
    )
    assert command.explain(capsys, "b.wav", "clips/a.wav", *nmf)[0] == 0
    wanted = sounds()
    assert min(wanted) > 0
    (place / "r" / "index.html").unlink()  # as a kill before the page leaves it
    assert command.explain(capsys, "b.wav", "clips/a.wav", *nmf)[0] == 0
    assert sounds() == wanted
    kept = times(place / "r" / "b")
    assert command.explain(capsys, "clips/deep/a.wav", *nmf)[0] == 0
    assert sounds()[:2] == wanted
    assert len(sounds()) == 3
    assert times(place / "r" / "b") == kept
