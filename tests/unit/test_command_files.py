"""The command and files: bad and oddly named sounds, and places to write to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile

from tests.command import explain
from tests.pages import clips, methods
from tests.unit.test_audio import bad_file

RATE = 16000
NOISE = 0.1 * np.random.default_rng(1).standard_normal(8000)


def test_existing_results_are_safe(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(capsys, "b.wav", "-o", "r")[0] == 0
    (place / "r" / "notes.txt").write_text("mine")
    own = place / "r" / "b" / "input-x-gradient"
    (own / "remark.txt").write_text("mine too")
    (own / "labels.txt").unlink()
    assert explain(capsys, "clips/a.wav", "-o", "r", "--overwrite")[0] == 0
    assert (place / "r" / "notes.txt").read_text() == "mine"
    assert [path.name for path in own.iterdir()] == ["remark.txt"]
    (place / "r" / "report.json").write_text("[]")
    code, _, err = explain(capsys, "b.wav", "-o", "r", "--overwrite")
    assert code == 2
    assert "not a record of earwitness" in err
    code, _, err = explain(capsys, "b.wav", "-o", "clips", "--overwrite")
    assert code == 2
    assert "not a report of earwitness" in err
    assert (place / "clips" / "a.wav").exists()


@pytest.mark.parametrize(
    "kind", ["missing", "empty", "text", "no-samples", "one-sample", "nan", "inf"]
)
def test_a_bad_file_is_one_line_and_nothing_is_written(
    place: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = bad_file(place, kind)
    code, out, err = explain(capsys, str(path), "-o", "r")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert path.name in err
    assert not (place / "r").exists()


def test_good_files_survive_bad_ones(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad_file(place / "clips", "nan")
    code, out, err = explain(capsys, "clips", "missing.wav", "-o", "r", "--json")
    assert code == 1
    assert len(out.splitlines()) == 2
    assert "missing.wav" in err
    assert "nan.wav" in err


def test_odd_names_are_explained(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [b"bad\xff\xfe.wav", "new\nline.wav", "quo\"te' <b>.wav", "ü ~ 音.wav", "-dash.wav"]
    (place / "odd").mkdir()
    soundfile.write(place / "plain.wav", NOISE, RATE)
    for name in names:
        raw = name if isinstance(name, bytes) else name.encode()
        (place / "plain.wav").rename(place / "odd" / os.fsdecode(raw))
        soundfile.write(place / "plain.wav", NOISE, RATE)
    code, out, err = explain(capsys, "odd", "-o", "r", "--json")
    assert (code, len(out.splitlines())) == (0, 5)
    assert all(json.loads(line)["files"] for line in out.splitlines())
    assert len(err.splitlines()) == 1
    shown = clips(place / "r" / "index.html")
    assert len(shown) == 5
    links = [unquote(one["original"]) for one in shown if one["original"]]
    assert len(links) == 4  # the name that is no UTF-8 can be no link
    assert all((place / "r" / link).is_file() for link in links)


def test_results_nobody_reads_leave_a_whole_report(place: Path) -> None:
    command = [sys.executable, "-m", "earwitness", "explain", "clips", "b.wav", "-o", "r"]
    command += ["--model", "python:model.py:make", "--method", "energy"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=place, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert methods(place / "r" / "index.html") == [["energy"]]


def test_folders_without_sounds(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bare").mkdir()
    code, _, err = explain(capsys, "bare", "-o", "r")
    assert code == 2
    assert "no sound files" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_unwritable_places(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "locked").mkdir(mode=0o500)
    code, _, err = explain(capsys, "b.wav", "-o", "locked/r")
    assert code == 2
    assert "cannot be written" in err


def test_a_place_below_a_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = explain(capsys, "b.wav", "-o", "model.py/r")
    assert code == 2
    assert "model.py/r: cannot be reached (Not a directory)" in err
    assert len(err.splitlines()) == 1


def test_ctrl_c_leaves_whole_files_only(place: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(40):
        soundfile.write(place / "clips" / f"{number:02}.wav", rng.standard_normal(8000) * 0.1, RATE)
    words = [sys.executable, "-m", "earwitness", "explain", "clips", "-o", "r", "--model"]
    process = subprocess.Popen(
        [*words, "python:model.py:make", "--method", "input-x-gradient"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell lets its background jobs ignore it, and they pass that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    process.stdout.readline()  # the first sound is done, and dozens are to come
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "finished explanations are kept" in err
    assert "Traceback" not in err
    names = {path.name for path in (place / "r").iterdir()}
    assert {"index.html", "report.json"} <= names
    assert not list((place / "r").rglob(".*"))
    done = [path.parent for path in (place / "r").rglob("explanation.json")]
    assert 0 < len(done) < 42
    assert all(len(list(folder.iterdir())) == 5 for folder in done)
    assert len(clips(place / "r" / "index.html")) == len(done)
