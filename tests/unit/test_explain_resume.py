"""Explanations that go on where they were, folders that are safe, and what a kill leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earwitness.audio import write_audio
from earwitness.cli.estimate import estimate, said
from earwitness.cli.grids import progress
from earwitness.cli.options import counted
from earwitness.cli.stopping import line_a_minute
from earwitness.errors import OutputError
from earwitness.files import held, partial_of, sweep
from earwitness.types import Audio, Request
from tests.command import explain, run
from tests.pages import methods, names
from tests.toys import spectral

RATE = 16000


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def heads(folder: Path) -> list[str]:
    return names(folder / "index.html")


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


def test_the_same_command_again_touches_no_file(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = explain(capsys, "clips", "-o", "r", "--json")
    before = times(place / "r")
    again = explain(capsys, "clips", "-o", "r", "--json")
    assert first[0] == again[0] == 0
    assert times(place / "r") == before
    assert again[1] == first[1]  # results of what was there are told again


def test_a_vanished_result_is_made_again_and_the_others_keep_their_time(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("clips", "b.wav", "--method", "energy", "-o", "r")
    assert explain(capsys, *words)[0] == 0
    whole = times(place / "r")
    for name in ("explanation.json", "evidence.wav", "labels.txt"):
        (place / "r" / "b" / "energy" / name).unlink()
        code, out, _ = explain(capsys, *words)
        assert (code, len(re.findall("^b.wav", out, re.MULTILINE))) == (0, 2)
        found = times(place / "r")
        assert found.keys() == whole.keys()
        changed = {path for path in whole if found[path] != whole[path]}
        assert changed == {path for path in whole if "b/energy/" in path or "index.html" in path}
        whole = found


def test_other_clips_and_methods_are_added_to_the_folder(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(capsys, "b.wav", "-o", "r")[0] == 0
    before = times(place / "r" / "b")
    assert explain(capsys, "clips", "-o", "r")[0] == 0
    assert run(capsys, "explain", "b.wav", "--model", "python:model.py:make", "--method", "energy",
               "-o", "r")[0] == 0  # fmt: skip
    after = times(place / "r" / "b")
    assert {path: after[path] for path in before} == before
    assert heads(place / "r") == ["b.wav", "a.wav", "deep/a.wav"]
    assert methods(place / "r" / "index.html") == [
        ["input-x-gradient", "energy"], ["input-x-gradient"], ["input-x-gradient"]
    ]  # fmt: skip
    assert not hidden(place / "r")


@pytest.mark.parametrize(
    ("words", "said_there"),
    [
        (["--seed", "1"], "holds explanations with seed 0, not 1"),
        (["--target", "low"], "with target default, not low"),
        (["--trust", "none"], "with trust full, not none"),
        (["--files", "picture"], "with files none, not picture"),
        (["--method", "lime", "--set", "samples=20"], "samples 10, not 20, for lime"),
    ],
)
def test_anything_else_is_refused_and_named(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], said_there: str
) -> None:
    lime = ("--method", "lime", "--set", "samples=10")
    assert explain(capsys, "b.wav", *lime, "-o", "r")[0] == 0
    before = times(place / "r")
    code, out, err = explain(capsys, "b.wav", *(words if "lime" in words else (*lime, *words)),
                             "-o", "r")  # fmt: skip
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said_there in err
    assert "--overwrite" in err
    assert times(place / "r") == before
    assert explain(capsys, "b.wav", *lime, *words, "-o", "r", "--overwrite")[0] == 0


def test_another_model_or_sound_of_the_same_name_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(capsys, "b.wav", "-o", "r")[0] == 0
    before = times(place / "r")
    sound = (place / "b.wav").read_bytes()
    soundfile.write(place / "b.wav", np.full(8000, 0.1), RATE)
    code, _, err = explain(capsys, "b.wav", "-o", "r")
    assert code == 2
    assert "r: holds explanations of another b.wav, which has changed since" in err
    (place / "b.wav").write_bytes(sound)
    text = (place / "model.py").read_text()
    (place / "model.py").write_text(text.replace("pow(2)", "pow(3)"))
    code, _, err = explain(capsys, "b.wav", "-o", "r")
    assert code == 2
    assert "holds explanations with other source code of the model" in err
    (place / "model.py").write_text(text)
    assert times(place / "r") == before
    os.rename(place / "b.wav", place / "c.wav")
    assert explain(capsys, "c.wav", "-o", "r")[0] == 0
    assert heads(place / "r") == ["b.wav", "c.wav"]


def test_overwrite_begins_anew(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(capsys, "b.wav", "--method", "energy", "-o", "r")[0] == 0
    assert explain(capsys, "clips/a.wav", "-o", "r", "--overwrite")[0] == 0
    assert heads(place / "r") == ["a.wav"]
    assert sorted(path.name for path in (place / "r").iterdir()) == [
        "a", "index.html", "report.json"
    ]  # fmt: skip


TAMPERED = {
    "root": {"sounds": {".": {"path": "x"}}, "parts": ["b"]},
    "above": {"sounds": {"../mine": {"path": "x"}}, "parts": ["b"]},
    "absolute": {"sounds": {"/tmp": {"path": "x"}}, "parts": ["b"]},
    "part above": {"sounds": {"b": {"path": "x"}}, "parts": [".."]},
    "deep part": {"sounds": {"b": {"path": "x"}}, "parts": ["c/d"]},
    "assets above": {"assets": "../mine"},
    "deep assets": {"assets": "foreign/b"},
    "no name": {"assets": 3},
    "link": {"sounds": {"link": {"path": "x"}}, "parts": ["b"]},
    "foreign folder": {"sounds": {"foreign": {"path": "x"}}, "parts": ["b"]},
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_a_tampered_record_deletes_no_file_of_others(
    place: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert explain(capsys, "b.wav", "-o", "r")[0] == 0
    root = place / "r"
    mine = [place / "input.wav", place / "labels.txt", place / "mine" / "b" / "labels.txt"]
    mine += [root / "foreign" / "b" / "labels.txt", root / "foreign" / "input.wav"]
    mine += [root / "evidence.wav", root / "b" / "labels.txt", root / "input.wav"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    (root / "link").symlink_to(place / "mine")
    record = json.loads((root / "report.json").read_text())
    (root / "report.json").write_text(json.dumps({**record, **TAMPERED[kind]}))
    code, _, err = explain(capsys, "b.wav", "-o", "r", "--overwrite")
    assert (code, "not a record of earwitness" in err) in ((2, True), (0, False))
    assert code == (0 if kind == "foreign folder" else 2)
    assert [path.read_text() for path in mine] == ["mine"] * len(mine)


def test_a_page_of_somebody_else_is_not_replaced(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(capsys, "b.wav", "-o", "r")[0] == 0
    (place / "r" / "index.html").write_text("<!doctype html><title>my own</title>")
    code, _, err = explain(capsys, "b.wav", "-o", "r", "--overwrite")
    assert (code, "index.html: not a page of earwitness" in err) == (2, True)
    assert "my own" in (place / "r" / "index.html").read_text()


def test_a_run_in_which_all_failed_locks_no_folder(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(capsys, "b.wav", "-o", "r")[0] == 0
    (place / "r" / "notes.txt").write_text("mine")
    assert explain(capsys, "b.wav", "-o", "r", "--overwrite", model="broken")[0] == 2
    assert explain(capsys, "b.wav", "-o", "r", "--overwrite")[0] == 0
    (place / "empty").mkdir()
    assert explain(capsys, "b.wav", "-o", "empty", model="broken")[0] == 2
    assert not any((place / "empty").iterdir())


def test_a_result_that_vanished_costs_its_place_on_the_page_only(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(capsys, "clips", "-o", "r")[0] == 0
    (place / "r" / "a" / "input-x-gradient" / "evidence.wav").unlink()
    (place / "r" / "index.html").unlink()
    code, _, err = explain(capsys, "b.wav", "-o", "r")
    assert code == 1
    assert "r/a/input-x-gradient: no whole explanation here" in err
    assert "it is not on the page" in err
    assert heads(place / "r") == ["deep/a.wav", "b.wav"]


@pytest.mark.parametrize(
    "words",
    [
        ("explain", ""), ("predict", ""), ("explain", "b.wav", "-o", ""),
        ("evaluate", "python:model.py:make", ""), ("train", "classifier", "--data", "", "-o", "m"),
    ],
)  # fmt: skip
def test_an_empty_path_is_not_the_current_folder(
    place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    before = sorted(place.rglob("*"))
    code, out, err = run(capsys, *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "an empty path names nothing" in err
    assert sorted(place.rglob("*")) == before


def test_a_path_that_cannot_be_reached_leaves_the_batch(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = explain(capsys, "x" * 300 + ".wav", "b.wav/c.wav", "b.wav", "-o", "r")
    assert code == 1
    assert err.count("cannot be reached") == 2
    assert heads(place / "r") == ["b.wav"]


def test_what_killed_processes_were_writing_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".mine.partial").write_text("mine")
    partial_of(tmp_path / "a.wav").write_text("half")
    partial_of(tmp_path / "b").mkdir()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".mine.partial"]


def test_temporary_folders_of_a_killed_run_do_not_stay(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(capsys, "b.wav", "-o", "r")[0] == 0
    for path in ("r/index.html", "r/b/energy", "r/b/.section.html"):
        partial_of(place / path).write_text("half")
    assert explain(capsys, "b.wav", "-o", "r")[0] == 0
    assert not hidden(place / "r")
    (place / "new").mkdir()
    partial_of(place / "new" / "report.json").write_text("half")
    assert explain(capsys, "b.wav", "-o", "new")[0] == 0
    assert not hidden(place / "new")


def test_two_runs_do_not_share_a_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = ("train", "classifier", "--data", "classes", "-o", "r")
    for k in range(16):
        path = place / "classes" / "ab"[k % 2] / f"{k}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.full(RATE, 0.1), RATE)
    with held(place / "r"):
        for code, _, err in (explain(capsys, "b.wav", "-o", "r"), run(capsys, *train)):
            assert (code, "r: another run is writing it" in err) == (2, True)
        with pytest.raises(OutputError, match="another run is writing it"), held(place / "r"):
            pass


def test_equal_sounds_are_equal_files_at_any_time(tmp_path: Path) -> None:
    samples = np.float32([0.5, -1.5, 0.25])
    write_audio(tmp_path / "a.wav", Audio(samples, RATE))
    data = (tmp_path / "a.wav").read_bytes()
    assert b"PEAK" not in data
    assert data.endswith(samples.astype("<f4").tobytes())
    assert len(data) == 58 + 12
    found, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == RATE
    np.testing.assert_array_equal(found, samples)


def test_the_estimate_follows_the_length_of_each_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{seconds}.wav" for seconds in (1, 20)]
    for path in paths:
        soundfile.write(path, 0.1 * rng.standard_normal(int(path.stem) * RATE), RATE)
    monkeypatch.setattr("earwitness.cli.estimate._time", lambda _, wave: len(wave) / RATE)
    request = Request("all-ones", trust="none")
    monkeypatch.setattr("earwitness.cli.estimate.count_passes", lambda _, first: 3)
    model = spectral()
    np.testing.assert_allclose(estimate(model, paths, [request]), 3 * 21.0, rtol=1e-6)
    np.testing.assert_allclose(estimate(model, paths[::-1], [request]), 3 * 21.0, rtol=1e-6)
    part = Request("all-ones", trust="none", start=0.5, end=4.5)
    np.testing.assert_allclose(estimate(model, paths, [part]), 3 * 4.5, rtol=1e-6)


def test_plural_and_singular() -> None:
    assert [counted(n, "sound") for n in (0, 1, 2)] == ["0 sounds", "1 sound", "2 sounds"]
    assert said(61.0, 1, 2) == "about 1 min for 1 sound and 2 methods"
    assert said(7200.0, 21, 1) == "about 2.0 h for 21 sounds and 1 method"


def test_off_a_terminal_a_line_a_minute_tells_the_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("earwitness.cli.stopping._EVERY", 0.05)
    with line_a_minute(lambda: "40 %: 2 of 5 explanations"):
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 4
    assert set(lines) == {"40 %: 2 of 5 explanations"}


def test_what_a_benchmark_does_before_its_sounds_are_counted_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Callable[[], str]] = []

    @contextmanager
    def once(text: Callable[[], str]) -> Iterator[None]:
        told.append(text)
        yield

    monkeypatch.setattr("earwitness.cli.grids.line_a_minute", once)
    with progress("measuring") as (start, step):
        assert told[0]() == "measuring: preparing models"
        start(3)
        step("a")
        assert told[0]() == "measuring: 0 of 3 sounds"
        step("b")
        assert told[0]() == "measuring: 1 of 3 sounds"


def test_a_hang_up_leaves_a_whole_report(place: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(40):
        soundfile.write(place / "clips" / f"{number:02}.wav", rng.standard_normal(8000) * 0.1, RATE)
    terminal, end = os.openpty()
    words = [sys.executable, "-m", "earwitness", "explain", "clips", "-o", "r", "--model"]
    process = subprocess.Popen(
        [*words, "python:model.py:make", "--method", "input-x-gradient"],
        cwd=place, stdin=end, stdout=end, stderr=end, start_new_session=True,
    )  # fmt: skip
    os.close(end)
    while not list((place / "r").rglob("explanation.json")):
        os.read(terminal, 1024)
    os.close(terminal)  # writing fails from now on
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 1
    done = len(list((place / "r").rglob("explanation.json")))
    assert 0 < done < 42
    assert len(heads(place / "r")) == done
    assert not hidden(place / "r")


def test_a_typo_in_a_grid_locks_no_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        'models = ["python:model.py:mkae"]\nmethods = ["energy"]\nmasks = ["area:10%"]\n'
        'metrics = ["faithfulness"]\n[sounds]\nkind = "folder"\npaths = ["clips"]\ntarget = "low"\n'
    )
    (place / "grid.toml").write_text(text)
    words = ("bench", "grid.toml", "--no-listening", "-o", "g")
    code, _, err = run(capsys, *words)
    assert (code, "has no function mkae" in err) == (2, True)
    (place / "grid.toml").write_text(text.replace("mkae", "make"))
    assert run(capsys, *words)[0] == 0
    (place / "grid.toml").write_text(text.replace("mkae", "make").replace("area:10%", "80%"))
    code, _, err = run(capsys, *words)
    assert (code, "holds a run with other masks" in err) == (2, True)


def test_a_finished_training_is_not_repeated(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(16):
        path = place / "classes" / "ab"[k % 2] / f"{k}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(k).standard_normal(RATE), RATE)
    words = ("train", "classifier", "--data", "classes", "--epochs", "1", "-o", "m")
    assert run(capsys, *words)[0] == 0
    before = times(place / "m")
    (place / "m" / "training.pt").write_bytes(b"left by a kill after the last epoch")
    assert run(capsys, *words)[0] == 0
    assert times(place / "m") == before
    code, _, err = run(capsys, *words, "--seed", "1")
    assert (code, "holds a trained model already" in err) == (2, True)
