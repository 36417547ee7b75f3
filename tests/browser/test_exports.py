"""What the page saves: sounds, masks and labels, against what Python reads and writes."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from earwitness.masks.drawn import read_drawn
from earwitness.masks.measure import measure_mask
from earwitness.plane.stft import Plane
from earwitness.render.labels import region_labels
from earwitness.types import Attribution
from earwitness.wav import wav_bytes
from tests.browser.engine import array, call

pytestmark = pytest.mark.browser
RATE, SAMPLES = 16000, 16000
PLANE = Plane(RATE, 512, 128)
BINS, FRAMES = PLANE.bins, PLANE.frames(SAMPLES)
SHAPE = {"n_fft": 512, "hop": 128, "bins": BINS, "frames": FRAMES}
CLIP = {"rate": RATE, "samples": SAMPLES, "start": 2.5, "plane": SHAPE}


def test_a_wav_file_is_read_back_and_equals_that_of_python(engine: Any) -> None:
    wave = np.random.default_rng(0).standard_normal(801).astype(np.float32)
    code = "btoa(String.fromCharCode(...wavBytes(wave, 11025)))"
    data = base64.b64decode(call(engine, code, wave=wave))
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_array_equal(samples, wave)
    assert rate == 11025
    assert data == wav_bytes(wave, 11025)


def painted(page: Any, strokes: list[dict[str, Any]], base: Any = None) -> NDArray[np.float32]:
    code = "brushGains(strokes, base, shape, 16000)"
    found = array(page, code, strokes=strokes, base=base, shape=SHAPE)
    return found.reshape(BINS, FRAMES)


def cells(t0: float, t1: float, f0: float, f1: float) -> NDArray[np.float32]:
    """The cells whose centres are nearest to a box's edges, and those between."""
    found = np.zeros((BINS, FRAMES), np.float32)
    times, hertz = np.arange(FRAMES) * 128 / RATE, np.arange(BINS) * RATE / 512
    columns = [int(np.abs(times - t).argmin()) for t in (t0, t1)]
    rows = [int(np.abs(hertz - f).argmin()) for f in (f0, f1)]
    found[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = 1
    return found


BOX = {"tool": "box", "mode": "keep", "t0": 0.21, "t1": 0.55, "f0": 900.0, "f1": 2100.0}


def test_strokes_keep_and_erase_in_their_order(engine: Any) -> None:
    early = {"tool": "time", "mode": "erase", "t0": 0.301, "t1": 0.402}
    low = {"tool": "frequency", "mode": "keep", "f0": 0.0, "f1": 500.0}
    wanted = cells(0.21, 0.55, 900, 2100)
    wanted[cells(0.301, 0.402, 0, 8000) > 0] = 0
    wanted[cells(0, 1.1, 0, 500) > 0] = 1
    np.testing.assert_array_equal(painted(engine, [BOX, early, low]), wanted)


def test_strokes_lie_over_a_mask(engine: Any) -> None:
    base = np.random.default_rng(1).random((BINS, FRAMES)).astype(np.float32)
    wanted = np.where(cells(0.21, 0.55, 900, 2100) > 0, 0, base)
    found = painted(engine, [{**BOX, "mode": "erase"}], base.ravel())
    np.testing.assert_array_equal(found, wanted)


def test_a_thin_stroke_is_one_cell_wide(engine: Any) -> None:
    line = {"tool": "box", "mode": "keep", "t0": 0.498, "t1": 0.498, "f0": 1010.0, "f1": 1010.0}
    found = painted(engine, [line])
    assert np.argwhere(found).tolist() == [[32, 62]]  # 1000 Hz, 0.496 s


def test_a_free_region_holds_the_cells_inside_it(engine: Any) -> None:
    corners = [[0.201, 1010.0], [0.601, 1010.0], [0.401, 5010.0]]
    found = painted(engine, [{"tool": "free", "mode": "keep", "points": corners}])
    times = np.arange(FRAMES) * 128 / RATE
    hertz = np.arange(BINS)[:, None] * RATE / 512
    top = 1010 + 20000 * np.minimum(times - 0.201, 0.601 - times)
    np.testing.assert_array_equal(found, ((hertz >= 1010) & (hertz <= top)).astype(np.float32))


def test_harmonics_of_a_line_are_bands_around_its_multiples(engine: Any) -> None:
    stroke = {"tool": "harmonics", "mode": "keep", "points": [[0.098, 400.0], [0.498, 600.0]]}
    found = painted(engine, [{**stroke, "width": 130.0, "count": 3}])
    frame = round(0.3 * RATE / 128)
    base = 400 + 200 * (frame * 128 / RATE - 0.098) / 0.4
    rows = {
        row
        for k in (1, 2, 3)
        for row in range(
            round((k * base - 65) * 512 / RATE), round((k * base + 65) * 512 / RATE) + 1
        )
    }
    assert set(np.flatnonzero(found[:, frame])) == rows
    assert set(np.flatnonzero(found.any(axis=0))) == set(range(12, 63))  # 0.1 to 0.5 s


@pytest.mark.parametrize("kind", ["painted", "empty", "full", "begins"])
def test_a_saved_mask_is_what_was_painted(engine: Any, tmp_path: Path, kind: str) -> None:
    gains = painted(engine, [BOX])
    if kind != "painted":
        gains = np.full_like(gains, kind == "full")
        gains[0, 0] = kind in ("full", "begins")
    text = call(engine, "maskText(gains, clip)", gains=gains.ravel(), clip=CLIP)
    (tmp_path / "mask.json").write_text(text)
    drawn = read_drawn(str(tmp_path / "mask.json"))
    drawn.check(PLANE, SAMPLES)
    np.testing.assert_array_equal(drawn.gains, gains)
    stored = json.loads(text)
    ones = np.arange(len(stored["runs"])) % 2
    np.testing.assert_array_equal(np.repeat(ones, stored["runs"]).reshape(gains.shape), gains)


def blobs() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A map, and its cells above a level: some twenty regions, also of touching corners."""
    rng = np.random.default_rng(5)
    spectrum = np.fft.rfft2(rng.standard_normal((BINS, FRAMES)))
    rows, columns = np.fft.fftfreq(BINS)[:, None], np.fft.rfftfreq(FRAMES)[None]
    values = np.fft.irfft2(spectrum * np.exp(-300 * rows**2 - 60 * columns**2), (BINS, FRAMES))
    values[:, -12:] = 0  # Python's labels may end after the sound
    gains = values > np.quantile(values, 0.9)
    return values.astype(np.float32), gains.astype(np.float32)


def test_labels_are_those_of_the_folder(engine: Any) -> None:
    values, gains = blobs()
    mask = measure_mask(gains, np.ones_like(gains), "area:10%")
    times, hertz = PLANE.times(FRAMES).numpy(), PLANE.freqs().numpy()
    wanted = region_labels(Attribution(values, hertz, times), mask, "a\tdog", 2.5)
    found = call(
        engine, "audacityText(regionsOf(gains, clip, weights), 'a\\tdog')",
        gains=gains.ravel(), weights=values.ravel(), clip=CLIP,
    )  # fmt: skip
    assert found.count("\n") == wanted.count("\n") == 24  # twelve regions
    for mine, theirs in zip(found.splitlines(), wanted.splitlines(), strict=True):
        if mine.startswith("\\"):
            assert mine == theirs
            continue
        numbers = [[float(n) for n in line.split("\t")[:2]] for line in (mine, theirs)]
        np.testing.assert_allclose(*numbers, rtol=0, atol=1.1e-6)  # s: float32 in Python
        assert mine.split("\t")[2] == theirs.split("\t")[2]


def test_tables_hold_the_regions(engine: Any) -> None:
    gains = painted(engine, [BOX, {**BOX, "t0": 0.8, "t1": 9.0, "f0": 5000.0, "f1": 6000.0}])
    code = "(places => [ravenText(places, label), csvText(places, label)])(regionsOf(gains, clip))"
    label = 'a "loud"\n\t dog'
    raven, table = call(engine, code, gains=gains.ravel(), clip=CLIP, label=label)
    rows = list(csv.DictReader(io.StringIO(raven), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert list(rows[0]) == [
        "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)",
        "High Freq (Hz)", "Annotation",
    ]  # fmt: skip
    assert [row["Selection"] for row in rows] == ["1", "2"]
    found = [[float(row[name]) for name in list(row)[3:7]] for row in rows]
    step = 128 / RATE  # a region ends half a step after its last cell, and not after the sound
    wanted = [
        [2.5 + (26 - 0.5) * step, 2.5 + (69 + 0.5) * step, 29 * 31.25, 67 * 31.25],
        [2.5 + (100 - 0.5) * step, 2.5 + 1.0, 160 * 31.25, 192 * 31.25],
    ]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.006)
    assert rows[0]["Annotation"] == 'a "loud" dog'
    again = list(csv.DictReader(io.StringIO(table, newline="")))
    names = ["start_s", "end_s", "low_hz", "high_hz"]
    np.testing.assert_allclose(
        [[float(row[name]) for name in names] for row in again], wanted, rtol=0, atol=0.006
    )
    assert again[0]["label"] == 'a "loud" dog'
    assert again[0]["share"] == ""


def test_strokes_are_regions_as_they_were_drawn(engine: Any) -> None:
    line = {"tool": "harmonics", "mode": "keep", "points": [[0.1, 400.0], [0.5, 600.0]]}
    strokes = [
        BOX,
        {"tool": "time", "mode": "erase", "t0": 0, "t1": 1},
        {"tool": "time", "mode": "keep", "t0": 0.9, "t1": 1.4},
        {**line, "width": 100.0, "count": 3},
    ]
    found = call(engine, "strokeRegions(strokes, clip)", strokes=strokes, clip=CLIP)
    boxes = [[one[name] for name in ("start", "end", "low", "high")] for one in found]
    wanted = [[2.71, 3.05, 900, 2100], [3.4, 3.5, 0, 8000], [2.6, 3.0, 350, 1850]]
    np.testing.assert_allclose(boxes, wanted, rtol=0, atol=1e-9)


def test_cells_that_touch_at_a_corner_are_one_region(engine: Any) -> None:
    gains = np.zeros((BINS, FRAMES), np.float32)
    gains[20, 30] = gains[21, 31] = gains[40, 30] = 1
    found = call(engine, "regionsOf(gains, clip).length", gains=gains.ravel(), clip=CLIP)
    assert found == 2


def test_a_map_without_positive_attribution_has_no_regions(engine: Any) -> None:
    ones = np.ones(BINS * FRAMES, np.float32)
    assert (
        call(engine, "regionsOf(gains, clip, weights)", gains=ones, weights=-ones, clip=CLIP) == []
    )
