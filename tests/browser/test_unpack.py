"""What the page unpacks is what report/packing.py packed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from earwitness.masks.measure import measure_mask
from earwitness.report.packing import (
    _zigzag,
    codes_of,
    kept,
    pack,
    pack_bits,
    pack_map,
    pack_sound,
)
from tests.browser.engine import array, call

pytestmark = pytest.mark.browser
SHAPE = (37, 21)  # odd, so that swapped axes and the last bits show


def smooth_map(kind: str) -> np.ndarray:
    """A map for which each of the filters is the smallest."""
    bins, frames = np.indices(SHAPE)
    rng = np.random.default_rng(0)
    return {
        "none": rng.integers(0, 60000, SHAPE),
        "up": 30000 + np.cumsum(rng.integers(-3, 4, SHAPE), axis=0),
        "up2": 100 * bins**2 % 65521 + 7 * frames,
    }[kind]


@pytest.mark.parametrize("kind", ["none", "up", "up2"])
def test_arrays_of_two_bytes_come_back(engine: Any, kind: str) -> None:
    values = smooth_map(kind).astype(np.uint16)
    stored = pack(values)
    assert stored["filter"] == kind
    found = array(engine, "unpackMap(stored)", stored=stored)
    np.testing.assert_array_equal(found.reshape(SHAPE), values)


@pytest.mark.parametrize("kind", ["none", "up"])
def test_arrays_of_one_byte_come_back(engine: Any, kind: str) -> None:
    values = (smooth_map(kind) % 256).astype(np.uint8)
    stored = pack(values)
    assert stored["filter"] == kind
    found = array(engine, "unpackMap(stored)", stored=stored)
    np.testing.assert_array_equal(found.reshape(SHAPE), values)


def test_arrays_of_bits_come_back(engine: Any) -> None:
    values = np.random.default_rng(1).random(SHAPE) > 0.7
    found = array(engine, "unpackMap(stored)", stored=pack_bits(values))
    np.testing.assert_array_equal(found.reshape(SHAPE), values)


def test_damaged_data_are_refused(engine: Any) -> None:
    stored = pack(smooth_map("up").astype(np.uint8))
    code = "unpackMap(stored).then(() => 'none', error => error.message)"
    assert call(engine, code, stored={**stored, "shape": [36, 21]}) == (
        "the data of a map do not fit its shape"
    )
    assert call(engine, code, stored={**stored, "filter": "left"}) == "the filter left is not known"


def test_steps_of_either_sign_are_written_as_the_script_reads_them() -> None:
    steps = np.array([0, -1, 1, -2, -32768, 32767], np.int16).view(np.uint16)
    assert _zigzag(steps).tolist() == [0, 1, 2, 3, 65535, 65534]


@pytest.mark.parametrize("percent", [1, 37, 80, 100])
def test_the_dial_keeps_the_cells_that_python_keeps(engine: Any, percent: int) -> None:
    values = np.random.default_rng(2).standard_normal(SHAPE).astype(np.float32)
    codes, _, cuts = codes_of(values)
    code = "unpackMap(stored).then(codes => dialGains(codes, cuts, percent))"
    found = array(engine, code, stored=pack(codes), cuts=cuts, percent=percent)
    np.testing.assert_array_equal(found.reshape(SHAPE), kept(codes, cuts, percent))


@pytest.mark.parametrize("rule", ["30%", "area:5%", "minmax"])
def test_an_own_mask_comes_back(engine: Any, rule: str) -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal(SHAPE).astype(np.float32)
    codes, _, cuts = codes_of(values)
    gains = rng.random(SHAPE).astype(np.float32)
    if rule != "minmax":
        gains = (kept(codes, cuts, 30) if rule == "30%" else gains > 0.8).astype(np.float32)
    mask = measure_mask(gains, np.ones(SHAPE, np.float32), rule)
    own, packed = pack_map(mask, codes, cuts)
    stored = {"mask": packed, "map": {**own, "cuts": cuts}}
    code = "codesOf(stored).then(codes => ownGains(stored, codes))"
    found = array(engine, code, stored=stored)
    # 12 bits: half a step of 1 / 4096
    np.testing.assert_allclose(found.reshape(SHAPE), gains, rtol=0, atol=0.5 / 4096 + 1e-7)


def test_the_codes_and_gains_of_a_learned_mask_come_back(engine: Any) -> None:
    rng = np.random.default_rng(4)
    values = (np.round(4096 * rng.random(SHAPE) ** 4) / 4096).astype(np.float32)
    values[0, 0], values[1, 0] = 0, 1
    codes, _, cuts = codes_of(values)
    own, packed = pack_map(measure_mask(values, np.ones(SHAPE, np.float32), "soft"), codes, cuts)
    stored = {"mask": packed, "map": {**own, "cuts": cuts}}
    assert set(own) == {"by_gain"}
    found = array(engine, "codesOf(stored)", stored=stored)
    np.testing.assert_array_equal(found.reshape(SHAPE), codes)
    found = array(engine, "ownGains(stored)", stored=stored)
    np.testing.assert_array_equal(found.reshape(SHAPE), values)


@pytest.mark.parametrize("samples", [1, 15, 800, 4097])
@pytest.mark.parametrize(("bits", "step"), [(16, 2.0**-15), (19, 2.0**-18), (24, 2.0**-23)])
def test_a_sound_has_all_its_samples_to_half_a_step(
    engine: Any, samples: int, bits: int, step: float
) -> None:
    wave = 0.3 * np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    found = array(engine, "decodeInput(stored)", stored=pack_sound(wave, bits))
    assert len(found) == samples
    peak = np.abs(wave).max()
    # half a step of rounding, and one of browsers that divide positive samples by 2^15 - 1
    np.testing.assert_allclose(found, wave, rtol=0, atol=peak * (1.5 * step + 1e-7))


def test_silence_is_silence(engine: Any) -> None:
    found = array(engine, "decodeInput(stored)", stored=pack_sound(np.zeros(500, np.float32)))
    np.testing.assert_array_equal(found, np.zeros(500))


def test_pieces_that_are_on_are_kept(engine: Any) -> None:
    indices = np.array([[0, 1, 65535], [2, 1, 0]], np.uint16)
    code = "unpackMap(stored).then(indices => pieceGains(indices, on))"
    found = array(engine, code, stored=pack(indices), on=[True, False, True])
    np.testing.assert_array_equal(found.reshape(2, 3), [[1, 0, 0], [1, 0, 1]])
