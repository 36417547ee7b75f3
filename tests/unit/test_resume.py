"""Whatever resumes is keyed by content: the same names with other content give no old results."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from earwitness.benchmark.engine import run_grid
from earwitness.benchmark.grid import Grid, Part, choose
from earwitness.benchmark.localisation.taught import _is_trained
from earwitness.data.clips import Clip
from earwitness.data.collection import Item
from earwitness.decoders.folder import load_explainer
from earwitness.errors import NotApplicableError, OutputError
from earwitness.files import digest_of
from earwitness.methods.lmac import FOLDERS
from earwitness.models.fingerprint import changed, fingerprint, identity
from earwitness.models.model import Model
from earwitness.models.registry import load_model
from earwitness.models.wrapping import wrap
from earwitness.models.zoo.checkpoint import Recipe
from earwitness.train.classifier import Settings, train_classifier
from earwitness.train.contamination import Contamination
from earwitness.train.lmac import train_lmac
from tests.command import run
from tests.toy_grid import make
from tests.toys import RATE, Magnitude, RegionNet
from tests.training import SETTINGS, coarse, trained

MODEL = """
import torch
import earwitness
from parts import SCALE

class Bands(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))

    def forward(self, waves):
        power = torch.fft.rfft(waves, 4096).abs().pow(2)
        return self.head(torch.stack([power[:, :500].mean(1), power[:, 500:].mean(1)], 1).log1p())

def make():
    return earwitness.wrap(Bands(), sample_rate=16000, labels=["low", "high"], name="bands")
"""


def noise(path: Path, seed: int, samples: int = 6000, rate: int = RATE) -> Path:
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(samples), rate)
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of sounds, a model in a file with a module beside it, and a grid."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "parts", raising=False)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "parts.py").write_text("SCALE = 1\n")
    (tmp_path / "clips").mkdir()
    for k in range(2):
        noise(tmp_path / "clips" / f"{k}.wav", k)
    noise(tmp_path / "bed.wav", 9)
    (tmp_path / "grid.toml").write_text(
        'models = ["python:model.py:make"]\nmasks = ["area:10%"]\nmetrics = ["faithfulness"]\n'
        'methods = [{name = "occlusion", segments = 2, bands = 2, background = "bed.wav"}]\n'
        '[sounds]\nkind = "folder"\npaths = ["clips"]\ntarget = "high"\n'
    )
    return tmp_path


def edited(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


CHANGES: dict[str, tuple[Callable[[], Any], str]] = {
    "weights": (lambda: edited("model.py", "[0.0, 1.0]", "[0.0, 1.5]"), "with other weights"),
    "code": (lambda: edited("model.py", ".pow(2)", ".pow(3)"), "with other source code"),
    "module beside": (lambda: edited("parts.py", "1", "2"), "with other source code"),
    "sound": (lambda: noise(Path("clips/1.wav"), 5), r"another clips/1\.wav, which has changed"),
    "unreadable sound": (lambda: Path("clips/1.wav").write_text("none"), r"another clips/1\.wav"),
}  # fmt: skip
EVALUATE = ("evaluate", "python:model.py:make", "clips", "--method", "input-x-gradient",
            "--no-listening", "-o", "found")  # fmt: skip
BENCH = ("bench", "grid.toml", "--no-listening", "-o", "found")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("words", [EVALUATE, BENCH], ids=["evaluate", "bench"])
def test_no_old_table_is_shown_for_what_has_changed_under_its_name(
    words: tuple[str, ...], change: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, *words)[0] == 0
    lines = (place / "found" / "cells.jsonl").read_bytes()
    assert run(capsys, *words)[0] == 0  # unchanged, it resumes
    edit, message = CHANGES[change]
    edit()
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert message.replace("\\", "") in err
    assert "choose another folder" in err
    assert (place / "found" / "cells.jsonl").read_bytes() == lines
    again = run(capsys, *words[:-1], "new")
    assert again[0] == (1 if change == "unreadable sound" else 0)
    assert (place / "new" / "cells.jsonl").read_bytes() != lines or change == "module beside"


def test_a_file_that_an_option_names_is_a_part_of_the_grid(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, *BENCH)[0] == 0
    noise(place / "bed.wav", 3)
    code, out, err = run(capsys, *BENCH)
    assert (code, out) == (2, "")
    assert "holds a run with other files" in err


class Attribute(nn.Module):
    """A network whose outputs depend on something that is no weight."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.net, self.scale = RegionNet(), scale

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * self.net(features)


