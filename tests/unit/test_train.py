from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earwitness.data.collection import read_collection
from earwitness.errors import AudioError, OutputError, ParameterError
from earwitness.models.registry import load_model
from earwitness.models.zoo.checkpoint import Recipe
from earwitness.train.augmentation import (
    crop_active,
    mix_between_classes,
    silence_stripes,
    warp,
)
from earwitness.train.classifier import Settings, evaluate, load_waves, train_classifier

RECIPE = Recipe(("high", "low"), 8000, 256, 64, 16, (4, 8), 0.5)
SETTINGS = Settings(epochs=12, batch=8, crop=0.25, rate=1e-2, seed=1)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones: high ones and low ones, 12 of each in three folds, as ESC-50 is laid out."""
    root = tmp_path_factory.mktemp("tones")
    (root / "audio").mkdir()
    rows = ["filename,fold,target,category"]
    rng = np.random.default_rng(0)
    for number in range(36):
        label = ("high", "low")[number % 2]
        pitch = rng.uniform(2500, 3500) if label == "high" else rng.uniform(200, 600)
        wave = 0.3 * np.sin(2 * np.pi * pitch * np.arange(4000) / 8000)
        soundfile.write(root / "audio" / f"{number}.wav", wave, 8000)
        rows.append(f"{number}.wav,{number // 12 + 1},{number % 2},{label}")
    (root / "tones.csv").write_text("\n".join(rows))
    return root


def test_tables_and_folders_are_read(collection: Path, tmp_path: Path) -> None:
    items = read_collection(collection)
    assert len(items) == 36
    assert {item.fold for item in items} == {1, 2, 3}
    for item in items[:6]:
        (tmp_path / item.label).mkdir(exist_ok=True)
        (tmp_path / item.label / item.path.name).write_bytes(item.path.read_bytes())
    found = read_collection(tmp_path)
    assert sorted(item.label for item in found) == ["high"] * 3 + ["low"] * 3
    with pytest.raises(AudioError, match="sub-folder per class"):
        read_collection(tmp_path / "high")
    (collection / "audio" / "35.wav").rename(collection / "away.wav")
    with pytest.raises(AudioError, match=r"35\.wav is in the table"):
        read_collection(collection)
    (collection / "away.wav").rename(collection / "audio" / "35.wav")


def test_training_learns_and_is_used_by_name(collection: Path, tmp_path: Path) -> None:
    items = read_collection(collection)
    learn, test = [i for i in items if i.fold < 3], [i for i in items if i.fold == 3]
    losses: list[float] = []
    facts = train_classifier(
        learn, RECIPE, SETTINGS, tmp_path / "m", test=test, on_epoch=lambda _, x: losses.append(x)
    )
    assert facts["test"]["accuracy"] >= 0.9
    assert len(losses) == SETTINGS.epochs
    model = load_model(str(tmp_path / "m"))
    assert evaluate(model.module, RECIPE, test) == facts["test"]  # type: ignore[arg-type]
    assert not (tmp_path / "m" / "training.pt").exists()
    with pytest.raises(OutputError, match="holds a trained model"):
        train_classifier(learn, RECIPE, SETTINGS, tmp_path / "m")


def test_a_broken_training_ends_with_the_same_weights(collection: Path, tmp_path: Path) -> None:
    items = read_collection(collection)
    train_classifier(items, RECIPE, SETTINGS, tmp_path / "whole")

    def stop(epoch: int, _: float) -> None:
        if epoch == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_classifier(items, RECIPE, SETTINGS, tmp_path / "broken", on_epoch=stop)
    with pytest.raises(OutputError, match="other settings"):
        train_classifier(items, RECIPE, replace(SETTINGS, seed=9), tmp_path / "broken")
    epochs: list[int] = []
    train_classifier(
        items, RECIPE, SETTINGS, tmp_path / "broken", on_epoch=lambda e, _: epochs.append(e)
    )
    assert epochs == [11, 12]
    wanted, found = (
        load_model(str(tmp_path / name)).module.state_dict()  # type: ignore[union-attr]
        for name in ("whole", "broken")
    )
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def test_another_seed_gives_other_weights(collection: Path, tmp_path: Path) -> None:
    items, short = read_collection(collection), replace(SETTINGS, epochs=1)
    for seed in (1, 2):
        train_classifier(items, RECIPE, replace(short, seed=seed), tmp_path / str(seed))
    first, second = (load_model(str(tmp_path / n)).module.state_dict() for n in "12")  # type: ignore[union-attr]
    assert float((first["head.weight"] - second["head.weight"]).abs().max()) > 0


def test_too_few_sounds_are_refused(collection: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="too few"):
        train_classifier(read_collection(collection)[:3], RECIPE, SETTINGS, tmp_path / "m")


def test_training_from_the_command(
    collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from earwitness.cli.main import main

    words = ["train", "classifier", "--data", str(collection), "--test-folds", "3"]
    with pytest.raises(SystemExit) as end:
        main([*words, "--epochs", "1", "-o", str(tmp_path / "m")])
    assert not end.value.code
    assert "accuracy 0." in capsys.readouterr().out
    facts = json.loads((tmp_path / "m" / "model.json").read_text())["facts"]
    assert (facts["trained_on"], facts["test"]["sounds"]) == (24, 12)


def test_sounds_that_cannot_be_read_are_named_and_left_out(
    collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from earwitness.cli.main import main

    data = tmp_path / "data"
    shutil.copytree(collection, data)
    (data / "audio" / "odd.wav").write_text("no sound")
    (data / "audio" / "35.wav").write_bytes(b"")
    with (data / "tones.csv").open("a") as table:
        table.write("\nodd.wav,1,2,odd")
    words = ["train", "classifier", "--data", str(data), "--test-folds", "3", "--epochs", "1"]
    with pytest.raises(SystemExit) as end:
        main([*words, "-o", str(tmp_path / "m")])
    assert not end.value.code
    lines = [one for one in capsys.readouterr().err.splitlines() if one.startswith("left out: ")]
    assert [any(name in one for one in lines) for name in ("odd.wav", "35.wav")] == [True, True]
    assert len(lines) == 2
    stored = json.loads((tmp_path / "m" / "model.json").read_text())
    facts = stored["facts"]
    assert (facts["trained_on"], facts["test"]["sounds"]) == (24, 11)
    assert stored["recipe"]["labels"] == ["high", "low"]


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sounds of a high tone, a low one, or both, 12 of each."""
    root = tmp_path_factory.mktemp("several")
    rng, time = np.random.default_rng(0), np.arange(4000) / 8000
    rows = ["filename,fold,category"]
    for number in range(36):
        label = ("high", "low", "low; high")[number % 3]
        wave = 0.01 * rng.standard_normal(4000)
        for name, pitch in (("high", rng.uniform(2500, 3500)), ("low", rng.uniform(200, 600))):
            wave += 0.3 * (name in label) * np.sin(2 * np.pi * pitch * time)
        soundfile.write(root / f"{number}.wav", wave, 8000)
        rows.append(f"{number}.wav,{number // 12 + 1},{label}")
    (root / "tones.csv").write_text("\n".join(rows))
    return root


