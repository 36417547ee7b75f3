"""Scans that are killed, gone on with, and given recordings of every kind."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose, assert_array_equal

import earwitness
from earwitness.errors import AudioError, OutputError, ParameterError
from earwitness.recordings import scoring
from tests.command import run
from tests.scans import RATE, TRUTH, scan, spans, tones


def test_a_killed_scan_loses_one_block_at_most_and_ends_with_the_same_scores(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = earwitness.load_model("python:model.py:make")
    whole = earwitness.scan(model, recording, output="whole", top=0)
    calls = 0
    evaluate = scoring._evaluate

    def dying(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return evaluate(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("earwitness.recordings.windows._MOST", 8)
    monkeypatch.setattr(scoring, "_evaluate", dying)
    with pytest.raises(KeyboardInterrupt):
        earwitness.scan(model, recording, output="killed", top=0)
    there = Path("killed/rec", scoring.SCORES)
    assert there.stat().st_size == 8 * 4 * 3
    with there.open("ab") as file:  # a row that was being written
        file.write(b"\0" * 7)
    counted: list[int] = []

    def counting(net: object, parts: list[object]) -> object:
        counted.append(len(parts))
        return evaluate(net, parts)  # type: ignore[arg-type]

    monkeypatch.setattr(scoring, "_evaluate", counting)
    again = earwitness.scan(model, recording, output="killed", top=0)
    assert sum(counted) == 39 - 8
    first, second = (
        np.fromfile(Path(name, "rec", scoring.SCORES), np.float32) for name in ("whole", "killed")
    )
    assert_allclose(second, first, rtol=1e-5)  # batches of another size round differently
    assert [e["start"] for e in again.events] == [e["start"] for e in whole.events]
    counted.clear()
    earwitness.scan(model, recording, output="killed", top=0)
    assert counted == []


def test_explanations_are_not_made_again_and_stay_on_the_page(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(recording), "--method", "energy"]
    scan(capsys, *words)
    files = sorted(Path("earwitness-scan").rglob("explanation.json"))
    times = [path.stat().st_mtime_ns for path in files]
    page = Path("earwitness-scan/index.html").read_text()
    scan(capsys, *words)
    assert [path.stat().st_mtime_ns for path in files] == times
    assert Path("earwitness-scan/index.html").read_text() == page
    assert page.count('<tr class="sound"') == 2


def test_clips_and_sections_are_those_of_the_last_scan(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(recording), "--target", "low"]
    page = Path("earwitness-scan/index.html")
    seconds = []
    for off in ("0.5", "0.001"):
        _, rows, _ = scan(capsys, *words, "--method", "energy", "--off", off)
        for row in rows:
            clip, rate = soundfile.read(row["files"]["clip"])
            assert len(clip) == round((row["end"] - row["start"]) * rate)
        seconds.append([row["end"] - row["start"] for row in rows])
    assert seconds[0] != seconds[1]
    for method in ("random", "energy"):
        _, rows, _ = scan(capsys, *words, "--method", method)
        assert page.read_text().count(f'"method":"{method}"') >= len(rows) > 0
        other = {"random": "energy", "energy": "random"}[method]
        assert f'"method":"{other}"' not in page.read_text()


@pytest.mark.parametrize("table", ["rec/raven.txt", "rec/audacity.txt", "rec/birdnet.csv",
                                   "events.csv"])  # fmt: skip
def test_an_edited_table_is_never_lost(
    recording: Path, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    words = [str(recording), "--top", "0"]
    scan(capsys, *words)
    path = Path("earwitness-scan", table)
    first = path.read_text()
    path.write_text("reviewed\n")
    code, _, err = scan(capsys, *words)
    assert (code, path.read_text(), "edited" in err) == (0, "reviewed\n", False)
    code, _, err = scan(capsys, *words, "--target", "low")  # fewer events
    kept = path.with_name(f"{path.stem}-edited-1{path.suffix}")
    assert f"a table that was edited is kept as {kept}" in err
    assert kept.read_text() == "reviewed\n"
    assert 0 < len(path.read_text()) < len(first)
    path.write_text("reviewed again\n")
    code, _, err = scan(capsys, *words, "--overwrite")
    assert (code, path.read_text()) == (0, first)
    assert path.with_name(f"{path.stem}-edited-2{path.suffix}").read_text() == "reviewed again\n"
    assert kept.read_text() == "reviewed\n"
    path.unlink()
    assert (scan(capsys, *words)[0], path.read_text()) == (0, first)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))  # as Windows ends lines
    scan(capsys, *words, "--target", "low")
    assert len(list(path.parent.glob("*-edited-*"))) == 2  # unedited ones are replaced


def test_a_scan_that_depends_on_something_else_is_not_gone_on_with(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan(capsys, str(recording), "--top", "0")
    code, _, err = scan(capsys, str(recording), "--top", "0", "--hop", "0.25")
    assert code == 2
    assert "holds a scan with hop 0.5 s, not 0.25 s; use --overwrite" in err
    soundfile.write(recording, tones(10.0), RATE)
    code, _, err = scan(capsys, str(recording), "--top", "0")
    assert code == 2
    assert "which has changed since" in err
    code, rows, _ = scan(capsys, str(recording), "--top", "0", "--overwrite")
    assert (code, spans(rows)) == (0, TRUTH[:1])


def contents() -> dict[Path, bytes]:
    files = [path for path in Path("earwitness-scan").rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in files}


def test_a_scan_that_is_stopped_before_its_first_score_replaces_nothing(
    recording: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan(capsys, str(recording), "--method", "energy")
    before = contents()
    Path("text.wav").write_text("no sound")

    def stopped(*_: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(scoring, "_evaluate", stopped)
        model = earwitness.load_model("python:model.py:make")
        with pytest.raises(KeyboardInterrupt):
            earwitness.scan(model, recording, overwrite=True)
    assert contents() != before
    code, _, _ = scan(capsys, "text.wav", "--overwrite")
    assert code == 2
    assert contents() == before


def test_a_scan_of_nothing_readable_replaces_nothing(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan(capsys, str(recording), "--method", "energy")
    root = Path("earwitness-scan")
    before = contents()
    Path("text.wav").write_text("no sound")
    code, _, err = scan(capsys, "text.wav", "--overwrite")
    assert (code, err.count("text.wav")) == (2, 1)
    assert contents() == before
    scan(capsys, str(recording), "--top", "0", "--overwrite")
    assert not list(root.rglob("explanation.json"))
    assert not [path for path in root.iterdir() if path.name.startswith(".")]


def test_a_folder_of_something_else_is_left_alone(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    for words in ([], ["--overwrite"]):
        code, _, err = scan(capsys, str(recording), "-o", "mine", *words)
        assert code == 2
        assert "holds files that are not a scan" in err
    assert Path("mine/thesis.txt").read_text() == "years of work"


def test_recordings_that_cannot_be_scanned_are_named_and_the_others_are_scanned(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty.wav").write_bytes(b"")
    Path("text.wav").write_text("no sound")
    soundfile.write("short.wav", np.zeros(100, np.float32) + 0.1, RATE)
    soundfile.write("nothing.wav", np.zeros(0, np.float32), RATE)
    bad = np.full(2 * RATE, np.nan, np.float32)
    soundfile.write("nan.wav", bad, RATE, subtype="FLOAT")
    names = ["empty.wav", "text.wav", "short.wav", "nothing.wav", "nan.wav", "gone.wav"]
    code, rows, err = scan(capsys, *names, str(recording), "--top", "0")
    assert (code, spans(rows)) == (1, TRUTH)
    for name, reason in zip(
        names,
        ["the file is empty", "not a sound file", "at least 50 ms", "no samples", "NaN",
         "no such file"],
        strict=True,
    ):  # fmt: skip
        assert any(name in line and reason in line for line in err.splitlines()), name
    code, _, err = scan(capsys, "empty.wav", "-o", "nowhere")
    assert code == 2
    assert "the file is empty" in err


def test_a_sound_shorter_than_a_window_is_one_window(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("short.wav", tones(0.1, bursts=((0.0, 0.1, 500.0),)), RATE)
    code, rows, _ = scan(capsys, "short.wav", "--on", "0.05", "--top", "1", "--method", "energy")
    assert (code, spans(rows)) == (0, [("low", 0.0, 0.1)])
    assert len(soundfile.read(rows[0]["files"]["clip"])[0]) == 800


def test_nothing_of_silence_or_of_nan_is_an_event(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = tones(20.0)
    sound[int(8 * RATE) : int(11 * RATE)] = 0
    sound[int(5.3 * RATE)] = np.nan
    soundfile.write("rec.wav", sound, RATE, subtype="FLOAT")
    words = ["--top", "0", "--on", "0.005", "--off", "0.001", "--target", "high"]
    code, rows, _ = scan(capsys, "rec.wav", *words)  # of which all noise is an event
    assert code == 0
    assert spans(rows) == [("high", 0.0, 5.0), ("high", 5.5, 8.5), ("high", 10.5, 20.0)]
    facts = json.loads(Path("earwitness-scan/rec/recording.json").read_text())
    assert "silence: every sample of 5 of 39 windows is zero" in facts["notes"][0]
    assert "NaN or infinite samples in 2 of 39 windows" in facts["notes"][1]
    lines = Path("earwitness-scan/rec/scores.csv").read_text().splitlines()
    assert [line for line in lines if line.endswith(",,")] == ["4.5,5.5,,", "5.0,6.0,,"]


@pytest.mark.parametrize(
    ("pool", "logit"),  # in the windows that hold 0.8, 0.4 and 0.4 s of the tone: 15, 5 and 5
    [("max", 15.0), ("topk", 25 / 3), ("mean", (15 + 5 + 5 + 36 * -5) / 39)],
)
def test_predict_pools_windows_as_it_is_told_and_says_where_the_strongest_is(
    recording: Path, capsys: pytest.CaptureFixture[str], pool: str, logit: float
) -> None:
    words = ["predict", "rec.wav", "--model", "python:model.py:make", "--pool", pool]
    _, out, _ = run(capsys, *words, "--json")
    value = json.loads(out)["outputs"]["low"]
    # noise of 0.001 changes a bin of the spectrum, and so a logit, by some 0.01
    assert_allclose(value, 1 / (1 + np.exp(-logit)), rtol=0.03)
    assert len(json.loads(out)["windows"]) == 39
    if pool != "mean":
        assert "low is largest from 5.00 to 6.00 s: 1.000" in run(capsys, *words)[1]


def test_nothing_found_is_a_page_without_explanations(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("rec.wav", np.zeros(5 * RATE), RATE)
    code, rows, _ = scan(capsys, "rec.wav")
    assert (code, rows) == (0, [])
    assert "0 events in 1 recording" in Path("earwitness-scan/index.html").read_text()


def test_from_python_options_are_checked_before_anything_is_read(recording: Path) -> None:
    model = earwitness.load_model("python:model.py:make")
    with pytest.raises(ParameterError, match="top is a number of events"):
        earwitness.scan(model, recording, top=-1)
    with pytest.raises(KeyError, match="no class called 'lowe'"):
        earwitness.scan(model, recording, target="lowe")
    with pytest.raises(AudioError, match="no such file"):
        earwitness.scan(model, "gone.wav")
    with pytest.raises(OutputError, match="a file, not a folder"):
        earwitness.scan(model, recording, output="model.py")
    found = earwitness.scan(model, recording, top=0)
    assert repr(found) == "<Scan: 2 events, 0 failures; earwitness-scan/index.html>"
    assert_array_equal([e["start"] for e in found.events], [4.5, 12.0])


def test_json_lines_hold_what_the_csv_holds(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = tones(20.0)
    sound[int(5.3 * RATE)] = np.nan
    soundfile.write(recording, sound, RATE, subtype="FLOAT")
    scan(capsys, str(recording), "--top", "0")
    scan(capsys, str(recording), "--top", "0", "--scores", "jsonl")
    with Path("earwitness-scan/rec/scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = Path("earwitness-scan/rec/scores.jsonl").read_text().splitlines()
    assert [
        {
            "start": str(one["start"]),
            "end": str(one["end"]),
            **{k: "" if v is None else f"{v:.6g}" for k, v in one["outputs"].items()},
        }
        for one in map(json.loads, lines)
    ] == rows
    assert sum('"low": null' in line for line in lines) == 2
    scan(capsys, str(recording), "--top", "0", "--overwrite")
    assert not Path("earwitness-scan/rec/scores.jsonl").exists()


def test_parquet_without_its_extra_is_refused_before_the_work(
    recording: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = scan(capsys, str(recording), "--scores", "parquet")
    assert code == 2
    assert "pip install 'earwitness[tables]', or use --scores jsonl" in err
    assert not Path("earwitness-scan").exists()


def test_parquet_holds_what_the_csv_holds(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    scan(capsys, str(recording), "--top", "0")
    scan(capsys, str(recording), "--top", "0", "--scores", "parquet")
    with Path("earwitness-scan/rec/scores.csv").open() as file:
        windows = [[float(cell) for cell in row] for row in list(csv.reader(file))[1:]]
    table = parquet.read_table("earwitness-scan/rec/scores.parquet").to_pydict()
    assert list(table) == ["start", "end", "low", "high"]
    assert_allclose(np.array(list(table.values())).T, windows, rtol=1e-5)  # six digits
