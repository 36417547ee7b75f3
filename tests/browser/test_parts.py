"""Parts of the desk as functions: regions of a map, the curve of the dial, axes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.engine import engine_page

pytestmark = pytest.mark.browser
RATE, HOP, BINS, FRAMES = 8000, 100, 201, 81
CLIP = {
    "rate": RATE,
    "samples": 8000,
    "plane": {"n_fft": 400, "hop": HOP, "bins": BINS, "frames": FRAMES},
}
PARTS = ("controls", "axes", "dial", "regions")


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
