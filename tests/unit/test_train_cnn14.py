"""Training of CNN14: its front end, its start from published weights, and the command."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earwitness.cli.main import main
from earwitness.data.collection import read_collection
from earwitness.errors import ModelError, OutputError, ParameterError
from earwitness.models.registry import load_model
from earwitness.models.zoo.checkpoint import Recipe, default_recipe
from earwitness.models.zoo.cnn14 import CNN14, LogPowerMel, cnn14_model
from earwitness.train.augmentation import silence_stripes, warp
from earwitness.train.classifier import (
    CNN14_SETTINGS,
    Settings,
    _begin,
    _epoch,
    evaluate,
    load_waves,
    train_classifier,
    work_of,
)
from tests.unit.test_cnn14 import NARROW, narrow, published

RECIPE = replace(
    default_recipe(("high", "low"), architecture="cnn14"), widths=NARROW, seconds=0.5
)  # fmt: skip
SETTINGS = Settings(epochs=2, batch=4, crop=0.4, rate=1e-3)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """High and low tones in the layout of UrbanSound8K."""
    root = tmp_path_factory.mktemp("urban")
    (root / "metadata").mkdir()
    rows = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    rng = np.random.default_rng(0)
    for number in range(12):
        label, fold = ("high", "low")[number % 2], 1 + number // 8
        pitch = rng.uniform(5000, 7000) if label == "high" else rng.uniform(200, 600)
        wave = 0.3 * np.sin(2 * np.pi * pitch * np.arange(8000) / 16000)
        (root / "audio" / f"fold{fold}").mkdir(parents=True, exist_ok=True)
        soundfile.write(root / "audio" / f"fold{fold}" / f"{number}.wav", wave, 16000)
        rows.append(f"{number}.wav,{number},0,1,1,{fold},{number % 2},{label}")
    (root / "metadata" / "UrbanSound8K.csv").write_text("\n".join(rows) + "\n")
    return root


def test_what_is_trained_is_the_published_network_on_its_own_front_end(
    collection: Path, tmp_path: Path
) -> None:
    recipe = default_recipe([str(k) for k in range(50)], architecture="cnn14")
    with torch.device("meta"):
        count = sum(one.numel() for one in recipe.network().parameters())
    np.testing.assert_allclose(count / 1e6, 79.78, atol=0.005)
    items = read_collection(collection)
    learn, test = items[:8], items[8:]
    facts = train_classifier(learn, RECIPE, SETTINGS, tmp_path / "m", test=test)
    model = load_model(str(tmp_path / "m"))
    assert isinstance(model.module, CNN14)
    assert model.labels == ("high", "low")
    assert model.task == "single-label"
    assert evaluate(model.module, RECIPE, test) == facts["test"]
    waves, _ = load_waves(test, RECIPE)
    twin = cnn14_model(model.module, labels=model.labels, task="single-label")
    with torch.no_grad():
        torch.testing.assert_close(model(waves), twin(waves), rtol=0, atol=1e-5)


def test_it_learns(collection: Path, tmp_path: Path) -> None:
    items = read_collection(collection)
    settings = replace(SETTINGS, epochs=40, rate=1e-2, augment=False)
    facts = train_classifier(items[:8], RECIPE, settings, tmp_path / "m", test=items[8:])
    assert facts["test"]["accuracy"] == 1.0


def test_every_epoch_is_kept(collection: Path, tmp_path: Path) -> None:
    items = read_collection(collection)[:8]

    def stop(epoch: int, _: float) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_classifier(items, RECIPE, SETTINGS, tmp_path / "m", on_epoch=stop)
    left: list[int] = []
    train_classifier(
        items, RECIPE, SETTINGS, tmp_path / "m", on_epoch=lambda epoch, _: left.append(epoch)
    )
    assert left == [2]
    whole = tmp_path / "whole"
    train_classifier(items, RECIPE, SETTINGS, whole)
    ours, theirs = (load_model(str(one)).module for one in (tmp_path / "m", whole))
    assert ours is not None
    assert theirs is not None
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name], rtol=0, atol=0)


def test_it_starts_from_published_weights_but_for_the_last_layer(
    collection: Path, tmp_path: Path
) -> None:
    file = tmp_path / "Cnn14.pth"
    network = narrow(7)
    torch.save(published(network), file)
    begun = _begin(RECIPE, SETTINGS, 8, torch.device("cpu"), file)
    for some in (begun.network.state_dict(), begun.average.state_dict()):
        for name, value in network.state_dict().items():
            if name.startswith("fc_audioset"):
                assert len(some[name]) == 2
            else:
                torch.testing.assert_close(some[name], value, rtol=0, atol=0)
    items = read_collection(collection)[:8]
    facts = train_classifier(items, RECIPE, SETTINGS, tmp_path / "m", start=file)
    assert facts["start"]
    assert train_classifier(items, RECIPE, SETTINGS, tmp_path / "m", start=file) == facts
    with pytest.raises(OutputError, match="holds a trained model"):
        train_classifier(items, RECIPE, SETTINGS, tmp_path / "m")
    for recipe in (replace(RECIPE, widths=(4, 4, 6, 6, 8, 9)), default_recipe(("high", "low"))):
        with pytest.raises((ModelError, ParameterError), match=r"Cnn14\.pth: .*CNN14"):
            _begin(recipe, SETTINGS, 8, torch.device("cpu"), file)
    with pytest.raises(ParameterError, match="no architecture 'cnn15'"):
        replace(RECIPE, architecture="cnn15")  # type: ignore[arg-type]


def test_silence_is_that_of_the_front_end(
    collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = torch.ones(8, 1, 32, 100)
    striped = silence_stripes(features, torch.Generator().manual_seed(0), -100.0)
    assert set(striped.unique().tolist()) == {-100.0, 1.0}
    narrower = [warp(features, torch.Generator().manual_seed(s), -100.0) for s in range(10)]
    assert {float(one.min()) for one in narrower} == {-100.0, 1.0}
    floor = LogPowerMel()(torch.zeros(1, 513, 1))
    torch.testing.assert_close(floor, torch.full_like(floor, -100.0))
    seen: list[float] = []
    original = silence_stripes

    def note(features: torch.Tensor, generator: torch.Generator, silence: float) -> torch.Tensor:
        seen.append(silence)
        return original(features, generator, silence)

    monkeypatch.setattr("earwitness.train.classifier.silence_stripes", note)
    items = read_collection(collection)[:8]
    compact = Recipe(("high", "low"), 8000, 256, 64, 16, (4, 8), 0.5)
    for recipe, wanted in ((RECIPE, -100.0), (compact, 0.0)):
        waves, labels = load_waves(items, recipe)
        _epoch(_begin(recipe, SETTINGS, 8, torch.device("cpu")), waves, labels, recipe, SETTINGS)
        np.testing.assert_allclose(seen[-1], wanted, atol=1e-4)


def test_what_it_needs_is_said() -> None:
    recipe = default_recipe([str(k) for k in range(50)], architecture="cnn14")
    assert work_of(recipe, CNN14_SETTINGS, 1600) == (
        "79.8 million weights; memory: 1.0 GB for the sounds, 1.6 GB for the weights, and the "
        "activations of 32 sounds of 5 s; 10000 steps"
    )


def test_one_command_trains_it(
    collection: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("earwitness.models.zoo.cnn14.WIDTHS", NARROW)
    words = ["train", "classifier", "--architecture", "cnn14", "--data", str(collection)]
    words += ["--folds", "1", "--test-folds", "2", "--epochs", "1", "--batch", "4"]
    for _ in range(2):
        with pytest.raises(SystemExit) as stopped:
            main([*words, "-o", str(tmp_path / "m")])
        printed = capfd.readouterr()
        assert stopped.value.code == 0, printed.err
    assert "8 sounds of 2 classes to train on, 4 to test on" in printed.err
    assert "million weights; memory: " in printed.err
    assert "of 5 s; 2 steps" in printed.err
    assert "on 4 sounds" in printed.out
    model = load_model(str(tmp_path / "m"))
    assert isinstance(model.module, CNN14)
    assert model.trained_seconds == CNN14_SETTINGS.crop == 5.0
    with pytest.raises(SystemExit):
        main([*words[:2], *words[4:], "--start", "a.pth", "-o", str(tmp_path / "n")])
    assert "--start is of --architecture cnn14" in capfd.readouterr().err


def test_a_folder_of_an_earlier_version_is_finished(collection: Path, tmp_path: Path) -> None:
    items = read_collection(collection)[:8]
    compact = Recipe(("high", "low"), 8000, 256, 64, 16, (4, 8), 0.5)
    facts = train_classifier(items, compact, SETTINGS, tmp_path / "m")
    path = tmp_path / "m" / "model.json"
    stored = json.loads(path.read_text())
    assert stored["recipe"] == json.loads(json.dumps(asdict(compact)))
    del stored["recipe"]["architecture"], stored["facts"]["start"]
    path.write_text(json.dumps(stored))
    again = train_classifier(items, compact, SETTINGS, tmp_path / "m")
    assert again["sounds"] == facts["sounds"]
    assert load_model(str(tmp_path / "m")).labels == ("high", "low")
