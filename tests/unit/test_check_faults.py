"""``earwitness check``: faults that look like others, hide behind a second path, or are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from earwitness.checking.finding import Finding
from earwitness.checking.report import check_model
from earwitness.clips import find_clips
from earwitness.data.collection import table_labels
from tests.unit.test_check import Bands, declared, found, write_tones


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight tones in noise of each class, in folders with their names."""
    place = tmp_path_factory.mktemp("tones")
    write_tones(place)
    return sorted(place.rglob("*.wav"))


def test_a_wrong_rate_is_not_taken_for_permuted_labels(tones: list[Path]) -> None:
    report = check_model(declared(Bands(), sample_rate=8000), tones, methods=False)
    assert found(report, "rate and scale").declare == {"sample_rate": 16000}
    assert found(report, "rate and scale").facts["accuracy"] == 1.0
    assert [one.name for one in report.findings if one.grade == "broken"] == ["rate and scale"]


def test_permuted_labels_are_not_taken_for_a_wrong_rate(tones: list[Path]) -> None:
    model = declared(Bands(), labels=["high", "low", "middle"])
    report = check_model(model, tones, methods=False)
    assert [one.name for one in report.findings if one.grade == "broken"] == ["order of labels"]
    assert found(report, "order of labels").facts["reordered"] == 24


def test_a_file_that_cannot_be_read_is_left_out_and_not_wrong(
    tones: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "low").mkdir()
    bad = tmp_path / "low" / "bad.wav"
    bad.write_bytes(b"no sound")
    model = declared(Bands())
    model.loaded = "python:made.py:make"
    report = check_model(model, [bad, *tones], methods=False)
    one = found(report, "accuracy")
    assert (one.grade, one.facts["accuracy"], one.facts["sounds"]) == ("note", 1.0, 24)
    assert one.facts["sounds_left_out"] == ["bad.wav"]
    assert "bad.wav" not in report.command
    assert str(tones[2]) in report.command  # the next of every third file


class Beside(Bands):
    """Nine tenths of each band's level under no_grad, the rest not."""

    def forward(self, waves: Tensor) -> Tensor:
        with torch.no_grad():
            most = 0.9 * super().forward(waves)
        return most + 0.1 * super().forward(waves)


class Looked(Bands):
    """Detaches a copy of its input that has no share in the outputs."""

    def forward(self, waves: Tensor) -> Tensor:
        self.peak = waves.detach().abs().amax(1)
        return super().forward(waves)


class Rooted(nn.Module):
    """Levels without anything under the root, whose slope at silence is infinite."""

    def forward(self, waves: Tensor) -> Tensor:
        power = torch.stft(waves, 512, 128, window=torch.hann_window(512), return_complex=True)
        parts = [power.abs().square()[:, k::3].sum(1).sqrt().mean(1) for k in range(3)]
        return torch.stack(parts, 1)


class Sure(Bands):
    def forward(self, waves: Tensor) -> Tensor:
        return (20 * super().forward(waves) + 60).sigmoid()


def gradients(network: nn.Module, tones: list[Path], **facts: Any) -> Finding:
    return found(check_model(declared(network, **facts), tones[:1], methods=False), "gradients")


def test_a_front_end_under_no_grad_beside_another_path_is_found(tones: list[Path]) -> None:
    one = gradients(Beside(), tones)
    assert one.grade == "broken"
    # A logarithm of power rises by twice the relative gain; the gradient keeps a tenth of that.
    assert "leave out a path from the waveform (0.2 of a slope of 2)" in one.text
    assert "broken by torch.no_grad at line" in one.text


def test_detaching_what_has_no_share_in_the_outputs_breaks_nothing(tones: list[Path]) -> None:
    assert gradients(Looked(), tones).grade == "ok"


def test_gradients_that_are_infinite_in_silence_are_noted(tones: list[Path]) -> None:
    one = gradients(Rooted(), tones)
    assert one.grade == "note"
    assert "infinite or undefined for a sound that is silent in part" in one.text


def test_outputs_that_are_exactly_one_break_no_gradients(tones: list[Path]) -> None:
    one = gradients(Sure(), tones, output="probabilities", task="multi-label")
    assert (one.grade, "exactly 0 or 1" in one.text) == ("note", True)


def test_labels_of_a_table_are_read(tones: list[Path], tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    rows = ["filename,fold,category"]
    for k, tone in enumerate(tones):
        (tmp_path / "audio" / f"{k}.wav").write_bytes(tone.read_bytes())
        rows.append(f"{k}.wav,1,{tone.parent.name}")
    (tmp_path / "tones.csv").write_text("\n".join(rows))
    report = check_model(
        declared(Bands()),
        find_clips([tmp_path]),
        methods=False,
        table=table_labels([tmp_path, tones[0]]),
    )
    assert found(report, "accuracy").text == "100% of 24 labelled sounds"


class Softmax(Bands):
    """A softmax, once or twice, of band levels times a factor."""

    def __init__(self, times: int, factor: float) -> None:
        super().__init__()
        self.times, self.factor = times, factor

    def forward(self, waves: Tensor) -> Tensor:
        values = self.factor * super().forward(waves)
        for _ in range(self.times):
            values = values.softmax(dim=1)
        return values


@pytest.mark.parametrize(
    ("times", "factor", "grade"),
    [(2, 40.0, "broken"), (1, 8.0, "ok"), (1, 40.0, "ok"), (1, 0.01, "ok")],
)
def test_a_softmax_applied_twice_is_found(
    times: int, factor: float, grade: str, tones: list[Path]
) -> None:
    model = declared(Softmax(times, factor), output="probabilities")
    report = check_model(model, tones, methods=False)
    one = found(report, "outputs")
    assert one.grade == grade
    assert one.advice == ("" if grade == "ok" else "a softmax was applied twice: give the logits")
