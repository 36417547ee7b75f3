"""The page of interpretations, case by case, on made sounds and toy models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from earwitness.audio import read_audio
from earwitness.cli.l2i_cases import (
    LEVEL,
    misclassified,
    several_labels,
    with_noise,
    with_others,
)
from earwitness.data.collection import Item
from earwitness.decoders.dictionary import DictionarySettings
from earwitness.explanation import Explanation
from earwitness.models.wrapping import wrap
from earwitness.train.contamination import Contamination
from earwitness.train.interpreters.l2i import train_l2i
from earwitness.train.interpreters.settings import InterpreterSettings
from tests.command import run
from tests.toys import RATE, Magnitude, RegionNet
from tests.training import STRIDE, coarse

SETTINGS = InterpreterSettings(
    epochs=2, batch=6, crop=1.5, contamination=Contamination(kinds=()),
    dictionary=DictionarySettings(components=4, passes=1, batch=128),
)  # fmt: skip
MODELS = """
from earwitness.models.wrapping import wrap
from tests.toys import RATE, Magnitude, RegionNet
from tests.training import coarse

def tagger(labels=("high", "low")):
    return wrap(RegionNet(stride=3).eval(), sample_rate=RATE, labels=list(labels),
                features=Magnitude(), task="multi-label")

def stranger():
    return tagger(("high", "rain"))
