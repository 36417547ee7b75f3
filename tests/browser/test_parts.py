"""Parts of the desk as functions: regions of a map, the curve of the dial, axes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.report.sections import score_text
from tests.browser.engine import engine_page

pytestmark = pytest.mark.browser
RATE, HOP, BINS, FRAMES = 8000, 100, 201, 81
CLIP = {
    "rate": RATE,
    "samples": 8000,
    "plane": {"n_fft": 400, "hop": HOP, "bins": BINS, "frames": FRAMES},
}
PARTS = ("controls", "axes", "dial", "course", "regions", "glossary", "figures")


@pytest.fixture(scope="module")
def parts(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path: Path = tmp_path_factory.mktemp("parts") / "parts.html"
    path.write_text(engine_page(PARTS), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    yield page
    page.close()


def test_regions_are_listed_by_their_share(parts: Any) -> None:
    codes = np.zeros((BINS, FRAMES), np.uint8)
    codes[20:30, 10:20] = 60  # weak, and the first from below
    codes[120:130, 40:60] = 150
    values = [float(code) if code < 200 else -1.0 for code in range(256)]
    found = parts.evaluate(
        "([clip, codes, values]) => strongestRegions(clip, { values, cuts: Array(101).fill(50) },"
        " Uint8Array.from(codes))",
        [CLIP, codes.ravel().tolist(), values],
    )
    sums = 150 * 200, 60 * 100
    np.testing.assert_allclose([one["share"] for one in found], np.divide(sums, sum(sums)))
    codes[140:200, 70:80] = 49  # below the cut; many such cells are a part of the sum
    codes[121:129, 42:58] = 30  # weak cells inside a region belong to it
    weak = parts.evaluate(
        "([clip, codes, values]) => strongestRegions(clip, { values, cuts: Array(101).fill(50) },"
        " Uint8Array.from(codes))",
        [CLIP, codes.ravel().tolist(), values],
    )
    inside = 150 * (200 - 128) + 30 * 128
    whole = inside + 60 * 100 + 49 * 600
    np.testing.assert_allclose([one["share"] for one in weak], np.divide((inside, 6000), whole))
    frame, block = HOP / RATE, 2 * HOP / RATE  # edges lie on blocks of two frames, and three bins
    np.testing.assert_allclose(found[0]["t0"], 39.5 * frame, atol=block)
    np.testing.assert_allclose(found[0]["t1"], 59.5 * frame, atol=block)
    np.testing.assert_allclose(found[0]["f0"], 119.5 * 20, atol=3 * 20)
    np.testing.assert_allclose(found[0]["f1"], 129.5 * 20, atol=3 * 20)


def test_controls_of_the_curve_are_those_of_the_same_area(parts: Any) -> None:
    curve = {
        "keep": [1, 50, 100],
        "area": [0.01, 0.1, 0.3],
        "evidence": [0.2, 0.6, 0.9],
        "remainder": [0.8, None, 0.1],
        "energy": {"area": [0.01, 0.2, 0.25], "evidence": [0.0, 0.38, 0.5], "remainder": [0, 0, 0]},
        "random": {"area": [0.02, 0.3], "evidence": [0.1, 0.2], "remainder": [1, 1]},
    }
    text = parts.evaluate("curve => JSON.stringify(curveLines(curve))", curve)
    lines = {
        name: [np.nan if v is None else v for v in line] for name, line in json.loads(text).items()
    }
    np.testing.assert_allclose(
        [lines["evidence"][k] for k in (0, 49, 74, 99)], [0.2, 0.6, 0.75, 0.9]
    )
    np.testing.assert_allclose(lines["remainder"][49], 0.8 - 0.7 * 49 / 99)  # across the gap
    # at 75 % the mask's area is 0.2
    np.testing.assert_allclose(
        [lines["energy"][74], lines["random"][74]], [0.38, 0.1 + 0.1 * 18 / 28]
    )
    assert np.isnan(lines["energy"][99])  # no control is as large as 0.3
    assert np.isnan(lines["random"][0])


@pytest.mark.parametrize("axis", ["linear", "mel", "log"])
def test_axes_are_inverted_exactly(parts: Any, axis: str) -> None:
    found = parts.evaluate(
        """([axis, clip]) => {
            const box = { x: 52, y: 8, width: 900, height: 300 };
            const scales = makeScales(wholeWindow(clip, axis), axis, box);
            return [100, 440, 3999].map(f => scales.f(scales.y(f)))
                .concat([0.1, 0.9].map(t => scales.t(scales.x(t))), scales.y(4000), scales.x(1));
        }""",
        [axis, CLIP],
    )
    np.testing.assert_allclose(found, [100, 440, 3999, 0.1, 0.9, 8, 952], rtol=1e-9)


def test_every_cell_is_in_the_pixel_of_its_centre(parts: Any) -> None:
    rows = parts.evaluate(
        """clip => {
            const cells = rasterCells(clip, wholeWindow(clip, "linear"), "linear", 600, 400);
            return [[...cells.rows.from], [...cells.columns.from], [...cells.rows.to]];
        }""",
        CLIP,
    )
    bins = (RATE / 2) * (1 - (np.arange(400) + 0.5) / 400) / 20  # of the centres of the pixels
    assert np.abs(np.array(rows[0]) - bins).max() <= 1
    frames = (np.arange(600) + 0.5) / 600 * FRAMES * 80 / FRAMES  # 80 hops in a second
    assert np.abs(np.array(rows[1]) - frames).max() <= 1
    seen = [range(low, high) for low, high in zip(rows[0], rows[2], strict=True)]
    assert {cell for some in seen for cell in some} == set(range(BINS))


@pytest.mark.parametrize(
    ("task", "asked", "said"),
    [
        ("single-label", {}, "The model says dog, 90 %. This is what is explained here."),
        ("single-label", {"label": "cat"}, "The model says dog, 90 %. You asked about cat: 50 %."),
        (
            "single-label",
            {"span": [0.5, 1]},
            "From 0.5 to 1 s, the model says dog, 90 %. This is what is explained here.",
        ),
        (
            "single-label",
            {"versus": "cat", "score": {"kind": "logit-difference", "value": -2}},
            "The model says dog, 90 %. You asked why dog rather than cat: \u22122"
            " (difference of logits).",
        ),
        (
            "multi-label",
            {"outputs": [("dog", 0.9), ("cat", 0.6), ("rain", 0.5), ("bee", 0.49)]},
            "The model says dog (90 %), cat (60 %) and rain (50 %). You asked about dog: 50 %.",
        ),
        (
            "multi-label",
            {"outputs": [("dog", 0.9), ("cat", 0.1)]},
            "The model says dog (90 %). This is what is explained here.",
        ),
        (
            "multi-label",
            {"outputs": [("dog", 0.2), ("cat", 0.1)], "label": "cat"},
            "The model says none of its labels; the largest is dog, 90 %. You asked about cat: "
            "50 %.",
        ),
        ("regression", {"direction": "down"}, "The model gives dog 0.9. You asked what lowers it."),
        (
            "regression",
            {"direction": "down", "span": [0, 1]},
            "From 0 to 1 s, the model gives dog 0.9. You asked what lowers it.",
        ),
        (
            "regression",
            {"versus": "cat"},
            "The model gives dog 0.9. You asked about its difference to cat: 0.5.",
        ),
    ],
)
def test_the_answer_says_what_was_asked_in_words(
    parts: Any, task: str, asked: dict[str, Any], said: str
) -> None:
    kind = "value" if task == "regression" else "probability"
    clip = {"task": task, "decision": {"label": "dog", "value": 0.9, "kind": kind}}
    asked = dict(asked)
    outputs = asked.pop("outputs", [])
    clip["outputs"] = [{"label": label, "value": value} for label, value in outputs]
    one = {"label": "dog", "versus": None, "span": None, "direction": "up"}
    one |= {"score": {"kind": kind, "value": 0.5}, **asked}
    code = "([clip, one]) => el('p', {}, ...answerNodes(clip, one)).textContent"
    assert parts.evaluate(code, [clip, one]) == said


@pytest.mark.parametrize("kind", ["probability", "value"])
def test_the_table_and_the_desk_write_the_same_score(parts: Any, kind: str) -> None:
    values = [0, 0.0004, 0.0012, 0.0526, 0.1, 0.784, 0.988, 0.9904, 0.99996, 1, None]
    if kind == "value":
        values += [-0.25, -0.00012, 4.9237, 1234.5, 98765.0, 99999.0, 123456.0, -7e9]
    code = "([kind, values]) => values.map(value => scoreText(kind, value))"
    assert [score_text(value, kind) for value in values] == parts.evaluate(code, [kind, values])


def test_a_probability_below_one_is_never_written_as_a_certainty(parts: Any) -> None:
    written = ["over 99.9 %", "99.9 %", "under 0.1 %", "100 %", "0 %"]
    values = [0.99996, 0.9989, 0.0004, 1.0, 0.0]
    assert [score_text(value, "probability") for value in values] == written
    assert parts.evaluate("values => values.map(percent)", values) == written


def test_a_trust_card_has_no_column_without_a_value(parts: Any) -> None:
    side = {"audio": 0.5, "spectrogram": None}
    row = {"title": "this explanation", "evidence": side, "area": 0.1, "energy": 0.2}
    row |= {"remainder": {"audio": 0.25, "spectrogram": None}, "draws": 1}
    one = {"target": "dog", "trust": {"kind": "probability", "input": 0.9, "rows": [row]}}
    cells = "node => [...node.querySelectorAll('th, td')].map(cell => cell.textContent)"
    found = parts.evaluate(f"one => ({cells})(trustTable(one, {{}}))", one)
    heads = ["name", "evidence, audio score", "remainder, audio score", "area", "energy"]
    assert found == [*heads, "this explanation", "50 %", "25 %", "10 %", "20 %"]


def test_the_score_over_time_is_drawn_where_frames_and_windows_lie(parts: Any) -> None:
    code = "one => coursePath(one, t => 10 * t, v => 100 * v)"
    frames = {"starts": [0, 1], "ends": [1, 2], "values": [0.5, 0.25]}
    assert parts.evaluate(code, frames) == "M0.00 50.00L10.00 50.00L10.00 25.00L20.00 25.00"
    windows = {"starts": [0, 1], "ends": [2, 3], "values": [0.5, 0.25]}
    assert parts.evaluate(code, windows) == "M0.00 50.00L20.00 50.00M10.00 25.00L30.00 25.00"
    one = {"course": windows, "score": {"kind": "probability"}, "label": "dog", "versus": None}
    assert parts.evaluate("courseWords", one) == (
        "Score of dog of each window: highest 50 % at 0.00\u20132.00 s, "
        "lowest 25 % at 1.00\u20133.00 s."
    )
