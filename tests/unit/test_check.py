"""``earwitness check``: models that are broken on purpose are found, and whole ones pass."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from earwitness.checking.finding import Finding
from earwitness.checking.methods import Trial, recommended
from earwitness.checking.report import Report, check_model
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from tests.command import run

RATE = 16000
CLASSES = {"low": 300.0, "middle": 1200.0, "high": 5000.0}  # Hz


class Bands(nn.Module):
    """Logarithms of the power in three bands: below 600 Hz, below 2.4 kHz, and above."""

    def forward(self, waves: Tensor) -> Tensor:
        power = torch.stft(waves, 512, 128, window=torch.hann_window(512), return_complex=True)
        power = power.abs().square()
        bands = [power[:, :19], power[:, 19:77], power[:, 77:]]
        return torch.stack([one.sum(1).mean(1) for one in bands], 1).add(1e-6).log()


class Softmax(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return super().forward(waves).softmax(1)


class Sigmoid(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return super().forward(waves).sigmoid()


class Drops(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(waves), 0.3, training=True)


class Stateful(Bands):
    """Adds a little more in every call."""

    calls = 0

    def forward(self, waves: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(waves) + self.calls


class Coupled(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return super().forward(waves / (waves.abs().amax() + 1e-6))


class Detached(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        with torch.no_grad():
            features = super().forward(waves)
        return features * torch.ones(3, requires_grad=True)


class Rounded(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return super().forward(waves).round()


class Numpy(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return super().forward(torch.from_numpy(waves.detach().numpy()))


class Dead(nn.Module):
    def forward(self, waves: Tensor) -> Tensor:
        return waves.sum(1, keepdim=True) * torch.zeros(1, 3) + torch.arange(3.0)


class Fragile(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return super().forward(waves / waves.abs().amax(1, keepdim=True))


class Long(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        if waves.shape[1] < RATE:
            raise ValueError(f"sound of {waves.shape[1]} samples is too short")
        return super().forward(waves)


class Stated(Bands):
    sample_rate = 22050


class Leveled(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return super().forward(waves / (waves.square().mean(1, keepdim=True).sqrt() + 1e-8))


def trained() -> nn.Module:
    return nn.Sequential(Bands(), nn.Dropout(0.5)).train()


def declared(network: nn.Module, **facts: Any) -> Model:
    facts = {"sample_rate": RATE, "labels": list(CLASSES), "output": "logits", **facts}
    return wrap(network, **facts)


def found(report: Report, name: str) -> Finding:
    return next(one for one in report.findings if one.name == name)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of noise."""
    path = tmp_path_factory.mktemp("sound") / "noise.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(2).standard_normal(RATE // 2), RATE)
    return path


def checked(model: Model, sound: Path) -> Report:
    return check_model(model, [sound], methods=False)


def grades(model: Model, sound: Path) -> dict[str, str]:
    return {one.name: one.grade for one in checked(model, sound).findings}


def test_nothing_is_broken_in_a_whole_model(sound: Path) -> None:
    found_grades = grades(declared(Bands().eval()), sound)
    assert set(found_grades.values()) <= {"ok", "note"}
    assert found_grades["lengths"] == "ok"


