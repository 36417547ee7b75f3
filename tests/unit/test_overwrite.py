"""Earlier results are replaced when there are new ones, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest

from earwitness.files import SetAside
from earwitness.report.folder import ReportFolder
from tests.command import explain, run
from tests.pages import names


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


IMPOSSIBLE = {
    "versus itself": ("--target", "low", "--versus", "low"),
    "down": ("--direction", "down"),
    "span": ("--span", "0", "0.1"),
    "start": ("--start", "99"),
    "layer": ("--method", "gradcam", "--set", "gradcam.layer=nope"),
}


@pytest.mark.parametrize("kind", IMPOSSIBLE)
@pytest.mark.parametrize("assets", [(), ("--assets", "data")])
def test_what_cannot_be_explained_replaces_nothing(
    place: Path, capsys: pytest.CaptureFixture[str], kind: str, assets: tuple[str, ...]
) -> None:
    assert explain(capsys, "b.wav", "clips/a.wav", "-o", "r", *assets)[0] == 0
    before = contents(place / "r")
    words = ["explain", "b.wav", "-o", "r", "--model", "python:model.py:make", "--overwrite"]
    method = () if kind == "layer" else ("--method", "energy")
    code, _, err = run(capsys, *words, *method, *IMPOSSIBLE[kind])
    assert (code, err.count("earwitness: ")) == (2, 1)
    assert contents(place / "r") == before


def test_a_comparison_that_fails_replaces_nothing(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--model", "python:model.py:quality", "-o", "r")
    assert run(capsys, "compare", "b.wav", "clips/a.wav", *words)[0] == 0
    before = contents(place / "r")
    (place / "bad.wav").write_text("no sound")
    assert run(capsys, "compare", "b.wav", "bad.wav", *words, "--overwrite")[0] == 2
    assert contents(place / "r") == before


def test_results_of_which_some_are_replaced_are_replaced_whole(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(capsys, "b.wav", "clips/a.wav", "-o", "r")[0] == 0
    (place / "bad.wav").write_text("no sound")
    assert explain(capsys, "bad.wav", "b.wav", "-o", "r", "--overwrite")[0] == 1
    assert names(place / "r" / "index.html") == ["b.wav"]
    assert sorted(path.name for path in (place / "r").iterdir()) == [
        "b", "index.html", "report.json"
    ]  # fmt: skip


@pytest.mark.parametrize("recorded", [True, False])
def test_what_a_killed_run_set_aside_comes_back(
    place: Path, capsys: pytest.CaptureFixture[str], recorded: bool
) -> None:
    assert explain(capsys, "b.wav", "-o", "r")[0] == 0
    before = contents(place / "r")
    ReportFolder(place / "r", overwrite=True).prepare()  # and killed
    if not recorded:
        (place / "r" / "report.json").unlink()
    assert set(contents(place / "r")) != set(before)
    assert explain(capsys, "b.wav", "-o", "r")[0] == 0
    assert contents(place / "r") == before


def test_a_killed_run_that_made_something_is_gone_on_with(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(capsys, "b.wav", "-o", "r")[0] == 0
    assert explain(capsys, "clips/a.wav", "-o", "n")[0] == 0
    aside = SetAside(place / "r")
    for path in sorted((place / "r").rglob("*")):
        if path.is_file():
            aside.take(path)
    for name, content in contents(place / "n").items():
        (place / "r" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "r" / name).write_bytes(content)
    (place / "r" / "index.html").unlink()
    assert explain(capsys, "clips/a.wav", "-o", "r")[0] == 0
    assert names(place / "r" / "index.html") == ["a.wav"]
    assert not aside


def test_files_come_back_to_where_they_were(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("x")
    (tmp_path / "y").write_text("old")
    aside = SetAside(tmp_path)
    assert not aside
    for path in (tmp_path / "a" / "x", tmp_path / "y", tmp_path / "none"):
        aside.take(path)
    (tmp_path / "y").write_text("new")
    assert aside
    aside.restore()
    assert not aside
    assert contents(tmp_path) == {"a/x": b"x", "y": b"old"}
