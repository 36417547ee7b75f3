"""Scans of recordings with sounds planted at known times, by a model that measures loudness."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import soundfile
from numpy.testing import assert_allclose

from tests.scans import BURSTS, RATE, TRUTH, scan, spans, tones


@pytest.mark.parametrize("model", ["make", "blind", "single"])
def test_planted_bursts_are_found_in_the_windows_that_hold_them(
    recording: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    words = ["--method", "energy"] if model == "blind" else []
    if model == "single":  # a softmax decides something everywhere
        words = ["--on", "0.99", "--off", "0.95"]
    code, rows, _ = scan(capsys, str(recording), *words, model=model)
    assert (code, spans(rows)) == (0, TRUTH)
    assert (rows[0]["peak_start"], rows[0]["peak_end"]) == (5.0, 6.0)  # holds all of it


def test_a_recording_at_another_rate_has_its_events_at_the_same_times(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("other.flac", tones(20.0, 44100), 44100)
    code, rows, _ = scan(capsys, "other.flac", "--top", "0")
    assert (code, spans(rows)) == (0, TRUTH)


def test_tables_say_the_same_as_the_events(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows, _ = scan(capsys, str(recording), "--method", "energy")
    place = Path("earwitness-scan")
    with (place / "events.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(r["label"], float(r["start"]), float(r["end"])) for r in table] == TRUTH
    assert table[0]["folder"] == "rec/5.00s@low/energy"
    audacity = (place / "rec" / "audacity.txt").read_text().splitlines()
    assert audacity[0] == f"4.500000\t6.500000\tlow {rows[0]['score']:.2f}"
    raven = (place / "rec" / "raven.txt").read_text().splitlines()
    heads = raven[0].split("\t")
    second = dict(zip(heads, raven[2].split("\t"), strict=True))
    assert (second["Begin Time (s)"], second["End Time (s)"]) == ("12.000000", "13.500000")
    assert (second["Selection"], second["Label"]) == ("2", "high")
    birdnet = (place / "rec" / "birdnet.csv").read_text().splitlines()
    assert birdnet[0] == "Start (s),End (s),Scientific name,Common name,Confidence,File"
    assert birdnet[1].startswith("4.5,6.5,low,low,")
    with (place / "rec" / "scores.csv").open() as file:
        windows = list(csv.DictReader(file))
    assert len(windows) == 39  # every half second up to 19 s
    assert float(windows[10]["start"]) == 5.0
    assert_allclose(float(windows[10]["low"]), rows[0]["score"], rtol=1e-5)
    files = rows[0]["files"]
    clip, rate = soundfile.read(files["clip"])
    assert (len(clip), rate) == (2 * RATE, RATE)
    evidence, _ = soundfile.read(files["evidence"])
    assert len(evidence) == RATE
    assert files["evidence"].startswith("earwitness-scan/rec/5.00s@low/")


def test_a_window_that_is_explained_is_the_one_that_was_scored(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("other.wav", tones(20.0, 44100), 44100, subtype="FLOAT")
    _, rows, _ = scan(capsys, "other.wav", "--method", "energy")
    for row in rows:
        explanation = json.loads(Path(row["files"]["explanation"]).read_text())
        assert explanation["target"]["label"] == row["label"]
        outputs = {one["label"]: one["input"] for one in explanation["outputs"]}
        # read again from the file by a resampler that begins elsewhere
        assert_allclose(outputs[row["label"]], row["score"], rtol=1e-4)


def test_only_wanted_labels_and_only_the_strongest_are_explained(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bursts = ((2.1, 0.8, 500.0), (6.1, 0.8, 500.0), (10.1, 0.4, 500.0), (14.1, 0.8, 3000.0))
    soundfile.write("more.wav", tones(20.0, bursts=bursts), RATE)
    words = ["more.wav", "--target", "low", "--top", "2", "--method", "energy"]
    code, rows, _ = scan(capsys, *words)
    assert code == 0
    assert [(row["label"], row["start"], bool(row["files"])) for row in rows] == [
        ("low", 1.5, True), ("low", 5.5, True), ("low", 9.5, False)
    ]  # fmt: skip


def test_recorders_with_equal_names_stay_apart(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, bursts in (("a", BURSTS[:1]), ("b", BURSTS[1:])):
        Path("all", name).mkdir(parents=True)
        soundfile.write(f"all/{name}/night.wav", tones(20.0, bursts=bursts), RATE)
    _, rows, _ = scan(capsys, "all", "--top", "0", "-o", "folder")
    assert [(row["recording"], row["label"]) for row in rows] == [
        ("all/a/night.wav", "low"), ("all/b/night.wav", "high")
    ]  # fmt: skip
    assert Path("folder/a/night/scores.csv").is_file()
    assert Path("folder/b/night").is_dir()
    scan(capsys, "all/a/night.wav", "all/b/night.wav", "--top", "0", "-o", "files")
    for name, bursts in (("x.wav", BURSTS[:1]), ("x.flac", BURSTS[1:])):
        soundfile.write(name, tones(20.0, bursts=bursts), RATE)
    scan(capsys, "x.wav", "x.flac", "--top", "0", "-o", "endings")
    tables = sorted(Path("endings").rglob("audacity.txt"))
    assert [path.read_text().split("\t")[0] for path in tables] == ["4.500000", "12.000000"]
    assert Path("files/a/night/scores.csv").is_file()
    assert Path("files/b/night").is_dir()


def test_what_a_scan_wrote_into_the_folder_that_it_searches_is_no_recording(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, first, _ = scan(capsys, ".", "--method", "energy")
    _, again, _ = scan(capsys, ".", "--method", "energy")
    assert [row["recording"] for row in again] == ["rec.wav", "rec.wav"]
    assert again == first


def test_low_or_high_values_of_a_regression_are_events(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    high = ["--direction", "up", "--on", "0.2", "--off", "0.1"]
    _, rows, _ = scan(capsys, str(recording), *high, "--top", "0", model="level")
    # 0.8 s of a sine of 0.5 in 1 s: 0.32; half of it: 0.22; 0.3 s: 0.19
    assert spans(rows) == [("level", 4.5, 6.5)]
    sound = tones(20.0, bursts=())
    sound[int(9.6 * RATE) : int(10.4 * RATE)] *= 0.01
    soundfile.write("rec.wav", sound, RATE, subtype="FLOAT")
    _, rows, _ = scan(capsys, str(recording), "--top", "0", "--overwrite", model="level")
    assert rows[0]["score"] == min(row["score"] for row in rows)
    low = min(rows, key=lambda row: row["score"])
    assert low["peak_start"] <= 9.6
    assert low["peak_end"] >= 10.4
