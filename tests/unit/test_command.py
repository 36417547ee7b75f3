"""The command as a person uses it: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from earwitness.cli.main import main
from earwitness.methods.registry import METHODS
from tests.unit.test_audio import bad_file

RATE = 16000
NOISE = 0.1 * np.random.default_rng(1).standard_normal(8000)
# a model that is quick and needs no training, from a file as users have them
MODEL = """
import torch
import earwitness

class Bands(torch.nn.Module):
    def forward(self, waves):
        power = torch.fft.rfft(waves, 4096).abs().pow(2)
        return torch.stack([power[:, :500].mean(1), power[:, 500:].mean(1)], 1).log1p()

def make():
    return earwitness.wrap(Bands(), sample_rate=16000, labels=["low", "high"], name="bands")

def broken():
    class Broken(torch.nn.Module):
        def forward(self, waves):
            raise ValueError("five seconds only")
    return earwitness.wrap(Broken(), sample_rate=16000, labels=["low", "high"])

def chatty():
    class Chatty(Bands):
        def forward(self, waves):
            print("thinking ...")
            return super().forward(waves)
    return earwitness.wrap(Chatty(), sample_rate=16000, labels=["low", "high"])

def layered():
    class Mean(torch.nn.Module):
        def forward(self, maps):
            return maps.mean(2)
    conv = torch.nn.Conv1d(1, 4, 200, stride=100)
    net = torch.nn.Sequential(conv, torch.nn.ReLU(), Mean(), torch.nn.Linear(4, 2))
    return earwitness.wrap(net, features=lambda w: w[:, None], sample_rate=16000)

