"""What the page holds of maps, masks and sounds, unpacked by a decoder of its own."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from earwitness.masks.keep import make_mask, parse_keep
from earwitness.masks.measure import measure_mask
from earwitness.masks.rounding import storable, storable_gains
from earwitness.pipeline import explain
from earwitness.render.levels import magnitude_of, spectrogram_codes
from earwitness.report.packing import codes_of, kept, pack, pack_bits, pack_map, pack_sound
from tests.pages import heard, unpack
from tests.toys import RATE, additive, spectral

SHAPE = (37, 53)  # odd, and not square


def maps() -> dict[str, NDArray[np.float32]]:
    """Maps whose shares are cut in places that a code of one byte could miss."""
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(SHAPE)
    heavy = np.exp(4 * normal)
    steps = np.round(3 * normal)
    single = np.zeros(SHAPE)
    single[5, 7] = 1e-30
    outlier = np.abs(normal)
    outlier[0, 0] = 1e6
    made = {
        "normal": normal, "heavy tail": heavy, "ties": steps, "constant": np.full(SHAPE, 0.3),
        "negative": -heavy, "zeros": np.zeros(SHAPE), "one cell": single, "an outlier": outlier,
        "negative constant": np.full(SHAPE, -2.0), "tiny": 1e-38 * heavy,
    }  # fmt: skip
    wave = 0.1 * np.random.default_rng(1).standard_normal(24000).astype(np.float32)
    for model, method in ((spectral(), "input-x-gradient"), (spectral(), "saliency")):
        made[method] = explain(model, (wave, RATE), method, trust="none").attribution.values
    return {name: one.astype(np.float32) for name, one in made.items()}


MAPS = maps()


@pytest.mark.parametrize("name", MAPS)
def test_the_dial_keeps_what_the_command_keeps_at_every_percent(name: str) -> None:
    values = MAPS[name]
    magnitude = np.random.default_rng(2).random(values.shape).astype(np.float32)
    codes, table, cuts = codes_of(values)
    assert len(table) == 256
    assert len(cuts) == 101
    for percent in range(1, 101):
        mask = make_mask(values, magnitude, parse_keep(f"{percent}%"))
        np.testing.assert_array_equal(kept(codes, cuts, percent), mask.gains)
        assert pack_map(mask, codes, cuts)[1] == {"percent": percent}


@pytest.mark.parametrize("name", MAPS)
def test_codes_rise_with_the_values_and_tell_the_sign(name: str) -> None:
    values = storable(MAPS[name]).astype(np.float64)
    codes, table, _ = codes_of(MAPS[name])
    positive, negative = (codes > 0) & (codes < 200), codes >= 200
    assert (values[positive] > 0).all()
    assert (values[negative] < 0).all()
    order = np.argsort(values[positive])
    assert (np.diff(codes[positive][order].astype(int)) >= 0).all()
    order = np.argsort(-values[negative])
    assert (np.diff(codes[negative][order].astype(int)) >= 0).all()
    for code in np.unique(codes[codes > 0]):  # four digits
        np.testing.assert_allclose(table[code], values[codes == code].mean(), rtol=1e-3)


def test_negative_values_have_eight_steps_up_to_the_end_of_the_colours() -> None:
    values = -np.linspace(0.0, 1.0, 2001, dtype=np.float32)[None]
    codes, _, _ = codes_of(values)
    assert np.unique(codes).tolist() == [0, *range(248, 256)]
    # rounded to nearest: the zero ends at half a step of 0.995 / 8
    np.testing.assert_allclose(-values[codes > 0].max(), 0.995 / 16, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "most"), [("uint8", 256), ("uint16", 65536), ("uint16", 4096), ("uint16", 2)]
)
@pytest.mark.parametrize("smooth", [True, False])
def test_arrays_are_unpacked_as_they_were(kind: str, most: int, smooth: bool) -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, most, SHAPE)
    if smooth:
        row = np.linspace(0, most - 1, SHAPE[0])
        values = np.round(np.outer(row, np.linspace(0.5, 1, SHAPE[1]))).astype(int)
    packed = pack(values.astype(kind))
    np.testing.assert_array_equal(unpack(packed, kind), values)
    if smooth and most > 2:
        assert packed["filter"] != "none"


def test_bits_are_unpacked_as_they_were() -> None:
    values = np.random.default_rng(4).random(SHAPE) < 0.3
    np.testing.assert_array_equal(unpack(pack_bits(values), "bits"), values)


def test_soft_gains_have_twelve_bits_and_binary_ones_one() -> None:
    rng = np.random.default_rng(5)
    magnitude, values = rng.random(SHAPE).astype(np.float32), MAPS["normal"]
    codes, _, cuts = codes_of(values)
    soft = make_mask(values, magnitude, parse_keep("minmax"))
    gains = unpack(pack_map(soft, codes, cuts)[1]["gains"], "uint16") / 4096
    np.testing.assert_allclose(gains, soft.gains, atol=0.5 / 4096 + 1e-6)
    for rule in ("area:10%", "energy:50%", "12.5%", "threshold:0.5+"):
        mask = make_mask(values, magnitude, parse_keep(rule))
        np.testing.assert_array_equal(
            unpack(pack_map(mask, codes, cuts)[1]["bits"], "bits"), mask.gains
        )


def test_a_mask_that_is_not_what_its_rule_says_is_held_as_it_is() -> None:
    values, magnitude = MAPS["normal"], np.ones(SHAPE, np.float32)
    codes, _, cuts = codes_of(values)
    mask = make_mask(values, magnitude, parse_keep("80%"))
    other = measure_mask(np.roll(mask.gains, 1, axis=0), magnitude, "80%")
    np.testing.assert_array_equal(unpack(pack_map(other, codes, cuts)[1]["bits"], "bits"),
                                  other.gains)  # fmt: skip
    faded = measure_mask(mask.gains * np.float32(0.5), magnitude, "80%")
    assert set(pack_map(faded, codes, cuts)[1]) == {"gains"}


def test_the_gains_of_a_learned_mask_are_exact_and_give_its_codes() -> None:
    rng = np.random.default_rng(12)
    values = storable_gains(torch.from_numpy(rng.random(SHAPE) ** 4)).numpy().astype(np.float32)
    codes, _, cuts = codes_of(values)
    mask = measure_mask(values, np.ones(SHAPE, np.float32), "soft")
    own, packed = pack_map(mask, codes, cuts)
    gains = unpack(packed["gains"], "uint16")
    np.testing.assert_array_equal(gains / 4096, values)
    by_gain = np.frombuffer(zlib.decompress(base64.b64decode(own["by_gain"])), np.uint8)
    np.testing.assert_array_equal(by_gain[gains.astype(int)], codes)


def test_codes_that_the_gains_do_not_give_are_held() -> None:
    values = storable(np.linspace(0, 1, 900, dtype=np.float32).reshape(30, 30))
    codes, _, cuts = codes_of(values)
    mask = measure_mask(np.maximum(values, np.float32(0.5)), np.ones((30, 30), np.float32), "soft")
    own, packed = pack_map(mask, codes, cuts)
    assert set(packed) == {"gains"}
    np.testing.assert_array_equal(unpack(own["codes"], "uint8"), codes)


@pytest.mark.parametrize("level", [1.0, 1e-4, 40.0, 0.0])
def test_a_sound_has_sixteen_bits_of_its_own_full_scale(level: float) -> None:
    wave = np.random.default_rng(6).uniform(-1, 1, 12345)
    samples = (level * wave / np.abs(wave).max()).astype(np.float32)
    found = heard(pack_sound(samples))
    assert len(found) == 12345
    np.testing.assert_allclose(found, samples, atol=level * 0.501 / 32767)


def test_levels_of_a_spectrogram_are_true_to_a_fifth_of_a_decibel() -> None:
    magnitude = (10 ** np.random.default_rng(7).uniform(-4.9, 0, SHAPE)).astype(np.float32)
    codes = spectrogram_codes(magnitude)
    back = magnitude_of(codes, float(magnitude.max()))
    error = 20 * np.log10(back / magnitude)
    assert np.abs(error).max() <= 100 / 255 / 2 + 1e-3
    np.testing.assert_array_equal(spectrogram_codes(back), codes)
    np.testing.assert_array_equal(spectrogram_codes(np.zeros(SHAPE, np.float32)), 0)


def test_pieces_that_do_not_overlap_are_an_index_and_others_are_not() -> None:
    model = additive(torch.ones(129, 189))
    wave = 0.1 * np.random.default_rng(8).standard_normal(24000).astype(np.float32)
    for cut, settings in (("grid", {"segments": 3, "bands": 2}), ("superpixels", {})):
        found = explain(model, (wave, RATE), "pieces", pieces=cut, samples=10, trust="none",
                        **settings)  # fmt: skip
        assert found.piece_map is not None
        assert found.piece_map.shape == found.magnitude.shape
        names = [piece.name for piece in found.pieces]
        assert np.unique(found.piece_map).tolist() == list(range(len(names)))
        # the name of a piece says where it is
        weights = np.array([piece.weight for piece in found.pieces])
        inside = found.attribution.values
        same = np.isclose(inside, weights[found.piece_map], rtol=1e-4, atol=1e-7)
        assert same.mean() > 0.5  # the others lie in a cross-fade
    found = explain(model, (wave, RATE), "pieces", pieces="nmf", samples=10, trust="none")
    assert found.piece_map is None
