"""``bench GRID`` and ``evaluate`` as a person uses them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.command import MODEL, run

RATE = 16000


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three sounds and a model in a file, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "clips").mkdir()
    rng = np.random.default_rng(0)
    for k in range(3):
        wave = 0.1 * rng.standard_normal(6000)
        soundfile.write(tmp_path / "clips" / f"{k}.wav", wave, RATE)
    return tmp_path


WORDS = ("evaluate", "python:model.py:make", "clips", "--method", "input-x-gradient")


def test_evaluate(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *WORDS, "--keep", "area:10%", "--keep", "minmax+", "-o", "found")
    assert code == 0
    assert "mask area:10% (binary)" in out
    assert "mask minmax+ (soft)" in out
    for method in ("input-x-gradient", "random", "energy", "all-ones", "all-zeros"):
        assert f"| {method} |" in out
    assert str(Path("found") / "index.html") in err
    assert {"cells.jsonl", "table.md", "figures.csv", "index.html"} <= {
        path.name for path in (place / "found").iterdir()
    }
    lines = (place / "found" / "cells.jsonl").read_text()
    # called again, it has nothing left to do and says the same
    again = run(capsys, *WORDS, "--keep", "area:10%", "--keep", "minmax+", "-o", "found")
    assert again[:2] == (0, out)
    assert (place / "found" / "cells.jsonl").read_text() == lines
    code, _, err = run(capsys, *WORDS, "--keep", "80%", "-o", "found")
    assert code == 2
    assert "holds a run with other masks" in err


def test_evaluate_as_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "clips" / "bad.wav").write_text("not a sound")
    words = ("--keep", "area:10%", "--json", "--no-listening", "--seed", "0", "--seed", "1")
    code, out, err = run(capsys, *WORDS, *words)
    assert code == 1
    assert "bad.wav" in err
    rows = [json.loads(line) for line in out.splitlines()]
    (row,) = (r for r in rows if (r["method"], r["mask"]) == ("input-x-gradient", "area:10%"))
    assert row["sounds"] == 3
    names = {(one["metric"], one["route"]) for one in row["figures"]}
    assert {("faithfulness", "audio"), ("faithfulness", "spectrogram"), ("level", "mask")} <= names
    assert all({"random", "energy"} == set(one["against"]) for one in row["figures"])
    assert not (place / "earwitness-evaluation" / "examples").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "python:model.py:make", "clips", "--method", "limes"), "did you mean 'lime'"),
        (("evaluate", "python:model.py:make", "clips", "--target", "dog"), "'dog'"),
        (("evaluate", "python:model.py:make", "nowhere"), "nowhere"),
        (("evaluate", "python:model.py:make", "clips", "--keep", "10"), "keep is a share"),
        (("evaluate", "python:model.py:make", "clips", "--metric", "x"), "no metric called 'x'"),
        (("bench", "locate"), "speed, localisation"),
        (("bench", "localisation", "--data", "clips"), "no such folder; --data holds esc10"),
        (("bench", "nothing.toml"), "cannot be read"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(
    words: tuple[str, ...], message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *words)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_grid_from_a_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "grid.toml").write_text(
        'models = ["python:model.py:make"]\n'
        'methods = ["saliency", {name = "lime", samples = 20}]\n'
        'masks = ["area:10%"]\nmetrics = ["insertion", "deletion", "faithfulness"]\n'
        'seeds = [0, 1]\n[sounds]\nkind = "folder"\npaths = ["clips"]\ntarget = "high"\n'
    )
    code, _, err = run(capsys, "bench", "grid.toml", "--no-listening")
    assert code == 0
    assert "3 sounds left" in err
    text = (place / "earwitness-grid" / "figures.csv").read_text()
    table = list(csv.DictReader(io.StringIO(text)))
    lime = {
        (row["metric"], row["route"]): row
        for row in table
        if row["method"] == "lime" and row["mask"] == ""
    }
    assert set(lime) == {
        (m, r) for m in ("insertion", "deletion") for r in ("spectrogram", "audio")
    }
    assert float(lime["insertion", "audio"]["seed_spread"]) > 0
    saliency = [
        row for row in table if row["method"] == "saliency" and row["metric"] == "insertion"
    ]
    assert [float(row["seed_spread"]) for row in saliency] == [0, 0]
    assert (
        "\n\n### python:model.py:make: sounds: "
        in (place / "earwitness-grid" / "table.md").read_text()
    )


def test_a_value_is_evaluated_by_its_own_metrics(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "value.py").write_text(
        MODEL + "\n\ndef value():\n"
        "    return earwitness.wrap(Bands(), sample_rate=16000, labels=['a', 'b'],"
        " output='scores')\n"
    )
    words = ("evaluate", "python:value.py:value", "clips", "--method", "input-x-gradient")
    code, out, _ = run(capsys, *words, "--keep", "area:10%", "--json", "-o", "found")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    named = {figure["metric"] for row in rows for figure in row["figures"]}
    assert "faithfulness-logit" in named
    # a value has no probability: nothing that is one may be reported
    assert not named & {"faithfulness", "average-drop", "average-increase", "fidelity", "log-odds"}
    page = (place / "found" / "index.html").read_text(encoding="utf-8")
    assert "best, median and worst are by faithfulness-logit" in page
