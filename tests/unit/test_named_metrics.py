"""Metrics that cost more, computed by ``evaluate`` where they are named."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from scipy.stats import spearmanr

from earwitness.benchmark.cells import measure_clip, seed_of
from earwitness.benchmark.examples import _evidence
from earwitness.benchmark.grid import Grid, Part, choose
from earwitness.benchmark.reruns import repeated, repetitions
from earwitness.data.clips import Clip, Material
from earwitness.evaluation.cases import make_cases
from earwitness.evaluation.scrambling import scrambled_maps
from earwitness.masks.keep import make_mask, parse_keep
from earwitness.methods.registry import METHODS, register
from earwitness.metrics.registry import METRICS
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.probe import Probe
from earwitness.types import Map
from tests.command import MODEL, run
from tests.toys import spectral, two_layers

RATE = 16000
LAYERED = "python:model.py:layered"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL + "\n\ntorch.manual_seed(0)\n")
    (tmp_path / "clips").mkdir()
    rng = np.random.default_rng(0)
    for k in range(2):
        wave = 0.1 * rng.standard_normal(8000)
        soundfile.write(tmp_path / "clips" / f"{k}.wav", wave, RATE)
    return tmp_path


def rows_of(
    capsys: pytest.CaptureFixture[str], *words: str, model: str = "python:model.py:make"
) -> tuple[dict[tuple[str, str, str], float], str]:
    """Means by method, metric and route, and what was said."""
    always = ("--keep", "area:10%", "--no-listening", "--json")
    code, out, err = run(capsys, "evaluate", model, "clips", *always, *words)
    assert code == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    return {
        (row["method"], figure["metric"], figure["route"]): figure["mean"]
        for row in rows
        for figure in row["figures"]
    }, err


def measured(
    metrics: tuple[str, ...], wave: np.ndarray, *, masks: tuple[str, ...] = ("area:10%",),
    method: str = "", size: float = 0.0, **more: Any,
) -> list[dict[str, Any]]:  # fmt: skip
    model = spectral()
    clip = Clip("noise", "g", "low", lambda _rate: Material(wave.astype(np.float32)))
    part = Part("toy", lambda _: model, (clip,))
    options = {"size": size} if size else {}
    named = (choose(method, **options),) if method else (choose("energy"), choose("random"))
    grid = Grid("toy", (part,), named, masks, metrics, **more)
    return measure_clip(model, "toy", clip, grid)


def figure(lines: list[dict[str, Any]], method: str, metric: str, route: str = "map") -> float:
    (value,) = (float(line["figures"][metric]) for line in lines
                if line["method"] == method and line["route"] == route
                and metric in line["figures"])  # fmt: skip
    return value


def test_stability_against_noise_is_that_of_four_copies_at_minus_40_db() -> None:
    model = spectral()
    # mostly quiet, so that noise changes the order of many cells
    wave = np.random.default_rng(5).standard_normal(12000) * 10 ** -np.linspace(1, 5, 12000)
    wave = wave.astype(np.float32)
    found = measured(("stability-noise",), wave)
    own = np.random.default_rng(seed_of(0, "noise"))  # as documented: white, relative to the RMS
    noise = own.standard_normal((4, len(wave))) * np.sqrt((wave.astype(float) ** 2).mean()) / 100

    def loudness(sound: np.ndarray) -> np.ndarray:
        return model.plane.analyse(torch.from_numpy(sound)[None])[0].abs().numpy().ravel()

    # the map of the method energy is in the order of the magnitude
    copies = [(wave + one).astype(np.float32) for one in noise]
    each = [spearmanr(loudness(wave), loudness(copy)).statistic for copy in copies]
    wanted = float(np.mean(each))
    assert min(abs(one - wanted) for one in each) > 1e-5  # so that one copy is not the mean
    np.testing.assert_allclose(figure(found, "energy", "stability-noise"), wanted, atol=1e-6)


def test_stability_between_seeds() -> None:
    wave = 0.1 * np.random.default_rng(5).standard_normal(12000)
    found = measured(("stability-seed", "stability-encoding"), wave)
    np.testing.assert_allclose(figure(found, "energy", "stability-seed"), 1.0, atol=1e-12)
    assert abs(figure(found, "random", "stability-seed")) < 0.2
    assert 0.5 < figure(found, "energy", "stability-encoding") < 1


def test_metrics_that_cost_more_are_computed_only_if_named() -> None:
    found = measured((), 0.1 * np.random.default_rng(5).standard_normal(12000))
    named = {name for line in found for name in line["figures"]}
    assert not named & {"stability-noise", "stability-seed", "sanity-ssim", "transfer", "stoi"}
    assert not any(name.endswith("-sizes") for name in named)
    assert "sparseness-map" in named


def test_figures_over_sizes_are_the_mean_of_those_of_each_size() -> None:
    wave = 0.02 * np.random.default_rng(5).standard_normal(24000)
    wave[17000:19000] *= 3  # where the target is heard
    names = ("average-drop", "average-increase", "faithfulness")
    found = measured(tuple(f"{name}-sizes" for name in names), wave)
    shares = (2, 5, 10, 20, 30)
    masks = tuple(f"area:{share}%" for share in shares)
    each = measured(names, wave, masks=masks)
    for method in ("energy", "random"):
        for route in ("audio", "spectrogram"):
            for name in names:
                values = [
                    next(float(line["figures"][name]) for line in each
                         if (line["method"], line["route"], line["mask"]) == (method, route, mask))
                    for mask in masks
                ]  # fmt: skip
                wanted = np.trapezoid(values, shares) / 28
                got = figure(found, method, f"{name}-sizes", route)
                np.testing.assert_allclose(got, wanted, atol=1e-9)
    for name in names:
        one, other = (
            figure(found, method, f"{name}-sizes", "audio") for method in ("energy", "random")
        )
        assert one != other


def test_a_method_that_takes_the_size_is_asked_for_each() -> None:
    asked: list[float] = []

    def stripes(probe: Probe, *, size: float = 0.0) -> Map:
        """A map whose strongest tenth differs from the one without a size.

        Parameters
        ----------
        size : float
            Share.
        """
        asked.append(size)
        values = torch.zeros(probe.shape)
        values[: round(size * len(values)) if size else None] = 1.0
        return Map(values)

    register("stripes", summary="s", limits="l", sized=True, cost=1)(stripes)
    try:
        wave = 0.1 * np.random.default_rng(5).standard_normal(12000)
        masks = ("area:50%", "area:25% as heard", "80%")
        lines = measured(("area", "average-drop-sizes"), wave, masks=masks, method="stripes")
        # the map of no size, then the rules that name one, then the five sizes
        assert asked == [0, 0.5, 0.25, 0.02, 0.05, 0.1, 0.2, 0.3]
        area = next(line["area"] for line in lines if line["route"] == "mask")
        np.testing.assert_allclose(area, 0.5, atol=0.01)
        asked.clear()
        measured(("average-drop-sizes",), wave, masks=("area:10%", "80%"), method="stripes")
        assert asked == [0, 0.1, 0.02, 0.05, 0.2, 0.3]  # each size once
        asked.clear()
        measured(("area",), wave, masks=masks, method="stripes", size=0.1)
        assert asked == [0.1]  # which was named
        # and what is played as an example is the evidence that was measured
        model, sound = spectral(), torch.from_numpy(wave.astype(np.float32))
        probe = Probe(model, sound, make_target(model, model(sound[None])[0], "low"), seed=0)
        whole = np.ones(probe.shape, np.float32)
        played = torch.from_numpy(_evidence(choose("stripes"), probe, whole, "area:50%").samples)
        power = model.plane.analyse(played[None])[0].abs().square().sum(dim=1)
        assert power[len(power) // 2 + 4 :].sum() < 1e-3 * power.sum()
    finally:
        METHODS._specs.pop("stripes", None)


def test_transfer_to_a_model_with_the_outputs_in_another_order() -> None:
    wave, model = 0.1 * np.random.default_rng(5).standard_normal(12000), spectral()

    def flipped(waves: np.ndarray) -> np.ndarray:
        return model(torch.from_numpy(waves)).detach().flip(1).numpy()

    labels = list(reversed(model.labels))
    other = wrap(flipped, sample_rate=model.rate, labels=labels, output="logits", name="flipped")
    found = measured(("transfer",), wave, other=other)
    # the same model: its own probabilities of evidence and remainder
    sound = torch.from_numpy(wave.astype(np.float32))
    probe = Probe(model, sound, make_target(model, model(sound[None])[0], "low"), seed=0)
    magnitude = probe.magnitude.numpy()
    gains = make_mask(magnitude, magnitude, parse_keep("area:10%")).gains
    case = make_cases(probe, gains[None])["audio"]
    wanted = float(case["p_evidence"][0] - case["p_remainder"][0])
    np.testing.assert_allclose(figure(found, "energy", "transfer", "audio"), wanted, atol=1e-5)
    assert abs(wanted) > 0.01
    assert all("transfer" not in line["figures"] for line in found if line["route"] != "audio")


def test_transfer_to_a_model_with_outputs_per_frame_is_the_mean_over_frames() -> None:
    wave = 0.1 * np.random.default_rng(5).standard_normal(12000)

    def frames(waves: np.ndarray) -> np.ndarray:
        """A half in odd frames, and in even ones all of it for a sound that is not silent."""
        sounding = (np.abs(waves).max(axis=1) > 1e-4)[:, None]
        first = np.where(sounding & (np.arange(4) % 2 == 0), 1.0, 0.5)
        return np.stack([first, 1 - first], axis=2)

    other = wrap(
        frames, sample_rate=RATE, labels=["low", "high"], output="probabilities", per_frame=True
    )
    found = measured(("transfer",), wave, other=other)
    assert figure(found, "all-ones", "transfer", "audio") == 0.75 - 0.5


def test_scrambled_weights_cost_what_is_told() -> None:
    wave = 0.1 * np.random.default_rng(5).standard_normal(12000).astype(np.float32)
    model = two_layers()
    clip = Clip("noise", "g", None, lambda _rate: Material(wave))
    grid = Grid(
        "toy", (Part("toy", lambda _: model, (clip,)),), (choose("saliency"),), ("area:10%",),
        ("sanity-ssim",),
    )  # fmt: skip
    target = make_target(model, model(torch.from_numpy(wave)[None])[0])
    maps = repeated(grid, choose("saliency"), model, wave, target, 0, wave, False)["random_maps"]
    assert repetitions(grid, model, wave) == {"sanity": 3} == {"sanity": len(maps)}
    _, slow = scrambled_maps(model, torch.from_numpy(wave), target, {"saliency": {}}, seed=0)
    np.testing.assert_array_equal(maps, slow["saliency"]["random_maps"])


def test_the_cost_is_told_first(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--method", "saliency", "--metric", "stability-noise", "--metric", "sanity-ssim")
    values, err = rows_of(capsys, *words, model=LAYERED)
    first, second = err.splitlines()[:2]
    # two blocks hold weights; saliency and the four controls
    assert first.startswith("sanity: 2 more explanations of each sound by each of 5 methods")
    assert second.startswith("stability-noise: 4 more explanations of each sound by each of 5")
    assert values["saliency", "stability-noise", "map"] > 0.5
    # a method that never looks at the model does not change with its weights
    np.testing.assert_allclose(values["energy", "sanity-ssim", "map"], 1.0, atol=1e-12)
    assert values["saliency", "sanity-ssim", "map"] < 0.95


def test_intelligibility_is_that_of_the_evidence_against_the_input(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("pystoi")
    module.__spec__ = sys.__spec__

    def stoi(clean: np.ndarray, found: np.ndarray, rate: int) -> float:
        """A stand-in with the order of the arguments of the package: clean, processed, rate."""
        assert rate == RATE
        return float((found @ found) / (clean @ clean))

    module.stoi = stoi  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pystoi", module)
    words = ("--method", "energy", "--metric", "stoi", "--metric", "level")
    values, _ = rows_of(capsys, *words)
    ratio = values["energy", "stoi", "mask"]
    np.testing.assert_allclose(10 * np.log10(ratio), values["energy", "level", "mask"], atol=0.1)


def test_speech_that_is_too_short_has_no_intelligibility() -> None:
    """Pystoi warns and returns 1e-5, which would be averaged as a number."""
    pytest.importorskip("pystoi")
    wave = np.random.default_rng(0).standard_normal(2000).astype(np.float32)
    np.testing.assert_array_equal(METRICS.get("stoi").function(wave[None], wave, RATE), [np.nan])


def test_a_warning_of_too_short_speech_is_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("pystoi")

    def stoi(clean: np.ndarray, found: np.ndarray, rate: int) -> float:
        warnings.warn("Not enough STFT frames to compute it", RuntimeWarning, stacklevel=2)
        return 1e-5

    module.stoi = stoi  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pystoi", module)
    wave = np.ones(100)
    np.testing.assert_array_equal(METRICS.get("stoi").function(wave[None], wave, RATE), [np.nan])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metric", "transfer"), "name it by --other"),
        (("--metric", "transfer", "--other", "esc10"), "has no label of"),
        (("--metric", "sanity-spearman"), "sanity: bands has no weights to scramble"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_anything_is_run(
    words: tuple[str, ...], message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "evaluate", "python:model.py:make", "clips", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (place / "earwitness-evaluation").exists()


def test_a_grid_names_the_other_classifier(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "grid.toml").write_text(
        'models = ["python:model.py:make"]\nother = "python:model.py:make"\nmethods = ["energy"]\n'
        'masks = ["area:10%"]\nmetrics = ["transfer", "faithfulness", "average-drop"]\n'
        '[sounds]\nkind = "folder"\npaths = ["clips"]\n'
    )
    code, _, _ = run(capsys, "bench", "grid.toml", "--no-listening", "-o", "out")
    lines = [json.loads(line) for line in (place / "out" / "cells.jsonl").read_text().splitlines()]
    found = [line["figures"] for line in lines if line["route"] == "audio" and line["mask"]
             and line["method"] == "energy"]  # fmt: skip
    assert (code, len(found)) == (0, 2)
    assert all(-1 <= one["transfer"] <= 1 for one in found)
    assert json.loads((place / "out" / "run.json").read_text())["facts"]["other"]["weights"]