def quality():
    class First(torch.nn.Module):
        def forward(self, waves):
            return Bands()(waves)[:, :1]
    return earwitness.wrap(First(), sample_rate=16000, labels=["mos"], output="scores")
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    rng = np.random.default_rng(0)
    (tmp_path / "clips" / "deep").mkdir(parents=True)
    for name in ("clips/a.wav", "clips/deep/a.wav", "b.wav"):
        soundfile.write(tmp_path / name, 0.1 * rng.standard_normal(8000), RATE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


def explain(
    capsys: pytest.CaptureFixture[str], *words: str, model: str = "make"
) -> tuple[int, str, str]:
    common = ["--model", f"python:model.py:{model}", "--method", "input-x-gradient"]
    return run(capsys, "explain", *words, *common)


def test_a_folder_with_equal_names(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = explain(capsys, "clips", "b.wav", "--method", "energy", "-o", "r", "--json")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) == 6
    assert len({line["files"]["evidence"] for line in lines}) == 6
    assert {Path(line["clip"]).name for line in lines} == {"a.wav", "b.wav"}
    for line in lines:
        check_line(line)
        assert all(Path(file).stat().st_size >= 0 for file in line["files"].values())
    page = (place / "r" / "index.html").read_text()
    assert page.count("<article") == 6
    assert "report: r/index.html" in err


def check_line(line: dict[str, Any]) -> None:
    wanted = {"clip", "method", "target", "label", "score", "mask", "controls", "files", "seconds"}
    assert wanted <= set(line)
    assert {"kind", "input", "evidence", "remainder"} == set(line["score"])
    assert line["score"]["kind"] in ("probability", "logit-difference", "value")
    for side in ("evidence", "remainder"):
        assert {"spectrogram", "audio"} == set(line["score"][side])
    assert {"area", "energy"} <= set(line["mask"])
    assert {"random", "energy"} == set(line["controls"])
    wanted = {"input", "evidence", "remainder", "attribution", "labels", "explanation"}
    assert wanted == set(line["files"])


def test_targets_and_contrasts(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = explain(
        capsys, "b.wav", "--target", "low", "--versus", "high", "-o", "r", "--json"
    )
    line = json.loads(out)
    assert code == 0
    assert (line["target"], line["label"]) == ("low versus high", "low")
    assert line["score"]["kind"] == "logit-difference"
    code, out, _ = explain(capsys, "b.wav", "-o", "r2", "--json", model="quality")
    line = json.loads(out)
    assert (code, line["label"], line["score"]["kind"]) == (0, "mos", "value")


def test_pieces_estimator_and_background_choose_the_method(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", "python:model.py:make", "--json"]
    code, out, _ = run(
        capsys, "explain", "b.wav", "--pieces", "hz x time", "--estimator", "kernel-shap",
        "--background", "noise-floor", "--set", "segments=2", "--set", "bands=2", "-o", "r",
        "--files", "pieces", *model,
    )  # fmt: skip
    line = json.loads(out)
    assert (code, line["method"]) == (0, "pieces")
    facts = json.loads((place / "r" / "b" / "pieces" / "explanation.json").read_text())
    assert [piece["name"] for piece in facts["pieces"]] == [
        "0.00-0.25 s, 0-4000 Hz", "0.25-0.50 s, 0-4000 Hz",
        "0.00-0.25 s, 4000-8000 Hz", "0.25-0.50 s, 4000-8000 Hz",
    ]  # fmt: skip
    assert facts["options"]["estimator"] == "kernel-shap"
    assert "piece-04" in line["files"]
    code, out, _ = run(capsys, "explain", "b.wav", "--method", "lime", "--pieces", "time", "-o",
                       "r2", *model)  # fmt: skip
    assert (code, json.loads(out)["method"]) == (0, "lime")
    for words, hint in (
        (["--pieces", "gird"], "did you mean 'grid'"),
        (["--estimator", "lima"], "did you mean 'lime'"),
        (["--background", "nowhere.wav"], "path of a sound file"),
        (["--pieces", "time", "--set", "bands=3"], "bands is not used by pieces time"),
    ):
        code, _, err = run(capsys, "explain", "b.wav", *words, "-o", "r3", *model)
        assert code == 2
        assert hint in err
        assert len(err.strip().splitlines()) == 1


def test_former_names_of_options_work_with_a_note(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--fill", "mean", "--pieces", "time", "--set", "components=0"]
    run(capsys, "explain", "b.wav", *words, "--model", "python:model.py:make", "-o", "new")
    facts = json.loads((place / "new" / "b" / "pieces" / "explanation.json").read_text())
    assert facts["options"]["background"] == "mean"
    _, _, err = run(
        capsys, "explain", "b.wav", "--method", "coughlime", "--set", "parts=3", "-o", "r",
        "--fill", "silence", "--set", "samples=20", "--model", "python:model.py:make",
    )  # fmt: skip
    facts = json.loads((place / "r" / "b" / "coughlime" / "explanation.json").read_text())
    assert facts["options"]["components"] == 3
    assert "--fill is called --background now" in err
    assert "option parts is called components now" in err
    with pytest.warns(FutureWarning, match="option fill is called background now"):
        settled = METHODS.get("lime").settle({"fill": "mean"})
    assert settled["background"] == "mean"


def test_existing_results_are_safe(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(capsys, "b.wav", "-o", "r")[0] == 0
    code, _, err = explain(capsys, "b.wav", "-o", "r")
    assert code == 2
    assert "--overwrite" in err
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
    assert "no report of earwitness" in err
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explain"], "Missing argument"),
        (["explian", "b.wav"], "did you mean 'explain'"),
        (["explain", "b.wav", "--method", "gradcan"], "did you mean 'gradcam'"),
        (["explain", "b.wav", "--target", "hihg"], "did you mean 'high'"),
        (["explain", "b.wav", "--keep", "a lot"], "keep is a share"),
        (["explain", "b.wav", "--set", "steps"], "NAME=VALUE"),
        (["explain", "b.wav", "--set", "stpes=3"], "option of input-x-gradient"),
        (["explain", "b.wav", "--model", "nonsense"], "no model called"),
        (["explain", "b.wav", "-o", "b.wav"], "a file, not a folder"),
        (["explain", "b.wav", "--seed", "-1"], "Invalid value"),
        (["explain", "b.wav", "--device", "gpu9"], "device 'gpu9'"),
        (["explain", "b.wav", "--start", "7"], "after the end"),
        (["explain", "nothing"], "no such file"),
        (["explain", "b.wav", "--end", "nan"], "seconds"),
        (["explain", "b.wav", "--start", "inf"], "seconds"),
        (["explain", "b.wav", "--device", "meta"], "device 'meta'"),
        (["explain", "b.wav", "--method", "lime", "--set", "samples=NaN"], "must be finite"),
        (["explain", "b.wav", "--method", "lime", "--set", "samples=few"], "must be a number"),
        (["predict", "nothing.wav"], "no such file"),
        (["train", "classifier", "--data", "nothing", "-o", "m"], "no such folder"),
        (["train", "classifier", "--data", ".", "-o", "m", "--folds", "a"], "folds are numbers"),
    ],
)
def test_wrong_usage_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    if "--model" not in words and words[0] == "explain" and len(words) > 1:
        words = [*words, "--model", "python:model.py:make"]
        if "--method" not in words:
            words += ["--method", "input-x-gradient"]
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err


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
    assert (place / "r" / "index.html").read_text(encoding="utf-8").count("<article") == 5


def test_a_model_that_fails_is_said_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = explain(capsys, "clips", "b.wav", "-o", "r", model="broken")
    assert (code, out) == (2, "")
    assert "ValueError while reading" in err
    assert "2 more times the same" in err
    assert len(err.splitlines()) == 2
    assert not (place / "r").exists()


def test_a_model_that_prints_stays_out_of_the_results(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = explain(capsys, "b.wav", "-o", "r", "--json", model="chatty")
    assert code == 0
    assert json.loads(out)["clip"].endswith("b.wav")


def test_layers_with_numbers_for_names_are_text(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", "b.wav", "--model", "python:model.py:layered", "--method", "gradcam"]
    code, _, _ = run(capsys, *words, "--set", "layer=0", "-o", "r")
    assert code == 0
    code, _, err = run(capsys, *words, "--set", "layer=7", "-o", "r2")
    assert code == 2
    assert "no layer called '7'" in err


def test_results_nobody_reads_leave_a_whole_report(place: Path) -> None:
    command = [sys.executable, "-m", "earwitness", "explain", "clips", "b.wav", "-o", "r"]
    command += ["--model", "python:model.py:make", "--method", "energy"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=place, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (place / "r" / "index.html").read_text().count("<article") == 1


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
    assert "cannot be written" in err
    assert len(err.splitlines()) == 1


def test_predictions(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["predict", "clips", "--model", "python:model.py:make", "--json"]
    code, out, _ = run(capsys, *words)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert len(lines) == 2
    assert {"clip", "task", "outputs", "label", "probability"} <= set(lines[0])
    assert lines[0]["outputs"][lines[0]["label"]] == lines[0]["probability"]
    assert run(capsys, *words[:-1])[1].count("high 0.") == 2


@pytest.mark.parametrize("verb", ["methods", "masks", "metrics", "models"])
def test_listings(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    _, out, _ = run(capsys, verb)
    names = [line.split()[0] for line in out.splitlines()]
    _, out, _ = run(capsys, verb, "--json")
    assert names == [json.loads(line)["name"] for line in out.splitlines()]
    assert names == sorted(names)
    if verb == "methods":
        wanted = "saliency input-x-gradient integrated-gradients gradcam lime occlusion random"
        assert set(wanted.split()) | {"energy", "all-ones"} <= set(names)


def test_facts_of_metrics_and_masks(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {
        verb: {
            one["name"]: one for one in map(json.loads, run(capsys, verb, "--json")[1].splitlines())
        }
        for verb in ("metrics", "masks")
    }
    drop = facts["metrics"]["average-drop"]
    assert (drop["direction"], drop["low"], drop["high"], drop["unit"]) == ("lower", 0, 100, "%")
    assert drop["needs"] == ["outputs"]
    assert facts["metrics"]["average-gain"]["options"] == {"tolerance": 0.001}
    assert facts["metrics"]["level"]["direction"] is None
    assert facts["metrics"]["si-sdr-source"]["needs"] == ["sound", "truth"]
    assert facts["metrics"]["si-sdr-source"]["high"] is None
    assert facts["masks"]["minmax"]["soft"]
    assert not facts["masks"]["top"]["soft"]
    assert facts["masks"]["threshold"]["example"] == "threshold:0.5+"


def test_masks_are_chosen_on_the_command(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = explain(capsys, "b.wav", "--keep", "minmax+,floor:-30dB", "-o", "r", "--json")
    mask = json.loads(out)["mask"]
    assert mask["rule"] == "minmax+,floor:-30dB"
    assert mask["soft"]
    assert "minmax+,floor:-30dB, soft" in (place / "r" / "index.html").read_text(encoding="utf-8")
    code, _, err = explain(capsys, "b.wav", "--keep", "top:5", "-o", "r2")
    assert code == 2
    assert "top is written like top:5%" in err


def test_command_and_call_agree(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import earwitness

    _, out, _ = explain(capsys, "b.wav", "-o", "r", "--json")
    line = json.loads(out)
    model = earwitness.load_model("python:model.py:make")
    called = earwitness.explain(model, "b.wav", "input-x-gradient")
    assert line["score"]["input"] == called.trust.input
    assert line["mask"]["area"] == called.mask.area
    loaded = earwitness.Explanation.load(Path(line["files"]["explanation"]).parent)
    np.testing.assert_allclose(loaded.attribution.values, called.attribution.values, rtol=2.0**-12)
    np.testing.assert_array_equal(loaded.mask.gains, called.mask.gains)


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
    assert "what was finished is kept" in err
    assert "Traceback" not in err
    names = {path.name for path in (place / "r").iterdir()}
    assert {"index.html", "report.json"} <= names
    assert not list((place / "r").rglob(".*"))
    done = [path.parent for path in (place / "r").rglob("explanation.json")]
    assert 0 < len(done) < 42
    assert all(len(list(folder.iterdir())) == 5 for folder in done)
    assert (place / "r" / "index.html").read_text().count("<article") == len(done)
