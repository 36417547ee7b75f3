"""Grids: what is in them, that a killed run ends as an unbroken one, and whose figures they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earwitness.benchmark.cells import ideal_ratio_mask, measure_clip, seed_of
from earwitness.benchmark.engine import LINES, run_grid
from earwitness.benchmark.grid import CONTROLS, IDEAL, Grid, Part, choose, read_grid
from earwitness.benchmark.ledger import read_lines
from earwitness.data.clips import Clip, Material
from earwitness.errors import EarwitnessError, OutputError, ParameterError, UnknownNameError
from earwitness.evaluation.cases import make_cases, measure
from earwitness.evaluation.orders import order_by
from earwitness.files import held
from earwitness.masks.keep import make_mask, parse_keep
from earwitness.models.wrapping import wrap
from earwitness.pipeline import explain
from earwitness.probe import Probe
from earwitness.types import Audio
from tests.toy_grid import make, toy_grid
from tests.toys import RATE, curved, spectral

ROOT = Path(__file__).parents[2]


def timeless(lines: list[dict[str, Any]]) -> list[str]:
    return [json.dumps({k: v for k, v in line.items() if k != "seconds"}) for line in lines]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run_grid(toy_grid(), tmp_path_factory.mktemp("runs") / "unbroken")


def test_a_run_killed_again_and_again_ends_as_an_unbroken_one(
    unbroken: list[dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "tests.toy_grid", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    killed = 0
    for wanted in (1, 3):
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        while process.poll() is None:
            place = folder / LINES
            if place.exists() and len(clips_in(place)) >= wanted:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += process.returncode == -signal.SIGKILL
            time.sleep(0.002)
    assert killed == 2
    assert len(clips_in(folder / LINES)) < 6
    run_grid(toy_grid(), folder)
    assert timeless(read_lines(folder / LINES)) == timeless(unbroken)


def clips_in(place: Path) -> set[str]:
    return {line["clip"] for line in read_lines(place)}


def test_whatever_is_torn_is_done_again(tmp_path: Path) -> None:
    grid = toy_grid(clips=2, seeds=(0,), masks=("area:5%",))
    folder = tmp_path / "torn"
    wanted = timeless(run_grid(grid, folder))
    whole = (folder / LINES).read_bytes()
    rng = np.random.default_rng(0)
    ends = np.cumsum([len(line) for line in whole.splitlines(keepends=True)])
    half = ends[len(ends) // 2 - 1]
    cuts = [
        0,
        1,
        ends[0],
        ends[0] - 1,
        half - 1,
        half,
        ends[-1] - 1,
        *rng.integers(0, len(whole), 3),
    ]
    for cut in cuts:
        (folder / LINES).write_bytes(whole[:cut])
        assert timeless(run_grid(grid, folder)) == wanted
    (folder / LINES).write_bytes(whole[: ends[-1] // 2] + b"\0\0 torn {\n" + whole[-50:])
    assert timeless(run_grid(grid, folder)) == wanted


def test_every_cell_is_there_once(unbroken: list[dict[str, Any]]) -> None:
    keys = ("model", "clip", "method", "mask", "seed", "route")
    cells = Counter(tuple(line[key] for key in keys) for line in unbroken)
    assert set(cells.values()) == {1}
    found = {(line["method"], line["mask"], line["route"]) for line in unbroken}
    methods = ["input-x-gradient", "smoothgrad", *CONTROLS, IDEAL]
    routes = ("mask", "spectrogram", "audio")
    wanted = {(m, k, r) for m in methods for k in ("area:5%", "minmax+") for r in routes}
    wanted |= {(IDEAL, "gains", r) for r in routes}
    wanted |= {(m, None, r) for m in methods for r in ("map", "spectrogram", "audio")}
    assert found == wanted
    assert len(cells) == len(wanted) * 6 * 2
    for line in unbroken:
        assert line["versions"]["torch"] == torch.__version__
        assert {"seed", "commit", "options", "seconds", "figures"} <= line.keys()
    smooth = next(line for line in unbroken if line["method"] == "smoothgrad")
    assert smooth["options"] == {"samples": 2, "noise": 0.15}


def test_figures_are_those_of_the_parts_by_themselves(unbroken: list[dict[str, Any]]) -> None:
    """One cell, worked out again with explain, make_mask, make_cases and measure."""
    model, seed = spectral(), seed_of(1, "noise 3")
    samples = make(3, RATE).input
    found = explain(model, Audio(samples, RATE), "smoothgrad", target="low", seed=seed, samples=2)
    mask = make_mask(found.attribution.values, found.magnitude, parse_keep("area:5%"))
    loud = order_by(mask.gains, found.magnitude)
    with model.undisturbed():
        probe = Probe(model, torch.from_numpy(samples), found.target)
        cases = make_cases(probe, [mask.gains, loud])
    for route in ("spectrogram", "audio"):
        (line,) = (
            line
            for line in unbroken
            if (line["clip"], line["method"], line["mask"]) == ("noise 3", "smoothgrad", "area:5%")
            and (line["seed"], line["route"]) == (1, route)
        )
        figures = measure(cases[route], list(line["figures"]))
        for name, (ours, loudest) in figures.items():
            # batches of another size change the last digits of float32
            close = {"rtol": 1e-3, "atol": 1e-4, "err_msg": name}
            np.testing.assert_allclose(float(line["figures"][name]), ours, **close)
            np.testing.assert_allclose(float(line["matched"]["energy"][name]), loudest, **close)
        np.testing.assert_allclose(line["area"], mask.area, rtol=0, atol=1e-12)


def test_truth_is_found_and_chance_is_not(unbroken: list[dict[str, Any]]) -> None:
    def mean(method: str, metric: str, route: str, mask: str | None) -> float:
        some = [
            float(line["figures"][metric])
            for line in unbroken
            if (line["method"], line["route"], line["mask"]) == (method, route, mask)
        ]
        return float(np.mean(some))

    assert mean(IDEAL, "roc-auc", "map", None) > 0.999
    assert mean("input-x-gradient", "relevance-mass", "map", None) > 0.9
    assert mean("random", "roc-auc", "map", None) == pytest.approx(0.5, abs=0.15)
    # the ideal ratio mask as it is comes closest to the true source of all soft masks
    ideal = mean(IDEAL, "si-sdr-source", "mask", "gains")
    assert ideal > mean("input-x-gradient", "si-sdr-source", "mask", "minmax+")
    assert ideal > 5 + mean("random", "si-sdr-source", "mask", "minmax+")


def test_chance_differs_from_sound_to_sound_and_from_seed_to_seed(
    unbroken: list[dict[str, Any]],
) -> None:
    masses = [
        line["figures"]["relevance-mass"]
        for line in unbroken
        if (line["method"], line["route"]) == ("random", "map")
    ]
    assert len(masses) == 12
    assert len(set(masses)) == 12


DRAWN = {
    "lime": {"samples": 40, "segments": 5},
    "kernel-shap": {"samples": 40, "segments": 5},
    "rise": {"samples": 40, "segments": 5},
    "slime": {"samples": 40, "segments": 14},
    "pieces": {"samples": 40, "segments": 5, "estimator": "forest"},
    "occlusion": {"background": "noise-floor", "segments": 3},
    "integrated-gradients": {"background": "noise-floor", "steps": 4},
    "gradient-shap": {"samples": 4},
}


@pytest.mark.parametrize("method", [*DRAWN, "occlusion of silence"])
def test_several_seeds_are_several_maps_unless_nothing_is_drawn(method: str) -> None:
    name, drawn = method.partition(" ")[0], method in DRAWN
    options = DRAWN[method] if drawn else {"segments": 3, "bands": 2}
    grid = toy_grid(
        clips=1, methods=(choose(name, **options),), seeds=(0, 1, 2), masks=("area:5%",),
        metrics=("relevance-mass", "roc-auc", "relevance-mass-time"),
    )  # fmt: skip
    passes: list[int] = []
    lines = measure_clip(curved(), "toy", grid.parts[0].clips[0], grid, passes.append)
    some = [line for line in lines if (line["method"], line["route"]) == (name, "map")]
    assert [line["seed"] for line in some] == [0, 1, 2]
    figures = {json.dumps(line["figures"]) for line in some}
    assert len(figures) == (3 if drawn else 1)
    assert len({line["options"]["background"] for line in some}) == 1
    used = options.get("background", "silence")
    assert some[0]["options"]["background"] == used


def test_the_ideal_ratio_mask() -> None:
    found = ideal_ratio_mask(np.array([[3.0, 0.0], [1.0, 0.0]]), np.array([[4.0, 2.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.6, 0.0], [1.0, 0.0]], rtol=1e-6, atol=0)


def test_controls_are_in_every_grid() -> None:
    for methods in ((), (choose("random", smoothness=2.0),), (choose("lime"), choose("energy"))):
        grid = toy_grid(methods=methods)
        names = [choice.name for choice in grid.methods]
        assert set(CONTROLS) <= set(names)
        assert len(set(names)) == len(names)
    assert toy_grid(methods=(choose("random", smoothness=2.0),)).methods[0].options == {
        "smoothness": 2.0
    }


def test_what_cannot_be_explained_is_counted_and_never_in_the_way(tmp_path: Path) -> None:
    box = wrap(lambda waves: np.stack([waves.std(axis=1), -waves.std(axis=1)], axis=1),
               sample_rate=RATE, labels=["low", "high"])  # fmt: skip
    good = Clip("good", "noise", "low", lambda rate: make(0, rate))

    def bad(_rate: int) -> Material:
        raise ParameterError("bad: cannot be made")

    part = Part("box", lambda _folder: box, (good, Clip("bad", "noise", None, bad)))
    grid = Grid("box", (part,), (choose("saliency"),), masks=("area:5%",))
    lines = run_grid(grid, tmp_path / "box")
    failed = [line for line in lines if "failed" in line]
    assert {(line["clip"], line["method"]) for line in failed} == {
        ("good", "saliency"),
        ("bad", None),
    }
    assert any("black box without gradients" in line["failed"] for line in failed)
    assert any(line["method"] == "energy" and line["route"] == "audio" for line in lines)
    assert timeless(run_grid(grid, tmp_path / "box")) == timeless(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('methods = ["grad-cam"]', "did you mean 'gradcam'"),
        ('methods = [{name = "lime", sample = 3}]', "no option of lime called 'sample'"),
        ('methods = [{name = "lime", samples = "many"}]', "samples must be a number"),
        ("methods = [3]", "a method is a name or like"),
        ('masks = ["area:10"]', "keep is a share such as"),
        ('masks = "area:10%"', "masks is a list of names"),
        ('metrics = ["faithfullness"]', "did you mean 'faithfulness'"),
        ('rank = "loudness"', "no metric called 'loudness'"),
        ("seeds = [-1]", "seeds is a list of whole numbers"),
        ("seeds = [1, 1]", "seed 1 is named twice"),
        ('model = ["esc10"]', "did you mean 'models'"),
        ("methods = [", "not a TOML file"),
        ('methods = ["lime", "lime"]', "is named twice"),
    ],
)
def test_a_grid_with_a_bad_word_is_refused_in_one_line(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "grid.toml"
    sounds = f'\n[sounds]\nkind = "folder"\npaths = ["{tmp_path}"]\n'
    (tmp_path / "one.wav").touch()
    path.write_text(text + sounds)
    with pytest.raises(EarwitnessError) as caught:
        read_grid(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sounds", "message"),
    [
        ("", r"needs a table \[sounds\] with kind"),
        ('[sounds]\nkind = "folders"', "did you mean 'folder'"),
        ('[sounds]\nkind = "folder"', "folder sounds need the option paths"),
        ('[sounds]\nkind = "folder"\npath = ["x"]', "did you mean 'paths'"),
        ('[sounds]\nkind = "mixtures"\ndata = "x"\ncount = "all"', "count must be a whole number"),
    ],
)
def test_bad_sounds_are_refused(sounds: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(sounds)
    with pytest.raises(EarwitnessError, match=message):
        read_grid(path)
    with pytest.raises(OutputError, match="cannot be read"):
        read_grid(tmp_path / "none.toml")


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_grid(toy_grid(clips=1, methods=()), folder)
    with pytest.raises(OutputError, match="holds a run with other masks"):
        run_grid(toy_grid(clips=1, methods=(), masks=("80%",)), folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").touch()
    with pytest.raises(OutputError, match="is not empty and holds no run"):
        run_grid(toy_grid(clips=1), tmp_path / "other")
    with held(folder), pytest.raises(OutputError, match="another run is writing it"):
        run_grid(toy_grid(clips=1, methods=()), folder)


def test_equal_masks_of_different_methods_cost_no_passes() -> None:
    """The loudest cells are a control of every method, and all of one size are one mask."""
    told: list[int] = []
    # the class that listens where there is noise alone, so its mask is not the loudest cells
    clip = Clip("noise", "noise", "high", partial(make, 0))
    grid = toy_grid(methods=(), seeds=(0,), masks=("area:1%",), metrics=("faithfulness",))
    measure_clip(spectral(), "toy", clip, grid, told.append)
    controls = sum(told)
    assert controls == 4 * 6  # four controls, and the ideal mask cut and as it is
    told.clear()
    grid = toy_grid(
        methods=(choose("input-x-gradient"),), seeds=(0,), masks=("area:1%",),
        metrics=("faithfulness",),
    )  # fmt: skip
    measure_clip(spectral(), "toy", clip, grid, told.append)
    # its gradient, its mask, and its random order; its loudest cells were asked about already
    assert sum(told) == controls + 3 + 4 + 4


def test_no_method_and_no_metric_of_that_name() -> None:
    with pytest.raises(UnknownNameError, match="no method called"):
        choose("gradcamera")
    with pytest.raises(UnknownNameError, match="no metric called"):
        toy_grid(metrics=("nothing",))


def test_every_sound_and_every_seed_has_chance_of_its_own() -> None:
    seeds = {seed_of(seed, clip) for seed in (0, 1) for clip in ("a", "b", "0 a")}
    assert len(seeds) == 6
    assert seed_of(1, "a") == seed_of(1, "a")
