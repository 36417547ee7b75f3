"""``bench pak-clean`` and its like on a small data set: cells by hand, shared passes, tables."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from earwitness.benchmark.grids import pak, pak_tables, sounds
from earwitness.benchmark.ledger import read_lines
from earwitness.data.clips import Clip, Material
from earwitness.data.collection import Item
from earwitness.errors import AudioError, ParameterError
from earwitness.methods import pak as methods
from earwitness.methods.levels import Levels
from earwitness.models.model import Model
from earwitness.models.zoo.checkpoint import default_recipe
from tests.command import run
from tests.reference.slow_pak import SLOW_MASKS
from tests.reference.slow_published import SLOW

RATE = 8000  # of the recordings; the front ends resample


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in four folds, in the layout of ESC-10, and three noises."""
    root = tmp_path_factory.mktemp("data")
    (root / "esc10" / "audio").mkdir(parents=True)
    (root / "noises").mkdir()
    rng, time = np.random.default_rng(0), np.arange(2 * RATE) / RATE
    rows = ["filename,fold,category"]
    for number in range(24):
        label = ("high", "low")[number % 2]
        pitch = 2500 if label == "high" else 400
        wave = 0.3 * np.sin(2 * np.pi * (pitch + 20 * number) * time)
        soundfile.write(root / "esc10" / "audio" / f"{number}.wav", wave, RATE)
        rows.append(f"{number}.wav,{number // 6 + 1},{label}")
    (root / "esc10" / "esc10.csv").write_text("\n".join(rows))
    for name in sounds.NOISES:
        noise = 0.1 * rng.standard_normal(6 * RATE)
        soundfile.write(root / "noises" / f"{name}.wav", noise, RATE)
    return root


