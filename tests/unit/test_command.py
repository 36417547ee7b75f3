"""The command as a person uses it: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.methods.registry import METHODS
from tests.command import explain, run
from tests.pages import clips, methods, names


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
    assert sum(map(len, methods(place / "r" / "index.html"))) == 6
    assert "report: r/index.html" in err


def test_sub_folders_are_kept(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("north/dawn", "south/dawn", "north"):
        (place / "rec" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(place / "b.wav", place / "rec" / f"{name}.wav")
    words = ("rec", "--method", "energy", "-o", "r", "--trust", "none")
    for again in ((), ("--overwrite",)):
        code, out, _ = explain(capsys, *words, *again)
        assert code == 0
        found = sorted(str(path.parent.relative_to("r")) for path in Path("r").rglob("input.wav"))
        # north.wav cannot lie around the sounds of the folder north
        assert found == ["north/dawn", "rec/north", "south/dawn"]
        heads = names(Path("r/index.html"))
        assert heads == ["north/dawn.wav", "rec/north.wav", "south/dawn.wav"]
        assert "rec/south/dawn.wav: " in out
    assert explain(capsys, "b.wav", *words[1:], "--overwrite")[0] == 0
    assert sorted(str(one) for one in Path("r").iterdir()) == [
        "r/b",
        "r/index.html",
        "r/report.json",
    ]


def test_recorders_with_equal_names_are_told_apart(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("north", "south"):
        (place / name).mkdir()
        shutil.copy(place / "b.wav", place / name / "dawn.wav")
    code, *_ = explain(capsys, "north", "south/dawn.wav", "--method", "energy", "-o", "r")
    assert code == 0
    assert names(Path("r/index.html")) == ["dawn.wav", "south/dawn.wav"]


def check_line(line: dict[str, Any]) -> None:
    wanted = {"clip", "method", "target", "label", "score", "mask", "controls", "files", "seconds"}
    wanted |= {"effect", "verdict"}
    assert wanted <= set(line)
    assert {"kind", "input", "evidence", "remainder"} == set(line["score"])
    assert line["score"]["kind"] in ("probability", "logit-difference", "value")
    for side in ("evidence", "remainder"):
        assert {"spectrogram", "audio"} == set(line["score"][side])
    assert {"area", "energy"} <= set(line["mask"])
    assert {"random", "energy", "silence"} == set(line["controls"])
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
    assert "--fill is now --background" in err
    assert "option parts is now components" in err
    with pytest.warns(FutureWarning, match="option fill is called background now"):
        settled = METHODS.get("lime").settle({"fill": "mean"})
    assert settled["background"] == "mean"


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


def test_a_model_that_fails_is_said_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = explain(capsys, "clips", "b.wav", "-o", "r", model="broken")
    assert (code, out) == (2, "")
    assert "ValueError: five seconds only (while reading" in err
    assert "the same for 2 more" in err
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


def test_predictions(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["predict", "clips", "--model", "python:model.py:make", "--json"]
    code, out, _ = run(capsys, *words)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert len(lines) == 2
    assert {"clip", "task", "outputs", "label", "probability"} <= set(lines[0])
    assert lines[0]["outputs"][lines[0]["label"]] == lines[0]["probability"]
    assert run(capsys, *words[:-1])[1].count("high 0.") == 2
    line = run(capsys, "predict", "clips", "--model", "python:model.py:several")[1].splitlines()[0]
    shown = [part.split()[0] for part in line.split(": ", 1)[1].split(", ")]
    assert shown == ["a", "b", "c", "d"]  # values of a regression do not compete


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


def test_options_of_a_method_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "methods", "lrp")
    assert "  rule=composite (one of composite, epsilon, gamma)\n      Composite: gamma for" in out
    assert "  gamma=0.25 (at least 0)\n      Weight of the positive" in out
    _, out, _ = run(capsys, "methods")
    assert "[samples=25 (at least 1), noise=0.15 (positive)]" in out
    _, out, _ = run(capsys, "methods", "smoothgrad", "--json")
    facts = json.loads(out)
    assert facts["options"] == {"samples": 25, "noise": 0.15}
    assert facts["random"]
    assert facts["declared"]["noise"] == {
        "type": "float", "low": 0, "high": None, "low_open": True, "high_open": False,
        "choices": [],
        "description": METHODS.get("smoothgrad").declared["noise"].description,
    }  # fmt: skip
    assert "did you mean 'lime'" in run(capsys, "methods", "lim")[2]


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
    (shown,) = clips(place / "r" / "index.html")[0]["explanations"]
    assert (shown["keep"], shown["mask"]["soft"]) == ("minmax+,floor:-30dB", True)
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
