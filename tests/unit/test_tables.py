"""Rows, intervals and tests, against numbers worked out by hand and slow versions."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from earwitness.benchmark.engine import run_grid
from earwitness.benchmark.examples import chosen, make_examples
from earwitness.benchmark.page import write_results
from earwitness.benchmark.rows import Row, make_rows
from earwitness.benchmark.statistics import holm, interval, intervals, paired_test, paired_tests
from earwitness.benchmark.tables import LEGEND, cell_text, csv_text, markdown, tables_of
from tests.toy_grid import toy_grid


def line(clip: str, value: float | str, **kwargs: Any) -> dict[str, Any]:
    """One cell: faithfulness as heard, of a mask of lime."""
    control = kwargs.pop("control", 0.0)
    return {
        "model": "m", "group": "g", "clip": clip, "method": "lime", "mask": "area:10%",
        "options": {}, "seed": 0, "route": "audio", "soft": False, "degenerate": None,
        "area": 0.1, "energy": 0.2, "figures": {"faithfulness": value},
        "matched": {"random": {"faithfulness": control}, "energy": {"faithfulness": value}},
        **kwargs,
    }  # fmt: skip


def figure_of(rows: list[Row], method: str = "lime", mask: str | None = "area:10%") -> Any:
    (row,) = (row for row in rows if (row.method, row.mask) == (method, mask))
    return row.figures["faithfulness", "audio"]


def test_intervals_by_hand() -> None:
    assert interval(np.full(8, 3.0)) == (3.0, 3.0)
    assert interval(0.1 * np.full(9, 3.0) + 1e-15 * np.arange(9)) == (0.1 * 3.0, 0.1 * 3.0)
    assert all(map(math.isnan, interval(np.arange(7.0))))
    assert not any(map(math.isnan, interval(np.arange(8.0))))
    assert all(map(math.isnan, interval(np.array([]))))
    assert all(map(math.isnan, interval(np.array([1.0, -np.inf]))))


def test_intervals_are_those_of_a_slow_bootstrap() -> None:
    """BCa by eqs. 14.9 to 14.15 of Efron and Tibshirani, at Hesterberg's expanded level."""
    values = np.random.default_rng(3).gamma(2.0, size=40)
    rng = np.random.default_rng(1)
    means = np.sort([np.mean([values[k] for k in rng.integers(40, size=40)]) for _ in range(40000)])
    bias = stats.norm.ppf((means < values.mean()).mean())
    without = np.array([np.delete(values, k).mean() for k in range(40)])
    pulls = without.mean() - without
    skew = (pulls**3).sum() / (6 * (pulls**2).sum() ** 1.5)
    reach = np.sqrt(40 / 39) * stats.t.ppf(0.975, 39)
    places = [bias + (bias + z) / (1 - skew * (bias + z)) for z in (-reach, reach)]
    wanted = np.quantile(means, stats.norm.cdf(places))
    # two draws of ten thousands: the ends differ by some hundredths of a standard error
    np.testing.assert_allclose(interval(values), wanted, rtol=0, atol=0.1 * stats.sem(values))


def test_many_samples_have_the_figures_of_each_alone() -> None:
    rng = np.random.default_rng(8)
    samples = [rng.normal(0.3, 1.0, int(size)) for size in rng.integers(0, 6, 90) * 5]
    samples[7] = np.array([1.0, np.nan])
    # means that equal the sample's to rounding count as below or not: one of 9999 draws
    chosen = [k for k in range(90) if k % 9 in (0, 7)]
    np.testing.assert_allclose([intervals(samples)[k] for k in chosen],
                               [interval(samples[k]) for k in chosen], atol=1e-3)  # fmt: skip
    np.testing.assert_allclose([paired_tests(samples)[k] for k in chosen],
                               [paired_test(samples[k]) for k in chosen], rtol=1e-12)  # fmt: skip
    assert [math.isnan(p) for p in paired_tests(samples)] == [
        len(one) < 2 or k == 7 for k, one in enumerate(samples)
    ]


@pytest.mark.parametrize("count", [8, 12, 20, 64])
def test_intervals_hold_the_mean_as_often_as_they_say(count: int) -> None:
    rng = np.random.default_rng(5)
    drawn = {"normal": (rng.normal(1.0, 2.0, (600, count)), 1.0),
             "skewed": (rng.beta(0.5, 2.0, (600, count)), 0.2)}  # fmt: skip
    for rows, mean in drawn.values():
        held = sum(low <= mean <= high for low, high in intervals(list(rows))) / 600
        # 95 % with a standard error of 0.9 %; percentile intervals held 0.87 of 8 values
        assert 0.915 <= held <= 0.98