def scaled(scale: float) -> Model:
    return wrap(Attribute(scale), sample_rate=RATE, labels=["high", "low"], features=Magnitude())


def test_a_model_with_the_same_weights_and_other_outputs_is_another(tmp_path: Path) -> None:
    def grid(scale: float) -> Grid:
        part = Part("toy", lambda _: scaled(scale), (Clip("a", "a", "low", lambda r: make(0, r)),))
        return Grid("toy", (part,), (choose("energy"),), ("area:5%",), ("faithfulness",))

    assert fingerprint(scaled(1.0)) == fingerprint(scaled(1.001))
    first = run_grid(grid(1.0), tmp_path / "run")
    assert run_grid(grid(1.0), tmp_path / "run") == first
    with pytest.raises(OutputError, match="holds results of toy with other outputs"):
        run_grid(grid(1.001), tmp_path / "run")


def test_outputs_are_compared_to_a_ten_thousandth() -> None:
    one = identity(scaled(1.0))
    assert changed(one, identity(scaled(1.0))) == ""
    # projections are larger than the outputs, so the limit is near 1e-4 from below
    assert changed(one, identity(scaled(1 + 1e-5))) == ""
    assert changed(one, identity(scaled(1 + 2e-4))) == "outputs"
    assert changed(None, one) == "model"


def test_a_model_that_draws_is_told_by_its_weights_alone() -> None:
    generator = np.random.default_rng(0)
    model = wrap(
        lambda waves: generator.standard_normal((len(waves), 2)),
        sample_rate=RATE,
        labels=["a", "b"],
    )
    assert identity(model)["outputs"] == []
    assert changed(identity(model), identity(model)) == ""


def test_the_source_of_a_model_is_its_file_and_the_modules_beside_it(place: Path) -> None:
    first = load_model("python:model.py:make").source
    assert load_model("python:model.py:make").source == first
    edited("parts.py", "1", "3")
    second = load_model("python:model.py:make").source
    edited("model.py", "import torch\n", "import torch  # the same\n")
    third = load_model("python:model.py:make").source
    assert len({first, second, third}) == 3
    (place / "other.py").write_text("nothing = 1\n")  # not imported
    assert load_model("python:model.py:make").source == third


def test_the_digest_of_files_follows_content_and_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    assert digest_of([one, two]) != digest_of([two, one])
    moved = shutil.copy(one, tmp_path / "moved")
    assert digest_of([one]) == digest_of([Path(moved)])
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"3")
    before = digest_of([tmp_path / "a"])
    (tmp_path / "a" / "b" / "c").rename(tmp_path / "a" / "b" / "d")
    assert digest_of([tmp_path / "a"]) != before
    with pytest.raises(OutputError, match="none: cannot be read"):
        digest_of([tmp_path / "none"])


# trainings --------------------------------------------------------------------------------------

RECIPE = Recipe(("high", "low"), 8000, 256, 64, 16, (4, 8), 0.5)


def labelled(folder: Path, first: int) -> list[Item]:
    folder.mkdir()
    paths = [noise(folder / f"{k}.wav", first + k, 4000, 8000) for k in range(8)]
    return [Item(path, RECIPE.labels[k % 2]) for k, path in enumerate(paths)]


def stop(epoch: int, _figures: Any) -> None:
    if epoch == 10:
        raise KeyboardInterrupt