@pytest.fixture(scope="module")
def model() -> Model:
    recipe = default_recipe(["high", "low"], front_end="mel-db")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return recipe.model(recipe.network(), "mel-db")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few samples of LIME and few lines of SHAP."""
    monkeypatch.setattr(methods, "SAMPLES", 24)
    monkeypatch.setattr(methods, "DRAWS", 24)
    monkeypatch.setattr(methods, "NODES", 2)
    monkeypatch.setattr(methods, "BACKGROUNDS", 4)


def plan_of(data: Path, scenario: str = "clean", **changes: Any) -> pak.PakPlan:
    items = sounds.items_of(data, "esc10")
    return pak.pak_plan(scenario, "mel-db", items, data / "noises", clips=2, **changes)


def test_masks_are_the_published_ones() -> None:
    rng = np.random.default_rng(1)
    for values in (rng.normal(size=(8, 11)), rng.normal(size=(8, 11)) - 1.5, -rng.random((8, 11))):
        found = pak.masks_of(values)
        assert list(pak.RULES) == list(SLOW_MASKS)
        for name, one in zip(pak.RULES, found, strict=True):
            wanted = SLOW_MASKS[name](values.ravel().tolist())
            np.testing.assert_allclose(one.ravel(), wanted, rtol=1e-6, atol=1e-6, err_msg=name)


def test_a_cell_is_that_of_a_slow_version(data: Path, model: Model) -> None:
    plan = plan_of(data, methods=("saliency",), versions=("published",))
    rng = np.random.default_rng(0)
    wave = (0.1 * rng.standard_normal(2 * model.rate)).astype(np.float32)
    clip = Clip("noise", "clean", None, lambda _rate: Material(wave))
    lines = pak.measure_levels(model, "mel-db", clip, plan)
    assert model.module is not None
    network = model.module.double()
    try:
        sound = Levels(model, torch.from_numpy(wave))
        levels = sound.levels.double()
        leaf = levels[None, None].clone().requires_grad_()
        whole = network(leaf)[0].softmax(dim=0)
        index = int(whole.argmax())
        logits = network(leaf)[0]
        (gradient,) = torch.autograd.grad(logits[index], leaf)
        wanted = {}
        for name in ("bin", "minmax", "topK_30", "sigmoid"):
            values = gradient[0, 0].flatten().tolist()
            gains = torch.tensor(SLOW_MASKS[name](values), dtype=torch.float64)
            both = [
                network(((levels + 100) * one.reshape(levels.shape) - 100)[None, None])[0]
                .softmax(dim=0).tolist()
                for one in (gains, 1 - gains)
            ]  # fmt: skip
            wanted[name] = SLOW["pak"](whole.tolist(), *both, gains.tolist())
    finally:
        network.float()
    for line in lines:
        if line["method"] == "saliency" and line["mask"] in wanted:
            found = line["figures"]
            for figure, value in wanted[line["mask"]].items():
                np.testing.assert_allclose(
                    found[figure], value, rtol=2e-3, atol=2e-4, err_msg=(line["mask"], figure)
                )


def without_order(lines: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps({k: v for k, v in one.items() if k != "left"}) for one in lines)


def test_the_cells_of_one_run_are_those_of_independent_runs(
    data: Path, model: Model, quick: None
) -> None:
    plan = plan_of(data)
    clip = plan.parts[0].clips[0]
    passes: list[int] = []
    together = pak.measure_levels(model, "m", clip, plan, passes.append)
    assert len(together) == (4 * 2 + 2) * 14
    apart: list[dict[str, Any]] = []
    single: list[int] = []
    for method in pak.METHODS:
        for version in pak.VERSIONS:
            own = plan_of(data, methods=(method,), versions=(version,))
            lines = pak.measure_levels(model, "m", clip, own, single.append)
            apart += [line for line in lines if line["version"] == version]
    apart += [line for line in lines if line["version"] == "control"]
    assert without_order(together) == without_order(apart)
    assert sum(passes) < 0.8 * sum(single)  # masks that are equal, and the controls, once


def test_two_processes_give_the_cells_of_one(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        code, _, err = run(
            capsys, "bench", "pak-room", "--data", str(data), "--clips", "2", "--epochs", "1",
            "--method", "saliency", "--method", "gradcam", "--jobs", str(jobs),
            "--models", str(tmp_path / "models"), "-o", str(folder),
        )  # fmt: skip
        assert code == 0, err
        found.append(without_order(read_lines(folder / "cells.jsonl")))
    assert found[0] == found[1]
    assert (tmp_path / "1" / "table.md").read_text() == (tmp_path / "2" / "table.md").read_text()
    text = (tmp_path / "1" / "table.md").read_text()
    assert "nan" not in text
    assert "[\u2013]" in text  # two sounds are too few for an interval
    with (tmp_path / "1" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (2 * 2 + 2) * 14
    assert (tmp_path / "models" / "mel-db" / "model.json").exists()
    assert not (tmp_path / "1" / "models").exists()


def line(clip: str, **changes: Any) -> dict[str, Any]:
    figures = {"FF": 0.5, "AI": 100.0, "AG": 1e-6, "FidIn": 1.0, "SPS": 0.0, "AD": 0.0, "COMP": 0.0}
    return {
        "model": "mel-db", "clip": clip, "group": "clean", "method": "saliency", "area": 1.0,
        "version": "published", "mask": "topK_50_pos", "degenerate": "full", "figures": figures,
        "AD2": 0.0, "p": 0.9, "p_in": 0.9 + 1e-8, "p_out": 0.4,
        "audio": {"AI": 0.0, "AD": 2.0, "AG": 0.0, "FidIn": 1.0}, "left": 0,
    } | changes  # fmt: skip


def test_degenerate_masks_and_rounding_count_as_published_and_not_when_right() -> None:
    own = {"FF": 0.3, "AI": 100.0, "AG": 2.0, "FidIn": 0.0, "SPS": 0.5, "AD": 0.0, "COMP": 3.0}
    (row,) = pak_tables.rows_of([
        line("a"), line("b"),
        line("c", degenerate=None, figures=own, area=0.5),
        line("d", degenerate=None, figures={**own, "FidIn": 1.0}, p_in=0.95, area=0.5),
    ])  # fmt: skip
    assert (row.sounds, row.degenerate, row.area) == (4, 2, 0.75)
    assert not row.sound
    assert row.published["AI"] == 100.0
    assert row.published["COMP"] == 1.5
    assert row.mean("AI") == 50.0  # 1e-8 is rounding
    assert row.mean("FidIn") == 0.5
    assert row.mean("audio AD") == 2.0


def test_the_choice_is_scaled_over_all_rows_or_over_its_own() -> None:
    def row(method: str, mask: str, **changes: float) -> pak_tables.Row:
        flat = dict.fromkeys(("FF", "AI", "AG", "FidIn", "SPS", "AD", "COMP", "AD2"), 1.0)
        return pak_tables.Row(method, "published", mask, 9, 0, 0.5, flat | changes, {})

    own = [row("a", "x", FF=1.0, AD=10.0), row("a", "y", FF=1.2, AD=12.0)]
    every = [*own, row("b", "x", FF=0.0, AD=12.1), row("b", "y", FF=9.0, AD=0.0)]
    assert pak_tables.choice(own, own)[1] == pytest.approx(math.sqrt(1e-9), rel=1e-6)
    # over all rows: 1/9 (1 - 10/12.1) against 1.2/9 (1 - 12/12.1)
    chosen, score = pak_tables.choice(every, own)
    assert chosen.mask == "x"
    assert score == pytest.approx(math.sqrt(1 / 9 * (1 - 10 / 12.1)), rel=1e-6)
    assert pak_tables.ranked({"a": 0.2, "b": math.nan, "c": 0.5}) == "c 0.5, a 0.2, b -"


def test_noise_is_mixed_at_three_and_a_half_decibels(data: Path) -> None:
    items = sounds.items_of(data, "esc10").explained
    noise = data / "noises" / "horse.wav"
    (clip, other) = sounds.noisy_clips(items[:2], "horse", noise)
    found = clip.make(16000).input
    assert found.shape == (80000,)
    np.testing.assert_allclose(np.abs(found).max(), 1.0, rtol=1e-6)
    clean = sounds.noisy_clips(items[:1], "clean", None)[0].make(16000).input
    rest = sounds.fixed_length(noise, 16000)
    one, two = (x / np.sqrt(np.mean(x.astype(float) ** 2)) for x in (clean, rest))
    mixed = 0.6 * one + 0.4 * two
    np.testing.assert_allclose(found, mixed / np.abs(mixed).max(), atol=1e-5)
    ratio = 20 * math.log10(0.6 / 0.4)
    np.testing.assert_allclose(ratio, 3.52, atol=5e-3)
    # every sound gets the same five seconds of it, at the end of which these are silent
    tails = [one.make(16000).input[40000:] for one in (clip, other)]
    np.testing.assert_allclose(
        tails[0] / np.abs(tails[0]).max(), tails[1] / np.abs(tails[1]).max(), atol=1e-4
    )
    with pytest.raises(AudioError, match="no such file"):
        sounds.noisy_clips(items, "horse", data / "none.wav")


def test_sounds_are_spread_over_classes_and_folds_are_kept_apart(data: Path) -> None:
    items = [Item(Path(str(k)), "ab"[k // 6]) for k in range(8)]
    assert [item.label for item in sounds.spread(items, 4)] == ["a", "a", "b", "b"]
    assert len(sounds.spread(items, 99)) == 8
    found = sounds.items_of(data, "esc10")
    assert {item.fold for item in found.learnt} == {1, 2, 3}
    assert {item.fold for item in found.explained} == {4}
    with pytest.raises(ParameterError, match="are learnt"):
        sounds.items_of(data, "esc10", [3])