@pytest.mark.parametrize("count", [2, 5, 9, 12, 40])
def test_paired_tests_are_those_of_all_signs_or_many(count: int) -> None:
    differences = np.random.default_rng(count).normal(0.35, 1.0, count)
    if count <= 12:  # exact
        signs = np.array(list(itertools.product([-1, 1], repeat=count)))
        tolerance = 1e-12
    else:  # drawn on both sides
        signs = np.random.default_rng(2).choice([-1, 1], (20000, count))
        tolerance = 0.02
    sums = np.array([abs(sum(row * differences)) for row in signs])
    wanted = (sums >= abs(differences.sum()) - 1e-9).mean()
    np.testing.assert_allclose(paired_test(differences), wanted, rtol=0, atol=tolerance)
    np.testing.assert_allclose(paired_test(-differences), paired_test(differences), atol=1e-12)


def test_paired_tests_by_hand() -> None:
    # of the 8 signs of (1, 2, 3), only two reach a sum of 6
    assert paired_test(np.array([1.0, 2.0, 3.0])) == pytest.approx(0.25)
    assert paired_test(np.zeros(5)) == 1.0
    assert paired_test(np.ones(64)) == pytest.approx(1e-4)
    assert math.isnan(paired_test(np.array([1.0])))


def test_holm_by_hand() -> None:
    found = holm([0.01, 0.04, math.nan, 0.03])
    np.testing.assert_allclose(found, [0.03, 0.06, math.nan, 0.06], rtol=1e-12)
    np.testing.assert_allclose(holm([0.9, 0.6]), [1.0, 1.0])


def test_a_row_has_the_interval_of_its_sounds_or_a_dash() -> None:
    values, controls = np.linspace(0.1, 0.8, 8) ** 2, np.linspace(0.0, 0.1, 8)
    lines = [
        line(str(k), values[k] + shift, control=controls[k], seed=seed)
        for k in range(8)
        for seed, shift in enumerate((-0.05, 0.05))
    ]
    found = figure_of(make_rows(lines, "faithfulness"))
    # of differences of rounding, one draw more or less lies below the mean
    np.testing.assert_allclose((found.low, found.high), interval(values), atol=1e-3)
    against = found.against["random"]
    np.testing.assert_allclose((against.low, against.high), interval(values - controls), atol=1e-3)
    few = figure_of(make_rows(lines[:14], "faithfulness"))
    assert cell_text(few).startswith(f"**{values[:7].mean():.3g}** [\u2013]")
    assert "[\u2013]: fewer than 8 sounds" in LEGEND


def test_a_row_by_hand() -> None:
    lines = [line("a", 0.2), line("b", 0.4), line("c", 0.9, control=0.3)]
    lines += [line("a", 0.4, seed=1), line("b", 0.6, seed=1), line("c", 0.5, seed=1, control=0.1)]
    found = figure_of(make_rows(lines, "faithfulness"))
    # seeds are averaged sound by sound: 0.3, 0.5 and 0.7
    assert found.mean == pytest.approx(0.5)
    assert found.sounds == 3
    assert found.spread == pytest.approx(0.0)  # both seeds have a mean of 0.5
    against = found.against["random"]  # 0.3, 0.5, 0.7 - 0.2
    assert against.difference == pytest.approx(1.3 / 3)
    assert against.p == pytest.approx(0.25)
    assert all(map(math.isnan, (found.low, found.high, against.low, against.high)))
    assert found.against["energy"].difference == pytest.approx(0.0)
    assert not against.ahead
    assert found.best
    same = [one | {"method": name} for name in ("gradcam", "saliency") for one in lines]
    assert all(figure_of(make_rows(same, "faithfulness"), name).best
               for name in ("gradcam", "saliency"))  # fmt: skip
    (row,) = make_rows(lines, "faithfulness")
    assert row.ranked == ["c", "b", "a"]
    assert [rank for rank, _ in chosen(row)] == ["best", "median", "worst"]


def test_lower_is_better_where_it_is() -> None:
    def drop(clip: str, value: float, method: str) -> dict[str, Any]:
        figures = {"average-drop": value}
        return line(clip, 0, method=method, figures=figures,
                    matched={"random": {"average-drop": 50.0}})  # fmt: skip

    lines = [drop(str(k), 10.0 + k, "lime") for k in range(8)]
    lines += [drop(str(k), 80.0 + k, "gradcam") for k in range(8)]
    one, two = make_rows(lines, "average-drop")
    place = ("average-drop", "audio")
    assert one.figures[place].best
    assert not two.figures[place].best
    assert one.figures[place].against["random"].ahead
    assert two.figures[place].against["random"].corrected < 0.05
    assert not two.figures[place].against["random"].ahead
    assert one.ranked[0] == "0"


