"""One explanation for every label above a threshold: ``--target above:0.5``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from earwitness.audio import write_audio
from earwitness.errors import ParameterError
from earwitness.jobs.targets import each_target, label_folders, parts_of
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.subject import open_subject
from earwitness.types import Audio, Request
from tests.command import run

RATE = 16000
# the power of three tones decides three labels by itself; a fourth label is never decided
MODEL = """
import numpy as np, earwitness

def evaluate(waves):
    power = np.abs(np.fft.rfft(waves[:, :16000])) ** 2 / 8000 ** 2
    bands = [power[:, f - 50:f + 50].sum(1) for f in (500, 2000, 5000, 7000)]
    return np.stack([1 - np.exp(-20 * band) for band in bands], 1)

def make(task="multi-label", labels=("low", "Mid", "mid", "none/such"), output="probabilities"):
    return earwitness.wrap(evaluate, sample_rate=16000, labels=list(labels), output=output,
                           task=task, name="tones")

def value():
    return make("regression", output="scores")
"""


def wave(*tones: tuple[float, float]) -> np.ndarray:
    times = np.arange(RATE) / RATE
    return sum(a * np.sin(2 * np.pi * f * times) for a, f in tones).astype(np.float32)


def model(labels: tuple[str, ...] = ("low", "Mid", "mid", "none/such")) -> Model:
    space: dict[str, object] = {}
    exec(MODEL, space)
    made = space["make"](labels=labels)  # type: ignore[operator]
    assert isinstance(made, Model)
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(MODEL)
    Path("sounds").mkdir()
    # probabilities 1 - exp(-20 a^2): of 0.3 0.835, of 0.2 0.551, of 0.25 0.713, of 0.05 0.049
    sounds = {"two": [(0.3, 2000), (0.2, 500)], "one": [(0.25, 5000)], "quiet": [(0.05, 500)]}
    for name, tones in sounds.items():
        write_audio(Path("sounds") / f"{name}.wav", Audio(wave(*tones), RATE))
    return tmp_path


def parts(place: Path) -> list[str]:
    return sorted(str(one.parent.relative_to(place)) for one in place.rglob("explanation.json"))


WORDS = ("--model", "python:model.py:make", "--trust", "none", "--no-curve", "-o", "out")


def test_every_label_above_is_explained_and_a_sound_without_one_is_no_failure(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--method", "occlusion", "--method", "energy", "--json"]
    code, out, err = run(capsys, "explain", "sounds", *WORDS, *words, "--target", "above:0.5")
    assert code == 0
    found = [json.loads(line) for line in out.splitlines()]
    assert [(Path(one["clip"]).stem, one["method"], one["label"]) for one in found] == [
        ("one", "occlusion", "mid"), ("one", "energy", "mid"),
        ("two", "occlusion", "Mid"), ("two", "occlusion", "low"),
        ("two", "energy", "Mid"), ("two", "energy", "low"),
    ]  # fmt: skip
    assert err.count("sounds/quiet.wav: no label is above 0.5; the largest is low, 0.049") == 1
    assert parts(folder / "out") == [
        "one/energy@mid-2", "one/occlusion@mid-2",
        "two/energy@Mid-1", "two/energy@low", "two/occlusion@Mid-1", "two/occlusion@low",
    ]  # fmt: skip
    page = (folder / "out" / "index.html").read_text()
    assert page.count('<span class="by">energy, <bdi>low</bdi></span>') == 1
    assert page.count('<span class="by">energy</span>') == 1  # the sound of one label
    assert page.count('<bdi>Mid</bdi> <span class="soft">and 1 more</span></td>') == 1


def test_a_repeated_run_makes_nothing_again_and_a_lower_threshold_is_another_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", "sounds/two.wav", *WORDS, "--method", "occlusion"]
    assert run(capsys, *words, "--target", "above:0.5")[0] == 0
    record = folder / "out" / "two" / "occlusion@low" / "explanation.json"
    before = record.stat().st_mtime_ns
    assert run(capsys, *words, "--target", "above:0.5")[0] == 0
    assert record.stat().st_mtime_ns == before
    code, _, err = run(capsys, *words, "--target", "above:0.6")
    assert code == 2
    assert "target above:0.5, not above:0.6" in err
    assert run(capsys, *words, "--target", "above:0.6", "--overwrite")[0] == 0
    assert parts(folder / "out") == ["two/occlusion@Mid-1"]


def test_nothing_above_leaves_no_folder_and_is_no_failure(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", "sounds/quiet.wav", *WORDS, "--method", "occlusion"]
    code, _, err = run(capsys, *words, "--target", "above:0.5")
    assert code == 0
    assert "no label is above 0.5" in err
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("function", "words", "wanted"),
    [
        ("make", ["above:1"], "above: is followed by a probability below 1"),
        ("make", ["above:-0.1"], "above: is followed by a probability below 1"),
        ("make", ["above:half"], "above: is followed by a probability below 1"),
        ("make", ["above:nan"], "above: is followed by a probability below 1"),
        ("make", ["above:0.5", "--versus", "low"], "versus compares one target with another"),
        ("value", ["above:0.5"], "gives values and no labels"),
    ],
)
def test_what_cannot_be_above_is_said_before_the_work(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    function: str,
    words: list[str],
    wanted: str,
) -> None:
    some = ["explain", "sounds", "--method", "occlusion", "--model", f"python:model.py:{function}"]
    code, _, err = run(capsys, *some, "--target", *words, "-o", "out")
    assert code == 2
    assert wanted in err
    assert not (folder / "out").exists()


def test_the_largest_is_first_and_the_probability_is_that_of_the_span() -> None:
    frames = np.array([[0.9, 0.1], [0.2, 0.8]], dtype=np.float32)  # (frame, output)
    made = wrap(
        lambda waves: np.stack([frames] * len(waves)), sample_rate=RATE, labels=["a", "b"],
        output="probabilities", task="multi-label", per_frame=True,
    )  # fmt: skip
    subject = open_subject(made, Audio(wave((0.1, 500)), RATE))

    def found(**kwargs: object) -> list[object]:
        request = Request("occlusion", target="above:0.3", **kwargs)  # type: ignore[arg-type]
        return [one.target for _, one in each_target(made, lambda: subject, request)]

    assert found() == [0, 1]  # means 0.55 and 0.45
    assert found(span=(0.0, 0.5)) == [0]
    assert found(span=(0.5, 1.0)) == [1]


def test_labels_that_are_alike_as_folders_have_folders_of_their_own() -> None:
    labels = ("a/b", "a_b", "A b", "c")
    names = parts_of(model(labels), Request("lime", target="above:0"))
    assert names == ("lime@a_b-0", "lime@a_b-1", "lime@A b", "lime@c")


def test_a_label_of_that_name_is_a_target() -> None:
    made = model(("above:0.5", "b", "c", "d"))
    assert parts_of(made, Request("lime", target="above:0.5")) == ("lime",)
    found = explain(
        made, Audio(wave((0.3, 500)), RATE), "occlusion", target="above:0.5", trust="none"
    )
    assert found.target.label == "above:0.5"


def test_one_explanation_has_one_target() -> None:
    with pytest.raises(ParameterError, match="stands for several targets"):
        explain(model(), Audio(wave((0.3, 500)), RATE), "occlusion", target="above:0.5")


def test_every_label_has_a_folder_of_its_own() -> None:
    labels = ["a/b", "a_b", "a_b-1", "A_B-0", "c"]
    model = wrap(lambda waves: np.zeros((len(waves), 5)), sample_rate=RATE, labels=labels,
                 output="scores")  # fmt: skip
    found = label_folders(model, "lime")
    assert found == ["lime@a_b-0-0", "lime@a_b-1-1", "lime@a_b-1", "lime@A_B-0", "lime@c"]
