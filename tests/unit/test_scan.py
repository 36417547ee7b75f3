"""Scans of recordings with sounds planted at known times, by a model that measures loudness."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose, assert_array_equal

import earwitness
from earwitness.errors import AudioError, OutputError, ParameterError
from earwitness.recordings import scoring
from tests.command import run

RATE = 8000
# windows of 1 s; a label for each of two tones, at half of full scale for 0.2 s or more
MODEL = """
import torch
import earwitness

class Tones(torch.nn.Module):
    def forward(self, waves):
        spectrum = torch.fft.rfft(waves).abs() / waves.shape[-1]
        half = spectrum.shape[-1] // 2
        return torch.stack([spectrum[:, :half].amax(1), spectrum[:, half:].amax(1)], 1) * 100 - 5

def make():
    return earwitness.wrap(Tones(), sample_rate=8000, labels=["low", "high"], task="multi-label",
                           lengths=(1.0, 1.0), name="tones", output="logits")

def blind():
    net = Tones()
    return earwitness.wrap(lambda waves: net(torch.as_tensor(waves)).numpy(), sample_rate=8000,
                           labels=["low", "high"], task="multi-label", lengths=(1.0, 1.0),
                           output="logits")

def single():
    return earwitness.wrap(Tones(), sample_rate=8000, labels=["low", "high"], lengths=(1.0, 1.0))

def level():
    class Level(torch.nn.Module):
        def forward(self, waves):
            return waves.square().mean(1, keepdim=True).sqrt()
    return earwitness.wrap(Level(), sample_rate=8000, labels=["level"], output="scores",
                           lengths=(0.5, 1.0))
"""
BURSTS = ((5.1, 0.8, 500.0), (12.6, 0.3, 3000.0))  # start, length, Hz


def tones(
    seconds: float, rate: int = RATE, bursts: tuple[tuple[float, ...], ...] = BURSTS
) -> object:
    times = np.arange(round(seconds * rate)) / rate
    sound = 0.001 * np.random.default_rng(0).standard_normal(len(times))
    for start, length, pitch in bursts:
        inside = (times >= start) & (times < start + length)
        sound[inside] += 0.5 * np.sin(2 * np.pi * pitch * times[inside])
    return sound.astype(np.float32)


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    soundfile.write("rec.wav", tones(20.0), RATE, subtype="FLOAT")
    return Path("rec.wav")


def scan(
    capsys: pytest.CaptureFixture[str], *words: str, model: str = "make"
) -> tuple[int, list[dict[str, object]], str]:
    common = ["--model", f"python:model.py:{model}", "--json", "--trust", "none"]
    code, out, err = run(capsys, "scan", *words, *common)
    return code, [json.loads(line) for line in out.splitlines()], err


def spans(rows: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return [(row["label"], row["start"], row["end"]) for row in rows]


# 5.1 to 5.9 s lies in the windows from 4.5, 5.0 and 5.5 s on; 12.6 to 12.9 s in those from 12.0
# and 12.5 s on
TRUTH = [("low", 4.5, 6.5), ("high", 12.0, 13.5)]


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
