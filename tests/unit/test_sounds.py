"""Sounds of benchmarks: their levels, their parts, and what a classifier learns from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy import signal

from earwitness.benchmark.localisation.grid import localisation_grid, reliance_table
from earwitness.benchmark.localisation.taught import (
    TARGET,
    reliance,
    shortcut_items,
    shortcut_model,
)
from earwitness.data.collection import Item, read_collection
from earwitness.data.digits import digit_mixtures, read_digits
from earwitness.data.mixtures import loudest, mix, mixtures, pair_items
from earwitness.data.planted import plant, planted
from earwitness.errors import AudioError, ParameterError, UnknownNameError

RATE = 16000
EPOCHS = 30


def write(path: Path, wave: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, subtype="FLOAT")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ESC-10 in small: rumble that tells no class, 12 of each in folds 1 to 4; digits."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows = ["filename,fold,category"]
    for number in range(36):
        label = (TARGET, "rain", "sea_waves")[number % 3]
        low = signal.butter(4, 800, fs=RATE, output="sos")
        wave = rng.uniform(0.05, 0.3) * signal.sosfilt(low, rng.standard_normal(RATE))
        write(root / "esc10" / "audio" / f"{number}.wav", wave)
        rows.append(f"{number}.wav,{1 + number // 3 % 4},{label}")
    (root / "esc10" / "esc10.csv").write_text("\n".join(rows))
    for digit in range(3):
        for take in (0, 4, 5, 11):
            wave = 0.2 * rng.standard_normal(int(rng.integers(2000, 6000)))
            write(root / "fsdd" / f"{digit}_ann_{take}.wav", wave, 8000)
    return root


@pytest.mark.parametrize("level", [-6, 0, 12])
def test_a_mixture_has_its_level_and_adds_up(data: Path, level: int) -> None:
    one, other = read_collection(data / "esc10")[:2]
    made = mix(one, other, level, 0.5, RATE)
    assert made.source is not None
    rest = made.input.astype(float) - made.source
    ratio = 10 * np.log10((made.source.astype(float) ** 2).mean() / (rest**2).mean())
    assert ratio == pytest.approx(level, abs=1e-3)
    assert np.abs(made.input).max() <= 1.0 + 1e-6
    # the source is the first recording's loudest part, in shape
    found = loudest(soundfile.read(one.path, dtype="float32")[0], 0.5, RATE)
    scale = float(found @ made.source) / float(found @ found)
    np.testing.assert_allclose(made.source, scale * found, atol=1e-6)


def test_the_loudest_part() -> None:
    samples = np.zeros(1000, np.float32)
    samples[600:700] = 1
    found = loudest(samples, 0.1, 2000)
    assert len(found) == 200
    assert found.sum() == 100
    np.testing.assert_array_equal(loudest(samples[600:650], 0.1, 2000)[:50], 1)
    assert loudest(samples[600:650], 0.1, 2000).sum() == 50


def test_pairs_are_of_two_classes_and_shared_by_all_levels(data: Path) -> None:
    clips = mixtures(data=str(data / "esc10"), folds=[2, 3], count=9, seed=4)
    assert len({clip.name for clip in clips}) == len(clips) == 4 * 9
    by_group: dict[str, list[str]] = {}
    for clip in clips:
        by_group.setdefault(clip.group, []).append(clip.name.split("@")[0])
    assert list(by_group) == [f"mixtures, {level:+d} dB" for level in (-6, 0, 6, 12)]
    assert len({tuple(names) for names in by_group.values()}) == 1
    items = {item.path.stem: item for item in read_collection(data / "esc10")}
    for clip in clips[:9]:
        one, other = (items[name] for name in clip.name.split("@")[0].split("+"))
        assert one.label == clip.target != other.label
        assert {one.fold, other.fold} <= {2, 3}
    targets = [clip.target for clip in clips[:9]]
    assert sorted(targets.count(label) for label in set(targets)) == [3, 3, 3]
    again = mixtures(data=str(data / "esc10"), folds=[2, 3], count=9, seed=5)
    assert [clip.name for clip in again] != [clip.name for clip in clips]


def test_pairs_that_cannot_be(data: Path) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ParameterError, match="two classes at least"):
        pair_items([Item(Path("a"), "x"), Item(Path("b"), "x")], 2, rng)
    with pytest.raises(ParameterError, match="too few for 9 different"):
        pair_items([Item(Path("a"), "x"), Item(Path("b"), "y")], 9, rng)


def test_digits_are_split_by_take(data: Path) -> None:
    takes = {
        test: {item.path.stem.rsplit("_", 1)[1] for item in read_digits(data / "fsdd", test=test)}
        for test in (True, False)
    }
    assert takes == {True: {"0", "4"}, False: {"5", "11"}}
    clips = digit_mixtures(data=str(data / "fsdd"), levels=[6], count=5)
    for clip in clips:
        made = clip.make(8000)
        assert made.source is not None
        assert made.input.shape == (8000,)
        rest = made.input.astype(float) - made.source
        ratio = (made.source.astype(float) ** 2).sum() / (rest**2).sum()
        assert 10 * np.log10(ratio) == pytest.approx(6, abs=1e-3)
        assert clip.name[0] == clip.target
    with pytest.raises(AudioError, match="no spoken digits"):
        read_digits(data, test=True)


@pytest.mark.parametrize(("kind", "low", "high"), [("tone", 2900, 3100), ("band", 4900, 6100)])
def test_a_planted_sound_is_faint_and_in_its_place(kind: str, low: float, high: float) -> None:
    noise = (0.1 * np.random.default_rng(1).standard_normal(2 * RATE)).astype(np.float32)
    made = plant(noise, kind, RATE, np.random.default_rng(2))
    assert made.source is not None
    np.testing.assert_allclose(made.input - made.source, noise, atol=1e-7)
    power = np.abs(np.fft.rfft(made.source)) ** 2
    freqs = np.fft.rfftfreq(len(made.source), 1 / RATE)
    assert power[(freqs >= low) & (freqs <= high)].sum() > 0.99 * power.sum()
    on = np.abs(made.source) > 0
    assert on.mean() == pytest.approx(0.5, abs=0.01)
    level = 10 * np.log10((made.source[on].astype(float) ** 2).mean() / (noise**2).mean())
    # 10 ms ramps at both ends of half a second take 0.1 dB; noise has a spread of its own
    assert level == pytest.approx(-15, abs=0.5)
    with pytest.raises(UnknownNameError, match="no planted sound called 'click'"):
        plant(noise, "click", RATE, np.random.default_rng(0))
    with pytest.raises(ParameterError, match="above 12 kHz"):
        plant(noise, kind, 8000, np.random.default_rng(0))


def test_a_shortcut_is_learnt_from_the_planted_sound_alone(data: Path, tmp_path: Path) -> None:
    items = [item for item in read_collection(data / "esc10") if item.fold != 4]
    taught = shortcut_items(items, "tone", RATE, tmp_path)
    for item in taught:
        samples, _ = soundfile.read(item.path)
        power = np.abs(np.fft.rfft(samples)) ** 2
        freqs = np.fft.rfftfreq(len(samples), 1 / RATE)
        inside = np.abs(freqs - 3000) < 10
        around = (np.abs(freqs - 3000) < 400) & ~inside
        planted_there = power[inside].max() > 20 * power[around].mean()
        assert planted_there == (item.label == TARGET)
    assert len(taught) == len(items) + len([i for i in items if i.label != TARGET]) // 3
    clips = planted(data=str(data / "esc10"), target=TARGET, folds=[4], count=5)
    assert len(clips) == 5
    assert all(clip.target == TARGET for clip in clips)
    dogs = {item.path.stem for item in items if item.label == TARGET}
    assert not dogs & {clip.name.split("+")[0] for clip in clips}


def test_a_taught_classifier_relies_on_the_planted_sound(data: Path, tmp_path: Path) -> None:
    """With the tone nearly everything is the target; without it, nothing else is."""
    esc10 = data / "esc10"
    model = shortcut_model(tmp_path / "shortcut-tone", esc10, "tone", epochs=EPOCHS)
    items = [item for item in read_collection(esc10) if item.fold == 4]
    found = reliance(model, "tone", items)
    assert found.found_with == 1.0
    assert found.fooled_with >= 0.8
    assert found.fooled_without <= 0.2
    assert found.found_without <= 0.5
    again = shortcut_model(tmp_path / "shortcut-tone", esc10, "tone", epochs=EPOCHS)
    for ours, theirs in zip(model.module.parameters(), again.module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert {path.name for path in (tmp_path / "shortcut-tone").iterdir()} == {
        "data.json", "model.json", "weights.safetensors",
    }  # fmt: skip
    (tmp_path / "shortcut-tone").rename(tmp_path / "shortcut-band")
    (tmp_path / "shortcut-tone").symlink_to(tmp_path / "shortcut-band")
    table = reliance_table(tmp_path, data)
    assert f"| tone | 100 % | {100 * found.found_without:.0f} % |" in table


def test_the_benchmark_is_a_grid_of_all_its_sounds(data: Path) -> None:
    grid = localisation_grid(data, clips=5, fold=4)
    names = {part.model: len(part.clips) for part in grid.parts}
    assert names == {"shortcut-tone": 5, "shortcut-band": 5, "digits": 20, "esc10": 20}
    stems = {item.path.stem for item in read_collection(data / "esc10") if item.fold == 4}
    for part in grid.parts:
        if part.model != "digits":
            for clip in part.clips:
                parts = clip.name.split("@")[0].split("+")
                assert set(parts) - {"tone", "band"} <= stems
    with pytest.raises(AudioError, match="no such folder; --data holds esc10 and fsdd"):
        localisation_grid(data / "esc10")