"""


@pytest.fixture
def data(sounds: list[Path], tmp_path: Path) -> Path:
    """The sounds as a collection: fold 4 of two classes, one sound of which is labelled wrongly."""
    folder = tmp_path / "data"
    (folder / "audio").mkdir(parents=True)
    rows = ["filename,fold,category"]
    for number, path in enumerate(sounds[:6]):
        (folder / "audio" / path.name).write_bytes(path.read_bytes())
        label = ("high", "low")[(number + (number == 3)) % 2]
        rows.append(f"{path.name},4,{label}")
    (folder / "table.csv").write_text("\n".join(rows))
    return folder


def items(sounds: list[Path]) -> list[Item]:
    return [Item(path, ("high", "low")[k % 2], 4) for k, path in enumerate(sounds[:6])]


def test_the_command_makes_every_case_and_resumes(
    data: Path, sounds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.py").write_text(MODELS)
    one, two = coarse(), wrap(
        RegionNet(stride=STRIDE).eval(), sample_rate=RATE, labels=["high", "low"],
        features=Magnitude(), task="multi-label",
    )  # fmt: skip
    for name, model in (("i", one), ("t", two)):
        train_l2i(model, sounds[:12], sounds[12:], SETTINGS, tmp_path / name)
    out = tmp_path / "out"
    words = ["bench", "l2i-page", "--data", str(data), "--clips", "1", "-o", str(out)]
    words += ["--model", f"python:{tmp_path}/model.py:coarse", "--interpreter", str(tmp_path / "i")]
    words += ["--tagger", f"python:{tmp_path}/model.py:tagger"]
    words += ["--tagger-interpreter", str(tmp_path / "t")]
    code, _, error = run(capsys, *words)
    assert code == 0, error
    assert "flint: left out" in error
    record = json.loads((out / "report.json").read_text())
    found = {name.split("/")[0]: 0 for name in record["sounds"]}
    for name in record["sounds"]:
        found[name.split("/")[0]] += 1
    assert list(found.values()) == [3, 1, 1, 1]  # a with c, b, d, e
    (mixture,) = [name for name in record["sounds"] if "mixture" in name]
    made = {place.parent.name for place in (out / mixture).glob("*/explanation.json")}
    assert made == {"l2i", "iba"}
    (wrong,) = [name for name in record["sounds"] if "taken for" in name]
    assert Explanation.load(out / wrong / "l2i").target.label in wrong.split("taken")[1]
    (several,) = [out / name for name in record["sounds"] if name.startswith("e")]
    decided = {place.name for place in several.glob("l2i-*")}
    labels = {Explanation.load(several / name).target.index for name in decided}
    assert decided == {f"l2i-{index}" for index in labels}
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count('<tr class="sound"') == 6
    assert "flint: left out, since no folder was given (--flint DIR)" in page
    models = "(a) to (d) by a single-label model with 2 outputs at 16000 Hz, (e) by a multi-label"
    assert f"6 sounds</span> explained; {models} model with 2 outputs at 16000 Hz" in page
    before = {path: path.stat().st_mtime_ns for path in out.rglob("explanation.json")}
    code, printed, error = run(capsys, *words)
    assert (code, printed) == (0, "")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("explanation.json")} == before
    code, _, error = run(capsys, *words, "--seed", "1")
    assert code == 2
    assert "other options, sounds or folders" in error


def test_mixtures_have_the_stated_level_and_sum_up(sounds: list[Path]) -> None:
    target, other, mixture = with_others(coarse(), items(sounds), 1, 0, {}, {})
    powers = [float((one.samples.astype(np.float64) ** 2).mean()) for one in (target, other)]
    assert_allclose(10 * np.log10(powers[0] / powers[1]), LEVEL, atol=1e-3)
    assert_allclose(target.samples + other.samples, mixture.samples, atol=1e-6)
    assert_allclose(next(iter(mixture.sources.values())), target.samples)
    assert list(mixture.sources) == [target.name.split(", ")[-1], other.name.split(", ")[-1]]


def test_white_noise_has_the_power_of_the_sound(sounds: list[Path]) -> None:
    (case,) = with_noise(coarse(), items(sounds), 1, 0, {})
    sound, noise = case.sources.values()
    # 40,000 samples: a standard error of 0.7 %
    assert_allclose((noise**2).mean(), (sound**2).mean(), rtol=0.03)
    assert_allclose(sound + noise, case.samples, atol=1e-6)


def test_only_sounds_that_the_model_decides_wrongly_are_misclassified(sounds: list[Path]) -> None:
    right = items(sounds)
    swapped = replace(right[3], label="high")
    found = list(misclassified(coarse(), [*right[:3], swapped, *right[4:]], 3, 0, {}))
    assert [case.name for case in found] == ["1 high taken for low"]
    assert_allclose(found[0].samples, read_audio(sounds[3], rate=RATE).samples)


@pytest.mark.parametrize(("bias", "wanted"), [((0, 0), [0, 1]), ((0, -9), [0]), ((-9, -9), [1])])
def test_the_labels_that_a_tagger_decides_are_explained(
    bias: tuple[float, float], wanted: list[int], sounds: list[Path]
) -> None:
    net = RegionNet().eval()
    with torch.no_grad():
        net.head.bias.copy_(torch.tensor(bias))
    tagger = wrap(net, sample_rate=RATE, labels=["high", "low"], features=Magnitude(),
                  task="multi-label")  # fmt: skip
    (case,) = several_labels(tagger, items(sounds), 1, 0, {"interpreter": "i"})
    wave = torch.from_numpy(case.samples)[None]
    with torch.no_grad():
        logits = tagger(wave)[0]
    decided = (logits >= 0).nonzero().flatten().tolist() or [int(logits.argmax())]
    assert [request.target for request in case.requests.values()] == decided == wanted
    assert {request.method for request in case.requests.values()} == {"l2i"}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--tagger", "esc10"], "are given together"),
        (["--tagger", "MODEL:stranger", "--tagger-interpreter", "t"], "fewer than two classes"),
        (["--clips", "40"], "too few for 40 different mixtures"),
        (["--fold", "3"], "fold 3 has no sounds of two classes"),
        (["--model", "MODEL:tagger"], "does not decide one class of many"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(
    words: list[str], text: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.py").write_text(MODELS)
    place = f"python:{tmp_path}/model.py"
    words = [word.replace("MODEL", place) for word in words]
    model = [] if "--model" in words else ["--model", f"{place}:coarse"]
    code, _, error = run(
        capsys, "bench", "l2i-page", "--data", str(data), *model, *words, "-o", str(tmp_path / "o")
    )
    assert code == 2
    assert text in error
    assert not (tmp_path / "o").exists()
