"""The benchmark runs and counts right; what it measures is never asserted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earwitness.benchmark.speed import floor as floors
from earwitness.benchmark.speed import rows as speed
from earwitness.benchmark.speed.command import Cost, command_cost, cost_lines
from earwitness.benchmark.speed.floor import Floor, Row, in_turns
from earwitness.benchmark.speed.rows import Settings, measure, table
from earwitness.cli.main import main
from earwitness.errors import EarwitnessError
from earwitness.models.registry import load_model

MODEL = """
import torch
import earwitness
from earwitness.models.frontend import LogMel
from earwitness.plane.stft import Plane

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 3, 3, padding=1)
        self.head = torch.nn.Linear(3, 2)

    def forward(self, features):
        return self.head(torch.relu(self.conv(features)).mean(dim=(2, 3)))

def make():
    torch.manual_seed(0)
    front = LogMel(Plane(8000, 256, 128), 20)
    return earwitness.wrap(Net().eval(), sample_rate=8000, features=front, name="toy")

def waves():
    class Waves(torch.nn.Module):
        def forward(self, waves):
            return torch.stack([waves.square().mean(1), waves.abs().mean(1)], dim=1)
    return earwitness.wrap(Waves(), sample_rate=8000, name="waves")
"""


@pytest.fixture
def toy(tmp_path: Path) -> str:
    file = tmp_path / "toy.py"
    file.write_text(MODEL, encoding="utf-8")
    return f"python:{file}:make"


def small(model: str, **others: Any) -> Settings:
    facts = {"large": False, "packages": False, "memory": False, **others}
    return Settings(model=model, seconds=0.5, evaluations=20, steps=6, repeats=2, **facts)


def test_every_piece_of_work_has_a_row(toy: str) -> None:
    told: list[Row] = []
    rows, peaks = measure(small(toy), told.append)
    assert told == rows
    assert not peaks
    found = [(row.work, row.model, row.count, row.bar) for row in rows]
    assert found == [
        ("lime", "toy", 20, 0.65),
        ("integrated-gradients", "toy", 6, 1.05),
        ("smoothgrad", "toy", 6, 1.05),
        ("gradcam", "toy", 10, 1.3),
        ("lmac", "toy", 10, 1.6),
        ("lime", "toy on waveforms", 20, 1.05),
    ]
    assert all(min(row.floor, row.taken, row.ratio) > 0 for row in rows)


def test_a_model_on_waveforms_has_its_own_floor(toy: str) -> None:
    rows, _ = measure(small(toy.replace(":make", ":waves")))
    assert [row.work for row in rows] == ["lime", "integrated-gradients", "smoothgrad"]
    assert rows[0].bar is None


def test_the_floor_passes_as_many_inputs_as_the_method_evaluates(
    toy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    model = load_model(toy)
    assert model.module is not None
    model.optimise = False
    model.module.register_forward_hook(lambda _, inputs, __: asked.append(len(inputs[0])))
    monkeypatch.setattr(speed, "load_model", lambda _: model)
    counts: list[int] = []

    def timed(name: str, _: str, count: int, floor: Any, work: Any, *rest: Any) -> Row:
        for one in (lambda: floor(count), work):
            asked.clear()
            one()
            counts.append(sum(asked))
        return Row(name, "toy", count, 1.0, 1.0, 1.0)

    monkeypatch.setattr(speed, "in_turns", timed)
    measure(small(toy))
    lime, ig, smooth, cam, mask, _ = (counts[k : k + 2] for k in range(0, 12, 2))
    assert lime[0] == 20
    assert lime[1] >= 20  # and what is asked both ways
    assert (ig[0], smooth[0], cam) == (6, 6, [10, 10])
    assert mask == [10, 10]  # the decoder costs no pass of its own
    assert ig[1] >= 6 + 2  # the sum is checked at both ends of the way


def test_a_floor_takes_the_fastest_batch_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    seen: list[int] = []

    def ask(some: torch.Tensor) -> None:
        seen.append(len(some))
        clock[0] += {4: 0.1}.get(len(some), 10.0)

    monkeypatch.setattr(floors.time, "perf_counter", lambda: clock[0])
    floor = Floor(ask, torch.zeros(32, 3))
    assert floor.batch == 4
    seen.clear()
    before = floor.passed
    floor.run(9)
    assert seen == [4, 4, 1]
    assert floor.passed - before == 9


def test_the_ratio_is_the_median_of_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(floors.time, "perf_counter", lambda: clock[0])
    least, taken = iter([1.0, 10.0, 2.0]), iter([3.0, 20.0, 2.0])

    def floor(_: int) -> None:
        clock[0] += next(least)

    def work() -> None:
        clock[0] += next(taken)

    row = in_turns("work", "toy", 5, floor, work, 3, None, "")
    assert (row.ratio, row.floor, row.taken) == (2.0, 2.0, 3.0)


def test_the_table_says_what_is_met() -> None:
    rows = [
        Row("lime", "toy", 5, 1.0, 0.6, 0.6, 0.65, "fine"),
        Row("lime", "toy", 5, 1.0, 0.7, 0.7, 0.65),
        Row("Captum Lime", "toy", 5, 1.0, 1.1, 1.1),
    ]
    text = table(rows, {20: 300.0}, Settings(seed=7, threads=2))
    assert "| lime | toy | 5 | 1.000 s | 0.600 s | 0.60 | 0.65, met | fine |" in text
    assert "| lime | toy | 5 | 1.000 s | 0.700 s | 0.70 | 0.65, **missed** |  |" in text
    assert "| Captum Lime | toy | 5 | 1.000 s | 1.100 s | 1.10 |  |  |" in text
    assert "| 20 | 300 MB |" in text
    for fact in ("seed 7", "2 threads", f"torch {torch.__version__}", "Commit "):
        assert fact in text


def test_the_command_prints_and_writes_the_table(
    toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "speed.md"
    words = ["bench", "speed", "--model", toy, "--seconds", "0.5", "--evaluations", "10"]
    words += ["--large-evaluations", "0", "--steps", "4", "--repeats", "1", "--no-packages"]
    threads = torch.get_num_threads()
    with pytest.raises(SystemExit) as stop:
        main([*words, "--threads", "1", "-o", str(file)])
    assert stop.value.code == 0
    assert torch.get_num_threads() == threads
    printed = capsys.readouterr()
    assert printed.out == file.read_text(encoding="utf-8")
    peaks = [line for line in printed.out.splitlines() if line.endswith(" MB |")]
    assert [line.split()[1] for line in peaks] == ["2", "10", "40"]
    assert "gradcam, toy: done" in printed.err


def test_the_command_refuses_what_it_does_not_know(
    toy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "speeed"])
    said = capsys.readouterr().err
    assert "bench takes one of l2i-page, " in said
    assert ", speed, localisation, or a grid" in said
    words = ["--model", toy, "--seconds", "0.5", "--evaluations", "4", "--large-evaluations", "0"]
    words += ["--no-packages", "--no-memory", "--repeats", "1", "--steps", "1"]
    with pytest.raises(SystemExit):
        main(["bench", "speed", *words, "-o", "/nowhere/speed.md"])
    assert "/nowhere/speed.md: cannot be written" in capsys.readouterr().err


def test_the_whole_command_is_measured_in_classifications() -> None:
    cost = command_cost("esc10", "energy", clips=2)
    assert 1 < cost.ratio < 1000
    np.testing.assert_allclose(cost.ratio, cost.taken / cost.unit)
    np.testing.assert_allclose(cost.besides, (cost.taken - cost.own) / cost.unit)
    assert 0 < cost.own < 0.5 * cost.taken
    assert 3 < cost.size < 8  # input, evidence and remainder, a map and a page
    with pytest.raises(EarwitnessError, match=r"measured here: .*no method called 'l-mac'"):
        command_cost("esc10", "l-mac", clips=1)


def test_costs_are_held_against_their_bars() -> None:
    lines = cost_lines([Cost("lmac", 0.01, 0.2, 0.05, 4.1), Cost("lmac", 0.01, 0.31, 0.05, 4.1)])
    assert "| 20.0 (bar 30, met) | 15.0 | 10.0 ms | 4.10 |" in lines[-2]
    assert "| 31.0 (bar 30, **missed**) | 26.0 |" in lines[-1]
    lines = cost_lines([Cost("integrated-gradients", 0.01, 0.9, own, 4.1) for own in (0.61, 0.59)])
    assert "| 90.0 | 29.0 (bar 30, met) |" in lines[-2]
    assert "| 90.0 | 31.0 (bar 30, **missed**) |" in lines[-1]