def test_a_classifier_is_not_trained_half_on_other_sounds(tmp_path: Path) -> None:
    settings = Settings(epochs=12, batch=8, crop=0.25)
    items, others = labelled(tmp_path / "a", 0), labelled(tmp_path / "b", 50)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(items, RECIPE, settings, tmp_path / "m", on_epoch=stop)
    with pytest.raises(OutputError, match="unfinished training with other sounds"):
        train_classifier(others, RECIPE, settings, tmp_path / "m")
    exchanged = [replace(one, label=RECIPE.labels[k % 2 == 0]) for k, one in enumerate(items)]
    with pytest.raises(OutputError, match="unfinished training with other sounds"):
        train_classifier(exchanged, RECIPE, settings, tmp_path / "m")
    # the same sounds elsewhere resume
    shutil.move(tmp_path / "a", tmp_path / "c")
    moved = [replace(one, path=tmp_path / "c" / one.path.name) for one in items]
    epochs: list[int] = []
    train_classifier(
        moved, RECIPE, settings, tmp_path / "m", on_epoch=lambda epoch, _: epochs.append(epoch)
    )
    assert epochs == [11, 12]


def test_a_benchmarks_classifier_is_not_taken_for_one_of_other_recordings(tmp_path: Path) -> None:
    items, others = labelled(tmp_path / "a", 0), labelled(tmp_path / "b", 50)
    assert not _is_trained(tmp_path / "m", items)
    (tmp_path / "m" / "model.json").write_text("{}")
    assert _is_trained(tmp_path / "m", items)
    with pytest.raises(OutputError, match="trained on other recordings"):
        _is_trained(tmp_path / "m", others)


def copies(sounds: list[Path], folder: Path) -> list[Path]:
    folder.mkdir()
    return [Path(shutil.copy(path, folder)) for path in sounds]


def halt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_decoder_is_not_trained_half_on_another_content(
    sounds: list[Path], tmp_path: Path
) -> None:
    own, folder = copies(sounds, tmp_path / "own"), tmp_path / "m"
    beds = copies(sounds[:2], tmp_path / "beds")
    mixed = replace(
        SETTINGS, contamination=Contamination(kinds=(str(tmp_path / "beds"),), share=1.0)
    )
    with pytest.raises(KeyboardInterrupt):
        train_lmac(coarse(), own[:12], own[12:], mixed, folder, on_epoch=halt)

    def resumed(model: Model, wanted: str) -> None:
        with pytest.raises(OutputError, match=f"unfinished training with other {wanted}"):
            train_lmac(model, own[:12], own[12:], mixed, folder)

    for file, name in ((own[3], "sounds"), (own[-1], "held out"), (beds[0], "contaminations")):
        before = file.read_bytes()
        noise(file, 77, 24000)
        resumed(coarse(), name)
        file.write_bytes(before)
    heavier = coarse()
    with torch.no_grad():
        heavier.module.head.weight.mul_(1.5)
    resumed(heavier, "weights of the model")
    other = coarse()
    plain = other.module.forward
    other.module.forward = lambda features: 1.01 * plain(features)
    resumed(other, "outputs of the model")


def test_a_decoder_is_refused_by_a_model_with_other_outputs(
    sounds: list[Path], tmp_path: Path
) -> None:
    trained(coarse(), sounds, tmp_path / "m", epochs=1)
    explainer = load_explainer(tmp_path / "m")
    explainer.require(coarse())
    other = coarse()
    plain = other.module.forward
    other.module.forward = lambda features: plain(features) + 1
    assert fingerprint(other) == fingerprint(coarse())
    with pytest.raises(NotApplicableError, match=r"with other outputs .* with the same weights"):
        explainer.require(other)


def test_a_decoder_in_memory_is_the_one_in_the_folder(sounds: list[Path], tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        trained(coarse(), sounds, tmp_path / name, epochs=1, seed=seed)
    first = FOLDERS.load(tmp_path / "a").decoder.state_dict()
    shutil.copy(*(tmp_path / name / "decoder.safetensors" for name in "ba"))
    second = FOLDERS.load(tmp_path / "a").decoder.state_dict()
    wanted = load_explainer(tmp_path / "b").decoder.state_dict()
    for name, value in wanted.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0)
    assert any(not torch.equal(first[name], second[name]) for name in first)
