"""Published tables, and what their numbers show; expected values by hand or from the sources."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import earwitness.benchmark.published as published
from earwitness.benchmark.published import lmac, pak
from earwitness.evaluation.published import PUBLISHED
from tests.command import run

FOLDER = Path(published.__file__).parent
Row = dict[str, str]

# front end, scenario: masks of saliency, Grad-CAM, LIME and SHAP that the publication prints
CHOSEN = {
    ("stft_db", "clean"): ("topK_50_pos", "topK_50_pos", "bin", "topK_50_pos"),
    ("mel_db", "clean"): ("topK_50_pos", "bin", "bin", "sigmoid"),
    ("mel_db", "white"): ("topK_50_pos", "bin", "bin", "sigmoid"),
    ("mel_db", "room"): ("topK_50_pos", "bin", "bin", "sigmoid"),
    ("mel_db", "horse"): ("minmax", "bin", "bin", "sigmoid"),
}
METHODS = ("saliency", "gradcam", "lime", "shap")
CHANGED = {
    ("mel_db", "clean", "shap"): "pos_thresh_50",
    ("mel_db", "white", "shap"): "pos_thresh_50",
    ("mel_db", "horse", "saliency"): "topK_50_pos",
    ("mel_db", "horse", "shap"): "topK_5",
}
KEYS = {(*place, m): mask for place, masks in CHOSEN.items()
        for m, mask in zip(METHODS, masks, strict=True)}  # fmt: skip


def rows_of(name: str) -> list[Row]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def by_hand(rows: list[Row], own_scale: bool) -> dict[tuple[str, ...], str]:
    """The rule in plain Python: a product of scaled metrics, its seventh root, the largest."""
    found: dict[tuple[str, ...], str] = {}
    for place in dict.fromkeys((r["frontend"], r["scenario"], r["method"]) for r in rows):
        some = [r for r in rows if (r["frontend"], r["scenario"], r["method"]) == place]
        best = -1.0
        for row in some:
            product = 1.0
            for name in ("FF", "AI", "AG", "FidIn", "SPS", "AD", "COMP"):
                every = [float(other[name]) for other in (some if own_scale else rows)]
                x = (float(row[name]) - min(every)) / (max(every) - min(every))
                product *= max(1 - x if name in ("AD", "COMP") else x, 1e-9)
            if product ** (1 / 7) > best:
                best, found[place] = product ** (1 / 7), row["mask"]
    return found


def test_the_twenty_published_choices_are_found_again() -> None:
    rows = rows_of("pak.csv")
    assert by_hand(rows, own_scale=False) == KEYS
    found = pak.choices(pak.read_rows())
    assert {(one.frontend, one.scenario, one.method): one.mask for one in found} == KEYS


def test_exactly_four_choices_change_under_the_rule_of_the_text() -> None:
    rows = rows_of("pak.csv")
    stated = by_hand(rows, own_scale=True)
    assert {key: mask for key, mask in stated.items() if mask != KEYS[key]} == CHANGED
    found = pak.choices(pak.read_rows())
    assert {(o.frontend, o.scenario, o.method): o.stated for o in found if o.changes} == CHANGED


def test_all_rows_are_there_once() -> None:
    rows = rows_of("pak.csv")
    places = Counter((r["frontend"], r["scenario"], r["method"], r["mask"]) for r in rows)
    assert len(places) == sum(places.values()) == 280
    assert Counter(key[:2] for key in places) == dict.fromkeys(CHOSEN, 4 * 14)
    (row,) = (
        r for r in rows if (r["frontend"], r["method"], r["mask"]) == ("stft_db", "lime", "bin")
    )
    printed = [0.7903, 26.0, 14.21, 0.685, 0.273, 32.03, 10.93]
    values = [float(row[name]) for name in pak.FIGURES]
    np.testing.assert_allclose(values, printed, rtol=0, atol=5e-3)  # as rounded in print
    rows = rows_of("lmac.csv")
    assert len({tuple(row.values()) for row in rows}) == len(rows) == 110
    assert Counter(row["table"] for row in rows) == {"1": 24, "2": 26, "4": 20, "5": 40}


SHARES = [
    ("stft_db", "clean", "saliency", 0.5075),
    ("stft_db", "clean", "gradcam", 0.55),
    ("stft_db", "clean", "shap", 0.1025),
    ("mel_db", "clean", "saliency", 0.6525),
    ("mel_db", "white", "saliency", 0.745),
    ("mel_db", "room", "saliency", 0.685),
    ("mel_db", "horse", "saliency", 0.4875),
]


@pytest.mark.parametrize(("frontend", "scenario", "method", "share"), SHARES)
def test_half_masks_are_constant_in_whole_numbers_of_the_400_clips(
    frontend: str, scenario: str, method: str, share: float
) -> None:
    place = (frontend, scenario, method, "topK_50_pos")
    (row,) = (r for r in rows_of("pak.csv")
              if (r["frontend"], r["scenario"], r["method"], r["mask"]) == place)  # fmt: skip
    # from sparseness alone: a half mask has one half, a constant one 0 in the tables
    np.testing.assert_allclose(1 - float(row["SPS"]) / 0.5, share, rtol=0, atol=2e-4)
    np.testing.assert_allclose(pak.constant_share(row), share, rtol=0, atol=2e-5)


@pytest.mark.parametrize("rule", ["bin", "topK_30"])
def test_the_share_of_constant_masks_is_that_of_masks_with_a_known_share(rule: str) -> None:
    rng = np.random.default_rng(0)
    gains = np.ones((20, 64, 501))
    for one in gains[7:]:  # 7 of 20 constant, the others keep 30 % of the cells
        one.reshape(-1)[rng.permutation(one.size)[: round(0.7 * one.size)]] = 0
    case = {"all_input": np.eye(1, 3)[0], "all_evidence": np.eye(1, 3).repeat(20, 0)}
    case |= {"all_remainder": case["all_evidence"], "gains": gains}
    figures = {name: str(values.mean()) for name, values in PUBLISHED["pak"](case).items()}
    row = {**figures, "frontend": "mel_db", "mask": rule}
    np.testing.assert_allclose(pak.constant_share(row), 0.35, rtol=0, atol=1e-4)


def test_sixteen_choices_rest_on_degenerate_masks() -> None:
    found = {(o.frontend, o.scenario, o.method): o for o in pak.choices(pak.read_rows())}
    sound = {key for key, one in found.items() if one.degenerate is None}
    assert sound == {
        ("stft_db", "clean", "lime"), ("mel_db", "clean", "lime"),
        ("mel_db", "room", "lime"), ("mel_db", "horse", "lime"),
    }  # fmt: skip
    even = {key for key, one in found.items() if one.degenerate == "even"}
    assert even == {("mel_db", s, "shap") for s in ("clean", "white", "room", "horse")} | {
        ("mel_db", "horse", "saliency")
    }
    # entropy of a mask of 64 by 501 equal gains, to what is printed
    np.testing.assert_allclose([found[key].even for key in even if key[2] == "shap"], 1, atol=1e-4)
    # with the complexity of constant masks put right
    assert found["mel_db", "clean", "saliency"].corrected == "minmax"
    assert found["stft_db", "clean", "gradcam"].corrected == "bin"


def test_bench_pak_prints_one_line_for_each_choice(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "bench", "pak", "--published", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, err, len(lines)) == (0, "", 20)
    assert {(o["frontend"], o["scenario"], o["method"]): o["mask"] for o in lines} == KEYS
    assert sum(line["changes"] for line in lines) == 4
    code, out, _ = run(capsys, "bench", "pak", "--published")
    assert code == 0
    assert (
        "| mel_db | white | saliency | topK_50_pos | 0.215 | same | 74.50% constant masks |" in out
    )
    assert out.count("**") == 2 * 4
    code, out, err = run(capsys, "bench", "pak")
    assert (code, out) == (2, "")
    assert "'--published'" in err


def finding(dataset: str, contamination: str, method: str, plane: str = "stft") -> lmac.Finding:
    place = (dataset, contamination, plane, method)
    (found,) = (one for one in lmac.findings(lmac.read_rows())
                if (one.dataset, one.contamination, one.plane, one.method) == place)  # fmt: skip
    return found


def test_in_domain_rows_are_halved() -> None:
    found = lmac.findings(lmac.read_rows())
    compared = [one for one in found if one.complexity_ratio is not None]
    assert {one.contamination for one in compared} == {"wham_0dB"}
    assert Counter(one.halved for one in compared) == {True: 27, False: 2}
    # Grad-CAM on the STFT, and the entry that table 2 repeats from its other plane
    assert {(o.plane, o.method) for o in compared if not o.halved} == {
        ("stft", "gradcam"), ("mel", "guided-gradcam"),
    }  # fmt: skip
    one = finding("esc50", "wham_0dB", "saliency")
    np.testing.assert_allclose(
        [one.complexity_ratio, one.sparseness_ratio], [5.48 / 11.06, 0.39 / 0.76], rtol=1e-12
    )
    assert finding("esc50", "white_noise", "saliency").halved is None


def test_the_drop_of_vanishing_masks_is_just_below_the_cap_of_two_softmaxes() -> None:
    found = lmac.findings(lmac.read_rows())
    assert all((one.figures["AD"] or 0) <= one.cap for one in found)
    one = finding("us8k", "us8k_mixture", "smoothgrad")
    # all-ones masks there have an FF of 0.86
    np.testing.assert_allclose(one.cap, 100 * (1 - math.exp(-0.86)), rtol=1e-12)
    assert 0.94 < (one.figures["AD"] or 0) / one.cap < 0.95
    # 54.65 % is -ln(1 - 0.5465) = 0.7907 of probability, of 0.86
    np.testing.assert_allclose(one.single, 100 * 0.79075 / 0.86, rtol=1e-4)
    halved = finding("us8k", "wham_0dB", "smoothgrad")
    np.testing.assert_allclose(halved.cap, 50 * (1 - math.exp(-0.84)), rtol=1e-12)
    assert finding("esc50", "esc50_mixture", "l-mac").single is None


def test_no_outputs_exceed_the_cap() -> None:
    rng = np.random.default_rng(0)
    peaky = rng.dirichlet(np.full(50, 0.02), size=400)
    cases = [{"all_input": p, "all_evidence": peaky, "all_remainder": peaky,
              "gains": np.ones((len(peaky), 1, 2))} for p in peaky[:40]]  # fmt: skip
    drops = np.concatenate([PUBLISHED["lmac"](case)["AD"] for case in cases])
    assert drops.max() <= lmac.CAP + 1e-9
    sure, other = np.eye(50)[0], np.eye(50)[1:2]
    case: dict[str, Any] = {"all_input": sure, "all_evidence": other, "all_remainder": other}
    largest = PUBLISHED["lmac"]({**case, "gains": np.ones((1, 1, 2))})["AD"]
    np.testing.assert_allclose(largest, [63.2120558828558], rtol=1e-6)
    np.testing.assert_allclose(lmac.CAP, 63.2120558828558, rtol=1e-12)


def test_bench_lmac_prints_one_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "bench", "lmac", "--published", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, err, len(lines)) == (0, "", 110)
    (row,) = (o for o in lines if (o["table"], o["plane"], o["method"]) == ("2", "stft", "l-mac"))
    printed = {"AI": 60.63, "AD": 4.82, "AG": 35.85, "FF": 0.39, "FidIn": 0.81, "SPS": 0.94}
    assert {**row, **printed, "COMP": 9.61, "MM": None} == row
    code, out, _ = run(capsys, "bench", "lmac", "--published")
    assert code == 0
    assert "27 of 29 in-domain rows have half the complexity" in out
    assert "| us8k | us8k_mixture | 54.65 | 57.68 | 92 |" in out
