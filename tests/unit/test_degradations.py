"""The benchmark of degradations: places that are known, and tables of known lines."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from earwitness.audio import write_audio
from earwitness.benchmark.degradations.measure import SIDES, measure_degraded, place_of
from earwitness.benchmark.degradations.plan import Plan, degradation_plan
from earwitness.benchmark.degradations.summary import make_rows, markdown
from earwitness.benchmark.engine import run
from earwitness.benchmark.grid import Part, choose
from earwitness.benchmark.ledger import Line
from earwitness.cli.main import main
from earwitness.data.clips import Clip
from earwitness.data.speech import DegradedMaterial, Excerpt, make_degraded
from earwitness.errors import OutputError, ParameterError, UnknownNameError
from earwitness.metrics.place import (
    place_cells,
    strongest_third,
    strongest_time,
    third_of,
    time_error,
)
from earwitness.models.model import Model
from earwitness.models.target import make_target
from earwitness.models.wrapping import wrap
from earwitness.models.zoo.mosnet import MOSNet, save_mosnet
from earwitness.probe import Probe
from earwitness.signals import crying_baby
from earwitness.types import Audio
from tests.toys import RATE, TOY_PLANE, Magnitude

SECONDS = 3.0


class MinusEnergy(nn.Module):
    """Five, minus the energy of the cells of a place."""

    def __init__(self, place: Tensor) -> None:
        super().__init__()
        self.register_buffer("place", place)

    def forward(self, features: Tensor) -> Tensor:
        return 5 - 1e4 * (features[:, 0].square() * self.place).sum(dim=(1, 2))[:, None]


def quality(place: Tensor) -> Model:
    return wrap(
        MinusEnergy(place.float()), sample_rate=RATE, labels=["MOS"], features=Magnitude(),
        output="scores", task="regression",
    )  # fmt: skip


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    wave = crying_baby(SECONDS, RATE, np.random.default_rng(0)).astype(np.float32)
    write_audio(path, Audio(wave, RATE, "speech"))
    return path


def material(recording: Path, kind: str, number: int) -> DegradedMaterial:
    excerpt = Excerpt(recording, 0.0, SECONDS, -25.0, RATE)
    return make_degraded(excerpt, kind, f"0 {kind} {number}", RATE)


def place(one: DegradedMaterial) -> Tensor:
    """Return the cells of the degradation on the toy plane."""
    made, frames = one.degraded, TOY_PLANE.analyse(torch.zeros(1, round(SECONDS * RATE))).shape[-1]
    assert made is not None
    where = (made.start, made.end, made.low, made.high)
    freqs, times = TOY_PLANE.freqs().numpy(), TOY_PLANE.times(frames).numpy()
    return torch.from_numpy(place_cells(freqs, times, *where, 256 / RATE / 2))


def plan_of(one: DegradedMaterial, kind: str, model: Model) -> Plan:
    clip = Clip("a", kind, None, lambda _rate: one)
    methods = tuple(choose(name) for name in ("input-x-gradient", "energy"))
    pieces = (choose("occlusion", pieces="time", segments=30, background="silence"),)
    return Plan((Part("toy", lambda _folder: model, (clip,)),), (), methods, pieces)


def lines_of(one: DegradedMaterial, kind: str, model: Model) -> dict[str, Line]:
    plan = plan_of(one, kind, model)
    found = measure_degraded(model, "toy", plan.parts[0].clips[0], plan)
    return {line["method"]: line for line in found}


@pytest.mark.parametrize("kind", ["burst", "hum"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_model_that_minds_the_place_only_gets_all_points(
    recording: Path, kind: str, number: int
) -> None:
    one = material(recording, kind, number)
    line = lines_of(one, kind, quality(place(one)))["input-x-gradient"]
    assert line["skipped"] is False
    assert (line["time_error"], line["right_third"], line["pointing"]) == (0.0, True, True)
    # half of the attribution is half of the energy, a little less with soft edges
    cost = line["clean"] - line["degraded"]
    shares = {side: (line[f"remainder_{side}"] - line["degraded"]) / cost for side in SIDES}
    assert 0.4 < shares["own"] < 0.52
    assert abs(shares["random"]) < 0.05
    assert shares["energy"] < shares["own"]


@pytest.mark.parametrize("kind", ["burst", "hum"])
def test_the_true_place_is_the_best_of_its_size_where_the_model_minds_it_only(
    recording: Path, kind: str
) -> None:
    one = material(recording, kind, 1)
    lines = lines_of(one, kind, quality(place(one)))
    line = lines["true place"]
    assert (line["time_error"], line["right_third"], line["raises"]) == (0.0, True, True)
    assert line["places"] > 5
    cost = line["clean"] - line["degraded"]
    # edges on a grid of 50 ms and 24 bands; the energy of the speech goes too
    assert (line["remainder_own"] - line["degraded"]) / cost > 0.6
    assert line["remainder_own"] < 5
    ideal = lines["ideal-ratio-mask"]
    assert (ideal["remainder_own"] - ideal["degraded"]) / cost > 0.9
    rows = {row.method: row for row in make_rows(list(lines.values()))}
    assert rows["true place"].shares["raises"].value == 1.0
    assert rows["true place"].shares["in time"].value == 1.0
    assert math.isnan(rows["true place"].shares["in time"].p)
    assert "raises" not in rows["energy"].shares


def test_the_true_place_is_not_found_where_another_raises_the_score_more(recording: Path) -> None:
    one = material(recording, "burst", 0)
    made = one.degraded
    assert made is not None
    weights = place(one).float()
    speech = TOY_PLANE.analyse(torch.from_numpy(made.clean)[None])[0].abs().square()
    far = (TOY_PLANE.times(weights.shape[1]) - (made.start + made.end) / 2).abs() > 0.5
    weights[:, far] = 10 * float((weights * speech.max()).sum() / (speech[:, far]).sum())
    line = lines_of(one, "burst", quality(weights))["true place"]
    assert line["raises"]
    assert line["time_error"] > 0.1


def test_a_map_of_everything_else_gets_no_points(recording: Path) -> None:
    one = material(recording, "burst", 0)
    assert one.degraded is not None
    inside = place(one)
    probe = Probe(
        quality(inside), torch.from_numpy(one.input),
        make_target(quality(inside), torch.zeros(1), direction="down"),
    )  # fmt: skip
    found = place_of(probe, (~inside).float().numpy(), one)
    assert (found["pointing"], found["pointing_louder"]) == (False, False)
    away = inside.clone()
    start = one.degraded.start
    far = 0.2 if start > SECONDS / 2 else SECONDS - 0.2
    away[:] = (TOY_PLANE.times(inside.shape[1]) - far).abs() < 0.05
    found = place_of(probe, away.float().numpy(), one)
    assert found["time_error"] > 0.1


def test_a_degradation_that_costs_nothing_is_counted_and_not_explained(recording: Path) -> None:
    one = material(recording, "burst", 0)
    nowhere = torch.zeros_like(place(one))
    lines = lines_of(one, "burst", quality(nowhere))
    assert {line["skipped"] for line in lines.values()} == {True}
    assert not any("at" in line for line in lines.values())
    (row,) = [row for row in make_rows(list(lines.values())) if row.method == "energy"]
    assert (row.drawn, row.cases) == (1, 0)


def test_lost_packets_are_found_by_the_piece_whose_replacement_raises_the_score(
    recording: Path,
) -> None:
    class Holes(nn.Module):
        """Five, minus the share of frames that are silent in the place."""

        def forward(self, features: Tensor) -> Tensor:
            level = features[:, 0].square().sum(dim=1)
            return (5 - 4 * torch.exp(-level / level.mean())).mean(dim=1, keepdim=True)

    one = material(recording, "packet-loss", 1)
    model = wrap(
        Holes(), sample_rate=RATE, labels=["MOS"], features=Magnitude(), output="scores",
        task="regression",
    )  # fmt: skip
    plan = plan_of(one, "packet-loss", model)
    line, true = measure_degraded(model, "toy", plan.parts[0].clips[0], plan)
    assert (line["method"], true["method"]) == ("occlusion", "true place")
    assert true["places"] > 5
    assert "remainder_own" not in line
    assert "area" not in line


def test_the_strongest_time_is_the_middle_of_a_plateau_and_averages_single_cells_away() -> None:
    times, freqs = np.arange(100) * 0.02, np.arange(4) * 10.0
    values = np.zeros((4, 100))
    values[:, 50:70] = 1.0
    values[2, 10] = 6.0  # in a window of 5 frames 1.2, beside 4
    assert_allclose(strongest_time(values, freqs, times), (52 + 67) / 2 * 0.02)
    assert math.isnan(strongest_time(-values, freqs, times))
    assert_allclose(strongest_time(values[:, :1] + 1, freqs, times[:1]), 0.0)


def test_a_weaker_piece_of_high_frequencies_does_not_outweigh_a_stronger_one_by_its_bins() -> None:
    freqs, times = np.linspace(0, 8000, 129), np.arange(100) * 0.02
    values = np.zeros((129, 100))
    values[freqs < 1000, 20:30] = 1.0  # 15 mel in 16 bins
    values[freqs > 4000, 60:70] = 0.6  # 10 mel in 64 bins
    assert_allclose(strongest_time(values, freqs, times), (22 + 27) / 2 * 0.02)


def test_an_even_map_does_not_point_to_the_third_with_most_bins() -> None:
    freqs, times = np.linspace(0, 8000, 129), np.zeros(1)
    even = np.ones((129, 1))
    assert third_of(freqs, 8000.0).tolist().count(2) > 80
    masses = [strongest_third(even * (third_of(freqs, 8000.0) == k)[:, None], freqs, times, 0, 8000)
              for k in range(3)]  # fmt: skip
    assert masses == [0, 1, 2]
    even[freqs < 900] = 1.2
    assert strongest_third(even, freqs, times, 0.0, 8000.0) == 0


def test_a_place_has_the_frames_and_bins_that_its_window_reaches() -> None:
    freqs, times = np.arange(0, 1000, 50.0), np.arange(0, 1, 0.01)
    cells = place_cells(freqs, times, 0.5, 0.6, 300.0, 400.0, 0.02)  # a window of 40 ms
    assert_allclose(times[cells.any(axis=0)], np.arange(0.48, 0.625, 0.01), atol=1e-9)
    assert_allclose(freqs[cells.any(axis=1)], np.arange(250, 451, 50.0))


def test_time_errors_are_distances_outside_of_the_stretch() -> None:
    found = [time_error(at, 1.0, 1.5) for at in (0.8, 1.0, 1.2, 1.5, 1.75)]
    assert_allclose(found, [0.2, 0, 0, 0, 0.25], atol=1e-12)
    assert math.isnan(time_error(math.nan, 1.0, 1.5))


def hand_made(method: str, clip: int, **values: Any) -> Line:
    own = {"model": "m", "target": "MOS", "kind": "burst", "method": method, "options": {}}
    own |= {"clip": str(clip), "clean": 4.0, "degraded": 3.0, "skipped": False, "seconds": 1.0}
    own |= {"time_error": 0.0, "right_third": True, "pointing": True, "pointing_louder": True}
    own |= {"remainder_own": 3.8, "remainder_random": 2.9, "remainder_energy": 2.0, "area": 0.1}
    return own | values


def test_shares_are_means_over_cases_and_ahead_only_by_a_paired_test() -> None:
    own = {"pointing_louder": False}
    lines = [hand_made("lime", k, time_error=0.05 if k else 0.2, **own) for k in range(20)]
    lines += [hand_made("energy", k, right_third=k % 2 == 0, pointing=False) for k in range(20)]
    lines += [hand_made(name, 20, skipped=True) for name in ("lime", "energy")]
    lime, energy = make_rows(lines)
    assert (lime.drawn, lime.cases, lime.cost) == (21, 20, 1.0)
    assert_allclose(lime.shares["found"].value, 19 / 20)
    assert_allclose(lime.shares["in time"].value, 19 / 20)
    assert_allclose(energy.shares["found"].value, 10 / 20)
    assert_allclose(lime.shares["pointing"].value, 1.0)
    assert lime.shares["pointing"].p < 1e-3
    assert lime.shares["pointing"].ahead
    assert not lime.shares["in time"].ahead  # behind the control in one sound
    assert lime.shares["pointing, louder cells"].p < 1e-3  # and behind in every one
    assert not lime.shares["pointing, louder cells"].ahead
    assert not energy.shares["found"].ahead
    assert_allclose(lime.shares["remainder own"].value, 0.8)
    assert_allclose(lime.shares["remainder random"].value, -0.1)
    assert lime.shares["remainder own"].ahead
    assert "| lime | 0.95 [" in markdown([lime, energy])
    assert "20 of 21 sounds cost at least 0.1 of the score; 1.00 in the mean." in markdown([lime])


def test_what_is_regained_is_a_ratio_of_means() -> None:
    lines = [hand_made("lime", k, clean=3.1 if k % 2 else 5.0, remainder_own=4.0) for k in range(8)]
    (row,) = make_rows(lines)
    # (1 + 1) / (0.1 + 2), not the mean of 10 and 0.5
    assert_allclose(row.shares["remainder own"].value, 2 / 2.1, rtol=1e-12)


def test_the_command_measures_resumes_and_writes_its_tables(
    recording: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "model", tmp_path / "run"
    model.mkdir()
    torch.manual_seed(0)
    save_mosnet(model, MOSNet("blstm").eval(), {})
    words = ["bench", "speech-degradations", "--model", str(model), "--data", str(recording)]
    words += ["--clips", "2", "--seconds", "2", "--kind", "burst", "--kind", "packet-loss"]
    words += ["--method", "occlusion", "-o", str(out)]
    for _ in range(2):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 0
    assert "sounds left" in capfd.readouterr().err
    assert "of 2 sounds cost at least 0.1 of the score" in (out / "table.md").read_text()
    assert len((out / "cells.jsonl").read_text().splitlines()) == 2 * (5 + 4)
    with pytest.raises(SystemExit) as refused:
        main([*words, "--seed", "1"])
    assert refused.value.code == 2
    assert "holds a run with other" in capfd.readouterr().err


def test_an_unknown_kind_or_an_empty_part_is_refused(recording: Path) -> None:
    with pytest.raises(UnknownNameError, match="hiss"):
        degradation_plan(["nisqa:a"], [str(recording)], kinds=["hiss"])
    with pytest.raises(ParameterError, match="the part from 2 to 1 s is empty"):
        degradation_plan(["nisqa:a"], [str(recording)], since=2.0, until=1.0)


def test_a_resumed_run_is_that_of_the_same_sounds(recording: Path, tmp_path: Path) -> None:
    one, other = material(recording, "burst", 0), material(recording, "burst", 1)
    model = quality(place(one))
    plan = plan_of(one, "burst", model)
    first = run(plan, tmp_path / "run", measure_degraded)
    assert run(plan, tmp_path / "run", partial(_never)) == first
    with pytest.raises(OutputError, match="which has changed since"):
        run(plan_of(other, "burst", model), tmp_path / "run", measure_degraded)


def _never(*_: Any) -> list[Line]:
    raise AssertionError("measured again")
