"""The global view of an interpreter: components of each class over many sounds."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from earwitness.audio import read_audio, write_audio
from earwitness.cli.main import main
from earwitness.decoders.interpreter import Interpreter
from earwitness.errors import NotApplicableError
from earwitness.jobs.components import Overview
from earwitness.models.model import Model
from earwitness.models.wrapping import wrap
from earwitness.naming import read_names
from earwitness.types import Audio
from tests.interpreters import BANDS, WEIGHTS, known, saved
from tests.toys import RATE, TOY_PLANE, Magnitude, RegionNet, spectral
from tests.training import coarse, place_of_model
from tests.unit.test_strongest import tone


def expected(frames: int, label: int) -> list[float]:
    """Return the relevance of the known interpreter for a sound of so many frames."""
    z = 10 * np.array([2 * 20 / frames, 20 / frames, 0.5])
    shares = z * np.array(WEIGHTS[label])
    return (shares / shares.max()).tolist()


def test_relevance_is_the_mean_over_the_sounds_of_the_class(
    sounds: list[Path], tmp_path: Path
) -> None:
    model = spectral()
    overview = Overview(model, known(model, WEIGHTS))
    long = tmp_path / "long.wav"
    samples = read_audio(sounds[1]).samples
    write_audio(long, Audio(np.concatenate([samples, samples, samples]), RATE))
    assert [overview.add(path) for path in (sounds[0], sounds[1], long, sounds[3])] == [
        ["high"], ["low"], ["low"], ["low"],
    ]  # fmt: skip
    high, low = overview.classes
    frames, longer = TOY_PLANE.frames(24000), TOY_PLANE.frames(72000)
    assert (high.label, high.sounds, low.label, low.sounds) == ("high", 1, "low", 3)
    np.testing.assert_allclose(high.relevance, expected(frames, 0), rtol=1e-5)
    each = [expected(frames, 1), expected(longer, 1), expected(frames, 1)]
    np.testing.assert_allclose(low.relevance, np.mean(each, axis=0), rtol=1e-5)
    # in the long sound the third is the largest, and the second is 0.36 of it
    np.testing.assert_allclose(each[1], [0, 0.4236, 1], atol=0.08)
    np.testing.assert_array_equal(low.selected, (np.array(each) > 0.4).mean(axis=0))
    np.testing.assert_array_equal(high.selected, [1, 0, 0])
    assert high.leading(2) == [0]  # what speaks against the class does not lead
    assert low.leading(1) == [int(np.argmax(low.relevance))]


def test_a_class_without_sounds_has_zeros(sounds: list[Path]) -> None:
    model = spectral()
    overview = Overview(model, known(model, WEIGHTS))
    overview.add(sounds[1])
    assert overview.classes[0].sounds == 0
    assert overview.classes[0].relevance == overview.classes[0].selected == (0.0,) * 3
    assert overview.classes[0].leading(5) == []


def test_every_label_that_a_tagger_decides_counts(sounds: list[Path]) -> None:
    model = wrap(RegionNet(), sample_rate=RATE, labels=["high", "low"], features=Magnitude(),
                 task="multi-label", output="logits")  # fmt: skip
    with torch.no_grad():
        model.module.head.weight.fill_(40.0)
        model.module.head.bias.copy_(torch.tensor([0.0, -1e6]))
    interpreter = known(model, WEIGHTS)
    assert Overview(model, interpreter).add(sounds[0]) == ["high"]
    with torch.no_grad():
        model.module.head.bias.zero_()
    assert Overview(model, known(model, WEIGHTS)).add(sounds[0]) == ["high", "low"]
    with torch.no_grad():
        model.module.head.weight.zero_()
    assert Overview(model, known(model, WEIGHTS)).add(sounds[0]) == ["high", "low"]  # just 0.5


class InBands(Interpreter):
    """Activations are the levels in three bands."""

    def read(
        self, model: Model, magnitude: torch.Tensor, wave: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        levels = [1000 * magnitude[low:high].mean(dim=0) for low, high in BANDS]
        return model.from_magnitude(magnitude[None]), torch.stack(levels)


def test_the_example_is_the_strongest_and_is_filtered(tmp_path: Path) -> None:
    model = spectral()
    overview = Overview(model, InBands(**vars(known(model, WEIGHTS))))
    weak = tone(tmp_path / "weak.wav", 2, (0, 0.1, 0.5, 1.5), (1, 0.1, 0.5, 1.5))
    strong = tone(tmp_path / "strong.wav", 4, (0, 0.2, 2.0, 3.0), (1, 0.2, 2.0, 3.0))
    for path in (weak, strong, weak):
        overview.add(path)
    (segment,) = overview.table().strongest[0]
    assert (segment.file, segment.end - segment.start) == ("strong.wav", 1.0)
    np.testing.assert_allclose(segment.start, 2.0, atol=0.01)
    found = overview.sound(0)
    assert found
    assert len(found.samples) == RATE
    assert np.abs(found.samples).max() == 0.5
    power = np.abs(np.fft.rfft(found.samples * np.hanning(RATE))) ** 2
    assert power[740:760].sum() > 0.99 * power.sum()  # 750 Hz, not the 3125 Hz of the other
    silent = replace(known(model, WEIGHTS))
    assert Overview(model, silent).sound(0) is None


def test_examples_in_folders_of_classes_have_different_names(tmp_path: Path) -> None:
    model = spectral()
    overview = Overview(model, InBands(**vars(known(model, WEIGHTS))))
    for component, name in enumerate(("dog", "rain")):
        (tmp_path / name).mkdir()
        overview.add(tone(tmp_path / name / "01.wav", 2, (component, 0.1, 0.5, 1.5)))
    files = [some[0].file for some in overview.table().strongest[:2]]
    assert files == ["dog/01.wav", "rain/01.wav"]


def test_the_interpreter_must_be_of_the_model() -> None:
    model = spectral()
    other = replace(known(model, WEIGHTS), model={**known(model, WEIGHTS).model, "weights": "x"})
    with pytest.raises(NotApplicableError, match="this interpreter was trained for"):
        Overview(model, other)


def test_the_command_writes_table_picture_and_sounds(
    sounds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, data, out = saved(coarse(), tmp_path / "i"), tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for path in sounds[:4]:
        (data / path.name).write_bytes(path.read_bytes())
    (data / "bad.wav").write_bytes(b"RIFF")
    place = place_of_model(tmp_path)
    args = ["components", place, str(data), "--interpreter", str(folder), "-o", str(out)]

    def ran(*more: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*args, *more])
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    code, printed, said = ran("--json", "--top", "2")
    assert code == 1
    assert "bad.wav" in said
    first, second = (json.loads(line) for line in printed.splitlines())
    assert [first["class"], second["class"]] == ["high", "low"]
    assert first["sounds"] + second["sounds"] == 4
    rows = list(csv.DictReader((out / "components.csv").read_text().splitlines()))
    assert [row["component"] for row in rows] == ["1", "2", "3", "4"]
    for one in first["components"] + second["components"]:
        assert set(one) == {"component", "name", "relevance", "selected"}
    for kind in (first, second):
        for one in kind["components"]:
            row = rows[one["component"] - 1]
            for what in ("relevance", "selected"):
                np.testing.assert_allclose(
                    float(row[f"{what}: {kind['class']}"]), one[what], rtol=1e-3, atol=1e-9
                )
    active = [row for row in rows if row["file"]]
    assert sorted(path.name for path in out.glob("*.wav")) == [
        f"component-{int(row['component']):02}.wav" for row in active
    ]
    assert active
    assert soundfile.info(out / f"component-{int(active[0]['component']):02}.wav").duration == 1.0
    assert (out / "components.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert read_names(str(out / "components.csv"))[1] == rows[0]["name"]  # can be filled in
    assert "is not empty; use --overwrite" in ran()[2]
    (tmp_path / "names.csv").write_text("component,name\n1,siren\n")
    ran("--overwrite", "--names", str(tmp_path / "names.csv"), "--top", "9")
    text = (out / "components.csv").read_text()
    assert next(csv.DictReader(text.splitlines()))["name"] == "siren"
    (out / "mine.txt").write_text("mine")
    assert "is not empty; it holds files of something else" in ran("--overwrite")[2]
    assert (out / "components.csv").read_text() == text
