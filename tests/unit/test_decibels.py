"""The front ends of Pak and Teryokhina: known levels, an independent version, the way back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earwitness.data.collection import read_collection
from earwitness.errors import ParameterError
from earwitness.models.registry import load_model
from earwitness.models.zoo.checkpoint import Recipe, default_recipe, save_checkpoint
from earwitness.models.zoo.decibels import PUBLISHED, Decibels, htk_edges
from earwitness.train.classifier import Settings, train_classifier
from tests.command import run
from tests.reference.slow_pak import SETTINGS, levels

NAMES = sorted(PUBLISHED)


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    """A folder of two classes: sixteen tones, half of them high."""
    for number in range(16):
        place = tmp_path / "tones" / ("high", "low")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        pitch = (3000, 400)[number % 2] + 10 * number
        wave = 0.3 * np.sin(2 * np.pi * pitch * np.arange(8000) / 16000)
        soundfile.write(place / f"{number}.wav", wave, 16000)
    return tmp_path / "tones"


def noise(name: str, seconds: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(2, round(seconds * PUBLISHED[name].rate), generator=generator)


@pytest.mark.parametrize("name", NAMES)
def test_levels_are_those_of_a_slow_version(name: str) -> None:
    waves = noise(name, 0.3)
    found = Decibels(name)(waves)
    for wave, one in zip(waves, found, strict=True):
        wanted = levels(wave.double().numpy(), name)
        assert one.shape == (1, *wanted.shape)
        # float32 transforms; the quietest bins of noise are 40 dB below the others
        np.testing.assert_allclose(one[0].numpy(), wanted, rtol=0, atol=5e-3)


def test_sizes_of_a_clip_of_five_seconds_are_the_published_ones() -> None:
    shapes = {name: tuple(Decibels(name)(noise(name, 5.0)).shape[2:]) for name in NAMES}
    assert shapes == {"stft-db": (257, 313), "mel-db": (64, 501)}


def test_levels_of_a_sine_and_of_silence_are_known() -> None:
    rate, size = PUBLISHED["stft-db"].rate, PUBLISHED["stft-db"].n_fft
    wave = torch.sin(2 * math.pi * 1000 * torch.arange(rate) / rate)[None]
    found = Decibels("stft-db")(wave)[0, 0, :, 20]
    # of a sine on bin 32, half of the sum of the window, which is half of its length
    assert int(found.argmax()) == 1000 * size // rate
    np.testing.assert_allclose(float(found.max()), 20 * math.log10(size / 4), atol=1e-3)
    for name in NAMES:
        silent = Decibels(name)(torch.zeros(1, 8000))
        np.testing.assert_array_equal(silent.numpy(), np.full(silent.shape, -100.0, np.float32))


def test_67_of_513_bins_lie_in_no_band() -> None:
    filters = Decibels("mel-db").filters
    assert filters is not None
    assert int((filters.sum(dim=0) == 0).sum()) == 67
    np.testing.assert_allclose(htk_edges(64, 50.0, 14000.0)[[0, -1]], [50.0, 14000.0], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_way_back_has_the_same_levels(name: str) -> None:
    front, waves = Decibels(name), noise(name, 0.5)
    spectrum = front.analyse(waves[:1])
    back = front.sound(front.levels(spectrum), spectrum[0].angle(), waves.shape[1])
    assert back.shape == (1, waves.shape[1])
    if name == "stft-db":  # nothing is lost
        np.testing.assert_allclose(back.numpy(), waves[:1].numpy(), atol=2e-5)
        return
    # band levels come back as the least-squares solution: nearest where bands are as wide as bins
    power = 10 ** (front.levels(spectrum) / 10)
    filters = front.filters
    assert filters is not None
    solved = torch.linalg.lstsq(filters.double(), power[0].double(), driver="gelsd").solution
    wanted = torch.polar(solved.clamp(min=0).sqrt(), spectrum[0].angle().double())
    sound = torch.istft(
        wanted, 1024, 320, window=torch.hann_window(1024, dtype=torch.float64),
        length=waves.shape[1],
    )  # fmt: skip
    np.testing.assert_allclose(back[0].numpy(), sound.numpy(), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_classifier_with_a_front_end_comes_back_from_disk(name: str, tmp_path: Path) -> None:
    recipe = default_recipe(["a", "b", "c"], front_end=name)
    assert (recipe.rate, recipe.n_fft, recipe.hop) == SETTINGS[name][:3]
    network = recipe.network().eval()
    save_checkpoint(tmp_path / "m", recipe, network, {})
    stored, waves = load_model(str(tmp_path / "m")), noise(name, 1.0)
    with torch.no_grad():
        wanted = network(Decibels(name)(waves))
        torch.testing.assert_close(stored(waves), wanted)
    assert (stored.plane.n_fft, stored.plane.hop) == SETTINGS[name][1:3]
    with pytest.raises(ParameterError, match="other numbers than the published"):
        replace(recipe, hop=128)
    with pytest.raises(ParameterError, match="a front end is one of"):
        replace(recipe, front_end="mfcc")


def test_an_older_folder_without_a_front_end_counts_as_finished(
    tones: Path, tmp_path: Path
) -> None:
    items, settings = read_collection(tones), Settings(epochs=1, batch=8, crop=0.25)
    recipe = Recipe(("high", "low"), 8000, 256, 64, 16, (4, 8), 0.5)
    facts = train_classifier(items, recipe, settings, tmp_path / "m")
    stored = json.loads((tmp_path / "m" / "model.json").read_text())
    assert stored["recipe"].pop("front_end") == "log-mel"
    (tmp_path / "m" / "model.json").write_text(json.dumps(stored))
    assert train_classifier(items, recipe, settings, tmp_path / "m") == facts


def test_augmentation_silences_with_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    from earwitness.train import classifier

    def everywhere(
        features: torch.Tensor, _generator: torch.Generator, silence: float
    ) -> torch.Tensor:
        return torch.full_like(features, silence)  # all of it masked

    monkeypatch.setattr(classifier, "silence_stripes", everywhere)
    recipe = default_recipe(["a", "b"], front_end="stft-db")
    waves = noise("stft-db", 1.0).repeat(2, 1)
    given: list[torch.Tensor] = []
    state = classifier._begin(recipe, Settings(epochs=1, batch=4), 4, torch.device("cpu"))
    state.network.register_forward_pre_hook(lambda _m, inputs: given.append(inputs[0]))
    classifier._epoch(state, waves, torch.tensor([0, 1, 0, 1]), recipe, Settings(batch=4))
    assert float(given[0].max()) == float(given[0].min()) == -100


def test_train_classifier_takes_a_front_end(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(
        capsys, "train", "classifier", "--data", str(tones), "--front-end", "stft-db",
        "--epochs", "1", "-o", str(tmp_path / "m"),
    )  # fmt: skip
    assert code == 0, err
    assert "model:" in out
    assert (
        json.loads((tmp_path / "m" / "model.json").read_text())["recipe"]["front_end"] == "stft-db"
    )
