"""Where sounds are searched: folders, what cannot be decoded, and folders of results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from earwitness.clips import RECORDS, find_clips, find_with_roots, holds_results
from earwitness.data.collection import read_collection
from earwitness.errors import AudioError
from tests.command import explain, run


def test_sounds_that_cannot_be_decoded_are_not_skipped_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.m4a", "b.M4A", "c.webm", "d.amr", "e.gsm", "notes.txt", ".hidden.m4a"):
        (tmp_path / name).touch()
    with pytest.raises(AudioError, match=r"convert 1 \.amr, 1 \.gsm, 2 \.m4a, 1 \.webm first"):
        find_clips([tmp_path])
    (tmp_path / "x.wav").touch()
    assert find_clips([tmp_path]) == [tmp_path / "x.wav"]
    (said,) = caplog.messages
    assert said.startswith(f"{tmp_path}: skipped 1 .amr, 1 .gsm, 2 .m4a, 1 .webm, which cannot")
    for name in ("b.M4A", "c.webm", "d.amr", "e.gsm"):
        (tmp_path / name).unlink()
    find_clips([tmp_path])
    assert "skipped a.m4a, which cannot be decoded" in caplog.messages[1]


def test_folders_are_searched(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    for name in ("b.wav", "a/x.FLAC", "a/deep/y.ogg", "a/notes.txt", ".hidden.wav"):
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in find_clips([tmp_path])]
    assert found == ["a/deep/y.ogg", "a/x.FLAC", "b.wav"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match="no sound files"):
        find_clips([tmp_path / "empty"])


@pytest.mark.parametrize("record", RECORDS)
def test_results_in_a_folder_are_no_recordings(tmp_path: Path, record: str) -> None:
    results = tmp_path / "deep" / "out"
    (results / "a" / "lime").mkdir(parents=True)
    for name in ("b.wav", "deep/c.wav", "deep/out/a/input.wav", "deep/out/a/lime/evidence.wav"):
        (tmp_path / name).touch()
    assert len(find_clips([tmp_path])) == 4
    (results / record).write_text(json.dumps({"name": "of somebody else"}))
    assert not holds_results(results)
    assert len(find_clips([tmp_path])) == 4
    (results / record).write_text(json.dumps({"schema": 2}))
    assert holds_results(results)
    assert find_clips([tmp_path]) == [tmp_path / "b.wav", tmp_path / "deep" / "c.wav"]
    with pytest.raises(AudioError, match="a folder of results of earwitness, in which no sounds"):
        find_clips([results])
    one = results / "a" / "lime" / "evidence.wav"
    assert find_clips([one]) == [one]


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000, "\xff"])
def test_files_that_are_no_records_mark_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text, encoding="latin-1")
    assert not holds_results(tmp_path)


def test_each_sound_comes_with_the_folder_that_was_searched(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    for name in ("a/deep/x.wav", "b.wav"):
        (tmp_path / name).touch()
    said: list[str] = []
    places = [tmp_path / "a", tmp_path / "b.wav", tmp_path / "none.wav", tmp_path / "a/deep"]
    found = find_with_roots(places, said.append)
    assert found == {tmp_path / "a/deep/x.wav": tmp_path / "a", tmp_path / "b.wav": tmp_path}
    assert said == [f"{tmp_path / 'none.wav'}: no such file or folder"]


def test_results_are_no_class(tmp_path: Path) -> None:
    for name in ("cat/1.wav", "dog/1.wav", "report/a/input.wav"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert {item.label for item in read_collection(tmp_path)} == {"cat", "dog", "report"}
    (tmp_path / "report" / "report.json").write_text(json.dumps({"schema": 2}))
    assert {item.label for item in read_collection(tmp_path)} == {"cat", "dog"}


def test_a_second_run_does_not_explain_the_evidence_of_the_first(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("clips", "-o", "clips/out", "--trust", "none", "--no-curve", "--json")
    first = explain(capsys, *words)[1]
    second = explain(capsys, *words)[1]
    assert [json.loads(line)["clip"] for line in second.splitlines()] == [
        json.loads(line)["clip"] for line in first.splitlines()
    ]
    assert len(second.splitlines()) == 2
    code, out, _ = run(capsys, "predict", "clips", "--model", "python:model.py:make", "--json")
    assert (code, len(out.splitlines())) == (0, 2)