def test_degenerate_masks_are_counted_and_never_best() -> None:
    lines = [line(str(k), 0.1 * k) for k in range(4)]
    lines += [
        line(str(k), 0.99, method="gradcam", degenerate="full" if k < 2 else None) for k in range(4)
    ]
    lines += [line(str(k), 1.0, method="all-ones", degenerate="full") for k in range(4)]
    lines += [line(str(k), 1.0, method="energy") for k in range(4)]
    rows = make_rows(lines, "faithfulness")
    assert figure_of(rows).best
    assert not figure_of(rows, "gradcam").best
    assert not figure_of(rows, "energy").best
    grad, ones = rows[1], rows[2]
    assert grad.degenerate == {"empty": 0, "full": 2, "constant": 0}
    assert figure_of(rows, "gradcam").sounds == 2
    assert set(grad.ranked) == {"2", "3"}
    assert ones.ranked == []
    assert math.isnan(figure_of(rows, "all-ones").mean)
    assert "2 of 4" in markdown(rows)


def test_values_that_are_not_finite() -> None:
    lines = [line("a", "-inf"), line("b", 1.0), line("c", "nan")]
    found = figure_of(make_rows(lines, "faithfulness"))
    assert found.mean == -math.inf
    assert found.sounds == 2
    assert math.isnan(found.low)
    assert cell_text(found).startswith("**-inf**")


def test_failures_are_counted() -> None:
    lines = [line("a", 0.5), line("b", 0.5)]
    lines.append({**line("a", 0), "method": "lrp", "mask": None, "failed": "cannot"})
    lines.append({**line("b", 0), "method": None, "mask": None, "failed": "cannot be read"})
    rows = make_rows(lines, "faithfulness")
    assert [(row.method, row.failed) for row in rows] == [("lime", 0), ("lrp", 1)]


def test_maps_are_compared_with_control_maps() -> None:
    lines = []
    for k in range(8):
        for method, value in (("lime", 0.8), ("random", 0.5), ("energy", 0.9)):
            lines.append(
                line(str(k), 0, method=method, mask=None, route="map",
                     figures={"roc-auc": value + 0.01 * k}, matched={})
            )  # fmt: skip
    rows = make_rows(lines, "roc-auc")
    against = rows[0].figures["roc-auc", "map"].against
    assert against["random"].difference == pytest.approx(0.3)
    assert against["random"].ahead
    assert against["energy"].difference == pytest.approx(-0.1)
    assert not against["energy"].ahead
    assert rows[1].figures["roc-auc", "map"].against == {}
    assert cell_text(rows[0].figures["roc-auc", "map"]).endswith(" >r")


def test_soft_and_binary_masks_are_in_tables_of_their_own(tmp_path: Path) -> None:
    grid = toy_grid(clips=3, seeds=(0,))
    lines = run_grid(grid, tmp_path / "run")
    rows = write_results(grid, tmp_path / "run", lines)
    titles = [title for title, _ in tables_of(rows)]
    assert titles == [
        "toy: noise: maps",
        "toy: noise: mask area:5% (binary)",
        "toy: noise: mask minmax+ (soft)",
        "toy: noise: mask gains (soft)",
    ]
    table = list(csv.DictReader(io.StringIO((tmp_path / "run" / "figures.csv").read_text())))
    (cell,) = (
        row
        for row in table
        if (row["method"], row["mask"], row["metric"], row["route"])
        == ("input-x-gradient", "area:5%", "faithfulness", "audio")
    )
    own = [
        one["figures"]["faithfulness"]
        for one in lines
        if (one["method"], one["mask"], one["route"]) == ("input-x-gradient", "area:5%", "audio")
    ]
    assert float(cell["mean"]) == pytest.approx(np.mean(own), rel=1e-5)
    assert csv_text(rows).count("\n") == len(table) + 1
    page = (tmp_path / "run" / "index.html").read_text()
    assert page.count("<section") == 4
    assert "<audio" in page
    for row in rows:
        json.dumps(row.facts(), allow_nan=False)
    examples = make_examples(grid, tmp_path / "run", rows)
    some = examples["toy", "noise", "input-x-gradient", "area:5%"]
    assert [one.rank for one in some] == ["best", "median", "worst"]
    assert some[0].value >= some[1].value >= some[2].value
    for one in some:
        for file in one.files.values():
            assert (tmp_path / "run" / file).read_bytes()[:4] == b"OggS"
    assert "all-ones" not in {key[2] for key in examples}  # a full mask is no example