def test_a_classifier_of_several_labels_decides_each(tones: Path, tmp_path: Path) -> None:
    items = read_collection(tones)
    assert items[2].labels == ("low", "high")
    learn, test = [i for i in items if i.fold < 3], [i for i in items if i.fold == 3]
    recipe, settings = replace(RECIPE, task="multi-label"), replace(SETTINGS, epochs=40)
    facts = train_classifier(learn, recipe, settings, tmp_path / "m", test=test)
    assert facts["test"] == {"sounds": 12, "macro_auprc": 1.0, "micro_auprc": 1.0, "max_f1": 1.0}
    model = load_model(str(tmp_path / "m"))
    assert model.task == "multi-label"
    waves = torch.stack([torch.from_numpy(soundfile.read(i.path)[0]).float() for i in test[:3]])
    with model.undisturbed(), torch.no_grad():
        found = (model(waves) > 0).int().tolist()
    assert found == [[1, 0], [0, 1], [1, 1]]


def test_labels_of_sounds_are_zeros_and_ones(tones: Path) -> None:
    recipe = replace(RECIPE, task="multi-label")
    _, labels = load_waves(read_collection(tones)[:3], recipe)
    assert labels.tolist() == [[1, 0], [0, 1], [1, 1]]


def test_several_labels_from_the_command(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from earwitness.cli.main import main

    words = ["train", "classifier", "--data", str(tones), "--test-folds", "3", "--multi-label"]
    with pytest.raises(SystemExit) as end:
        main([*words, "--epochs", "1", "-o", str(tmp_path / "m")])
    assert not end.value.code
    assert "macro AUPRC " in capsys.readouterr().out
    assert load_model(str(tmp_path / "m")).labels == ("high", "low")


def test_a_test_fold_without_a_label_has_no_precision(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from earwitness.cli.main import main

    data = tmp_path / "data"
    data.mkdir()
    rows = ["filename,fold,category"]
    for item in read_collection(tones):
        (data / item.path.name).write_bytes(item.path.read_bytes())
        rows.append(f"{item.path.name},{item.fold},{item.label if item.fold < 3 else ';'}")
    (data / "tones.csv").write_text("\n".join(rows))
    words = ["train", "classifier", "--data", str(data), "--test-folds", "3", "--multi-label"]
    with pytest.raises(SystemExit) as end:
        main([*words, "--epochs", "1", "-o", str(tmp_path / "m")])
    assert not end.value.code
    assert "macro AUPRC -, micro AUPRC -, largest F1 - on 12 sounds" in capsys.readouterr().out
    facts = json.loads((tmp_path / "m" / "model.json").read_text())["facts"]
    none = dict.fromkeys(("macro_auprc", "micro_auprc", "max_f1"))
    assert facts["test"] == {"sounds": 12, **none}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_crops_are_taken_where_there_is_sound() -> None:
    waves = torch.zeros(20, 1000)
    waves[:, 300:360] = 1.0
    crops = crop_active(waves, 200, generator())
    assert crops.shape == (20, 200)
    assert bool((crops.pow(2).sum(dim=1) > 0).all())


def test_mixing_makes_loudness_follow_the_labels() -> None:
    waves = torch.eye(4) * torch.tensor([1.0, 10.0, 100.0, 1.0])
    labels = torch.eye(4)
    mixed, shares = mix_between_classes(waves, labels, generator())
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(4))
    for wave, share in zip(mixed, shares, strict=True):
        torch.testing.assert_close(wave / wave.sum(), share, rtol=1e-3, atol=1e-3)


def test_stripes_are_silent_and_leave_the_original_alone() -> None:
    features = torch.ones(8, 1, 32, 100)
    striped = silence_stripes(features, generator())
    assert set(striped.unique().tolist()) == {0.0, 1.0}
    assert float(features.min()) == 1.0
    assert 0.3 < float(striped.mean()) < 0.95


def test_warping_keeps_the_size() -> None:
    features = torch.rand(2, 1, 32, 100, generator=generator())
    sizes = {tuple(warp(features, torch.Generator().manual_seed(s)).shape) for s in range(10)}
    assert sizes == {(2, 1, 32, 100)}