MULTI = {"task": "multi-label"}
BROKEN = [
    (Softmax(), {}, "outputs", "sum to one", "applied twice"),
    (Sigmoid(), MULTI, "outputs", "from 0 to 1", "applied twice"),
    (Bands(), {"output": "probabilities"}, "outputs", "of any size", "no probabilities"),
    (Sigmoid(), {"output": "probabilities"}, "outputs", "from 0 to 1", "do not sum to one"),
    (Drops(), {}, "repeatable", "from call to call", "dropout that stays on"),
    (Stateful(), {}, "repeatable", "from call to call", "a state that is kept"),
    (trained(), {}, "repeatable", r"in training mode: 1 layers \(1\)", "call eval"),
    (Coupled(), {}, "batch", "depend on the others", "batch=1"),
    (Detached(), {}, "gradients", "broken by torch.no_grad at line", "lime"),
    (Rounded(), {}, "gradients", r"zero everywhere: broken by round at line .*round\(\)", "lime"),
    (Numpy(), {}, "gradients", r"broken by detach at line .*numpy\(\)", "lime"),
    (Dead(), {}, "outputs", "the same for every sound", "weights may not be loaded"),
    (Fragile(), {}, "outputs", "fails on silence: .*NaN", "down to silence"),
    (Stated(), {}, "rate", "declared 16000 Hz, but Stated.sample_rate of the network is 22050",
     "sample_rate=22050"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("network", "facts", "name", "text", "advice"),
    BROKEN,
    ids=[f"{type(one[0]).__name__}-{one[2]}" for one in BROKEN],
)
def test_a_broken_model_is_found_for_its_reason(
    network: nn.Module, facts: dict[str, Any], name: str, text: str, advice: str, sound: Path
) -> None:
    report = checked(declared(network, **facts), sound)
    one = found(report, name)
    assert (one.grade, [k.name for k in report.findings if k.grade == "broken"]) == (
        "broken",
        [name],
    )
    assert re.search(text, one.text)
    assert advice in one.advice


class Pair(Bands):
    def forward(self, waves: Tensor) -> Any:
        return super().forward(waves), waves


class Framed(Bands):
    """The three bands of every frame."""

    def forward(self, waves: Tensor) -> Tensor:
        power = torch.stft(waves, 512, 128, window=torch.hann_window(512), return_complex=True)
        return power.abs()[:, ::100].transpose(1, 2)


def test_labels_that_are_not_as_many_as_outputs_end_no_check(sound: Path) -> None:
    report = checked(declared(Bands(), labels=["low", "high"]), sound)
    one = found(report, "labels")
    assert (one.grade, one.facts["labels"]) == ("broken", ["low", "high"])
    assert "2 labels were given, but the model has 3 outputs" in one.text
    assert found(report, "gradients").grade == "ok"


def test_a_check_that_fails_does_not_end_the_others(
    sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("sizes do not match\nat line 3")

    monkeypatch.setattr("earwitness.checking.report.check_level", fails)
    report = checked(declared(Bands().eval()), sound)
    one = found(report, "level")
    assert one.grade == "broken"
    assert one.text.startswith("could not be checked (RuntimeError: sizes do not match")
    assert found(report, "lengths").grade == "ok"


def test_outputs_that_cannot_be_read_are_broken_and_their_reason_is_said(sound: Path) -> None:
    one = found(checked(declared(Pair()), sound), "outputs")
    assert (one.grade, "wrap a module that returns the tensor" in one.text) == ("broken", True)


@pytest.mark.parametrize(
    "model",
    [
        lambda: declared(Framed(), per_frame=True),
        lambda: declared(Bands(), output="scores", labels=list(CLASSES)),
        lambda: declared(Bands(), lengths=(0.4, 0.4), batch=1),
        lambda: declared(Bands(), lengths=(None, 0.2), pool="max"),
        lambda: declared(Sigmoid(), output="probabilities", task="multi-label"),
    ],
    ids=["frames", "scores", "one length", "windows", "tagger"],
)
def test_other_kinds_of_whole_models_pass(model: Any, sound: Path) -> None:
    report = checked(model(), sound)
    assert [one.text for one in report.findings if one.grade == "broken"] == []


def test_the_call_that_declares_it_right_is_given_to_copy(sound: Path) -> None:
    report = checked(declared(Softmax()), sound)
    assert report.wrapping == (
        "earwitness.wrap(network, sample_rate=16000, output='probabilities', task='single-label', "
        "...)"
    )


def test_lengths_that_fail_are_to_be_declared(folder: Path) -> None:
    one = found(checked(declared(Long()), folder.parent / "long.wav"), "lengths")
    assert one.grade == "note"
    assert one.facts["refused"] == [0.3]
    assert one.declare == {"lengths": (1.0, None)}
    assert "fails at 0.3 s: Long: ValueError: sound of 4800 samples is too short" in one.text


def test_a_model_without_level_is_noted(sound: Path) -> None:
    assert grades(declared(Leveled()), sound)["level"] == "note"


def test_black_boxes_have_no_gradients_and_nothing_is_broken(sound: Path) -> None:
    network = Bands()
    box = wrap(lambda waves: network(torch.from_numpy(waves)), sample_rate=RATE, output="logits",
               labels=list(CLASSES))  # fmt: skip
    found_grades = grades(box, sound)
    assert "broken" not in found_grades.values()
    assert (found_grades["gradients"], found_grades["layers"]) == ("note", "note")


def write_tones(place: Path) -> np.ndarray:
    """Write eight tones in noise of each class, in folders with their names; return the last."""
    generator = np.random.default_rng(5)
    time = np.arange(RATE // 4) / RATE
    for name, frequency in CLASSES.items():
        (place / name).mkdir()
        for number in range(8):
            tone = np.sin(2 * np.pi * frequency * (1 + 0.02 * number) * time)
            noise = 0.01 * generator.standard_normal(len(time))
            soundfile.write(place / name / f"{number}.wav", 0.3 * tone + noise, RATE)
    return tone


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("labelled")
    tone = write_tones(place)
    soundfile.write(place.parent / "long.wav", np.tile(tone, 8), RATE)
    return place


def on(folder: Path, model: Model) -> Report:
    return check_model(model, sorted(folder.rglob("*.wav")), methods=False)


def test_accuracy_is_of_sounds_in_folders_named_as_labels(folder: Path) -> None:
    report = on(folder, declared(Bands()))
    assert not report.broken
    assert found(report, "accuracy").facts["accuracy"] == 1.0
    assert found(report, "accuracy").facts["sounds"] == 24


def test_permuted_labels_are_found(folder: Path) -> None:
    report = on(folder, declared(Bands(), labels=["middle", "low", "high"]))
    one = found(report, "order of labels")
    assert one.grade == "broken"
    assert one.facts["answered_as"] == {"middle": "low", "low": "middle"}
    assert (one.facts["right"], one.facts["reordered"]) == (8, 24)


class Calibrated(Bands):
    """Knows the bands at 16 kHz only: whatever is slower or faster is in another band."""


def test_a_wrong_rate_is_found_by_the_accuracy(folder: Path) -> None:
    report = on(folder, declared(Calibrated(), sample_rate=48000))
    one = found(report, "rate and scale")
    assert (one.grade, one.declare) == ("broken", {"sample_rate": 16000})
    assert one.facts["accuracy"] == 1.0


class Sixteen(Bands):
    """Takes samples of 16 bits, and anything quieter than one step for silence."""

    def forward(self, waves: Tensor) -> Tensor:
        loud = (waves.abs().amax(1, keepdim=True) > 1).float()
        return super().forward(waves / 32768) * loud + torch.tensor([0.0, 0.0, 1e-3])


def test_another_scale_of_samples_is_found_by_the_accuracy(folder: Path) -> None:
    one = found(on(folder, declared(Sixteen())), "rate and scale")
    assert (one.grade, one.advice) == ("broken", "multiply the waves by 32768")


class Guesses(nn.Module):
    """Follows nothing that has to do with the class."""

    def forward(self, waves: Tensor) -> Tensor:
        return torch.stack([waves[:, 7], waves[:, 700], waves[:, 2000]], 1) * 50


def test_chance_is_no_other_order_of_labels(folder: Path) -> None:
    report = on(folder, declared(Guesses()))
    assert found(report, "order of labels").grade == "ok"
    assert found(report, "accuracy").grade == "broken"


def test_a_method_is_recommended_that_applies_and_adds_up() -> None:
    lime, whole = Trial("lime", "", 1.0), Trial("integrated-gradients", "", 1.0, None, 0.01)
    off = Trial("integrated-gradients", "", 1.0, None, 0.3)
    no = Trial("integrated-gradients", "no gradients")
    assert recommended([whole, lime])[0] == "integrated-gradients"
    assert recommended([off, lime])[0] == "lime"
    assert recommended([no, lime])[0] == "lime"
    assert recommended([no]) == ("", "")


MODEL = """
import torch
import earwitness

class Net(torch.nn.Module):
    def forward(self, waves):
        power = torch.fft.rfft(waves, 1024).abs().square()
        found = torch.stack([power[:, :200].sum(1), power[:, 200:].sum(1)], 1).add(1e-3).log()
        return found{end}

def make():
    return earwitness.wrap(Net(), sample_rate=8000, labels=["low", "high"], output="logits")
"""


def test_the_command_says_what_applies_and_exits_by_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(2000), 8000)
    for name, end in (("good", ""), ("soft", ".softmax(1)"), ("bad", ".reshape(7, 7)")):
        (tmp_path / f"{name}.py").write_text(MODEL.replace("{end}", end))
    sound, names = str(tmp_path / "a.wav"), "python:{}/{}.py:make".format
    code, text, _ = run(capsys, "check", names(tmp_path, "good"), sound, "--json")
    report = json.loads(text)
    assert (code, report["broken"], report["first"]) == (0, False, "integrated-gradients")
    rows = {row["method"]: row for row in report["methods"]}
    assert rows["integrated-gradients"]["completeness_gap"] < 0.05
    assert rows["lime"]["applies"]
    assert rows["lime"]["seconds"] > 0
    assert not rows["gradcam"]["applies"]
    assert "no layer" in rows["gradcam"]["reason"]
    assert report["command"].endswith("--method integrated-gradients")
    code, text, _ = run(capsys, "check", names(tmp_path, "soft"), sound, "--no-methods")
    assert code == 1
    assert "BROKEN outputs" in text
    assert "a softmax would be applied twice" in text
    code, _, error = run(capsys, "check", names(tmp_path, "bad"), sound, "--no-methods")
    assert code == 2
    assert "reshape" in error or "shape" in error
    assert "\n" not in error.strip()
