from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from earwitness.errors import ParameterError, UnknownNameError
from earwitness.evaluation.orders import Orders, order_by, surrogate
from earwitness.explanation import Explanation
from earwitness.masks.keep import make_mask, parse_keep
from earwitness.masks.measure import measure_mask
from earwitness.masks.registry import MASKS, Rule
from earwitness.pipeline import explain
from earwitness.plane.domains import DOMAINS, mask_magnitude
from earwitness.plane.stft import Plane
from earwitness.render.evidence import render
from earwitness.types import Audio
from tests.toys import spectral

MAP = np.array([[4.0, 3.0, -9.0], [2.0, 1.0, 0.0]], np.float32)
MAGNITUDE = np.array([[1.0, 1.0, 3.0], [2.0, 1.0, 2.0]], np.float32)


@pytest.mark.parametrize(
    ("keep", "wanted", "area", "energy"),
    [
        ("80%", [[1, 1, 0], [1, 0, 0]], 3 / 6, 6 / 20),  # 4 + 3 + 2 of 10
        ("40%", [[1, 0, 0], [0, 0, 0]], 1 / 6, 1 / 20),  # exactly 4 of 10
        ("100%", [[1, 1, 0], [1, 1, 0]], 4 / 6, 7 / 20),  # never what is not positive
        ("area:30%", [[1, 1, 0], [0, 0, 0]], 2 / 6, 2 / 20),
        ("energy:10%", [[1, 1, 0], [0, 0, 0]], 2 / 6, 2 / 20),
        ("energy:25%", [[1, 1, 0], [1, 0, 0]], 3 / 6, 6 / 20),
        ("energy:90%", [[1, 1, 0], [1, 1, 0]], 4 / 6, 7 / 20),
    ],
)
def test_what_is_kept(keep: str, wanted: list[list[int]], area: float, energy: float) -> None:
    mask = make_mask(MAP, MAGNITUDE, parse_keep(keep))
    np.testing.assert_array_equal(mask.gains, wanted)
    np.testing.assert_allclose([mask.area, mask.energy], [area, energy])
    assert mask.degenerate is None
    assert mask.rule == keep


def test_equal_cells_stand_and_fall_together() -> None:
    values = np.array([[5.0, 2.0, 2.0], [2.0, 0.0, 0.0]], np.float32)
    mask = make_mask(values, MAGNITUDE, parse_keep("60%"))
    np.testing.assert_array_equal(mask.gains, [[1, 1, 1], [1, 0, 0]])


@pytest.mark.parametrize(
    ("values", "word"),
    [(np.ones((2, 3)), "full"), (-np.ones((2, 3)), "empty"), (np.zeros((2, 3)), "empty")],
)
def test_maps_that_order_nothing_are_degenerate(values: np.ndarray, word: str) -> None:
    mask = make_mask(values.astype(np.float32), MAGNITUDE, parse_keep("80%"))
    assert mask.degenerate == word


def test_a_uniform_soft_mask_is_degenerate() -> None:
    mask = measure_mask(np.full((2, 3), 0.5, np.float32), MAGNITUDE, "soft")
    assert mask.degenerate == "constant"
    np.testing.assert_allclose([mask.area, mask.energy], [0.5, 0.25])


@pytest.mark.parametrize(
    "text",
    [
        *("80", "0%", "101%", "-5%", "loud:3%", "", "area:%", "nan%", "area", "area:0.1", "80%+"),
        *("threshold", "threshold:50%", "threshold:1.5", "top:5", "top:0%", "minmax:1", "minmax:"),
        *("minmax++", "sign+", "80%,", "80%,smooth:0", "80%,smooth:101", "80%,floor:3dB"),
        *("80%,floor:-0dB", "80%,floor:-30", "80%,smooth:1,smooth:2", "+", ":80%", "MINMAX"),
    ],
)
def test_misspelt_shares_are_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="keep is a share"):
        parse_keep(text)


@pytest.mark.parametrize(
    "text",
    [
        *("80%", "area:10%", "energy:50%", "2.5%", "minmax", "minmax+", "sigmoid", "sigmoid+"),
        *("sign", "threshold:0.25+", "threshold:0.5", "top:5%", "top:50%+", "gains"),
        *("80%,smooth:1.5", "minmax,floor:-30dB", "top:5%+,smooth:2,floor:-12.5dB"),
    ],
)
def test_rules_are_spelt_back(text: str) -> None:
    assert str(parse_keep(text)) == text
    assert str(parse_keep(f" {text} ")) == text


def test_long_spellings_mean_the_same() -> None:
    assert str(parse_keep("attribution:80%")) == "80%"
    assert str(parse_keep("80%, floor:-30db, smooth:1")) == "80%,smooth:1,floor:-30dB"


# Pak and Teryokhina's fourteen, in torch, as their code has them
PAK: dict[str, Callable[[Tensor], Tensor]] = {
    "minmax": lambda v: (v - v.min()) / (v.max() - v.min() + 1e-8),
    "sigmoid": torch.sigmoid,
    "sign": lambda v: v > 0,
    "top:5%": lambda v: v >= torch.quantile(v, 0.95),
    "top:30%": lambda v: v >= torch.quantile(v, 0.7),
    "top:50%": lambda v: v >= torch.quantile(v, 0.5),
    "minmax+": lambda v: v.relu() / (v.max() + 1e-8),
    "sigmoid+": lambda v: v.relu().sigmoid(),
    "threshold:0.25+": lambda v: v.relu() / (v.max() + 1e-8) >= 0.25,
    "threshold:0.5+": lambda v: v.relu() / (v.max() + 1e-8) >= 0.5,
    "threshold:0.75+": lambda v: v.relu() / (v.max() + 1e-8) >= 0.75,
    "top:5%+": lambda v: v.relu() >= torch.quantile(v.relu(), 0.95),
    "top:30%+": lambda v: v.relu() >= torch.quantile(v.relu(), 0.7),
    "top:50%+": lambda v: v.relu() >= torch.quantile(v.relu(), 0.5),
}


@pytest.mark.parametrize("shift", [0.0, -0.6], ids=["even", "mostly negative"])
@pytest.mark.parametrize("rule", PAK)
def test_the_fourteen_masks_of_pak_and_teryokhina(rule: str, shift: float) -> None:
    values = np.random.default_rng(2).standard_normal((9, 14)) + shift
    mask = make_mask(values, np.ones((9, 14)), parse_keep(rule))
    wanted = PAK[rule](torch.from_numpy(values)).double().numpy()
    # masks are of maps with 12 significant bits, here within +-4 and divided by their range
    np.testing.assert_allclose(mask.gains, wanted, atol=2.0**-12)
    assert mask.soft == (rule.rstrip("+") in ("minmax", "sigmoid"))


def test_the_published_top_half_keeps_everything_where_half_is_not_positive() -> None:
    values = np.array([[2.0, 1.0, -1.0], [-2.0, -3.0, -4.0]])
    np.testing.assert_array_equal(
        make_mask(values, MAGNITUDE, parse_keep("top:50%")).gains, [[1, 1, 1], [0, 0, 0]]
    )
    assert make_mask(values, MAGNITUDE, parse_keep("top:50%+")).degenerate == "full"


OF_THE_MAP = [rule for rule in MASKS.all() if rule.amount != "path"]


@pytest.mark.parametrize("rule", OF_THE_MAP, ids=lambda rule: rule.name)
def test_every_rule(rule: Rule) -> None:
    rng = np.random.default_rng(4)
    loudness = rng.random((9, 14)).astype(np.float32)
    for signed in (False, True):
        values = rng.random((9, 14)).astype(np.float32) - np.float32(0.3)
        values = values if signed and rule.name != "gains" else np.maximum(values, 0)
        keep = parse_keep(rule.example)
        before = values.copy()
        mask = make_mask(values, loudness, keep)
        np.testing.assert_array_equal(values, before)
        assert mask.gains.dtype == np.float32
        assert mask.gains.shape == (9, 14)
        assert 0 <= mask.gains.min() < mask.gains.max() <= 1
        assert mask.soft == rule.soft == keep.soft
        assert str(keep) == mask.rule == rule.example
        # more attribution never means less gain
        order = np.argsort(values, axis=None)
        assert (np.diff(mask.gains.ravel()[order]) >= 0).all()
        turned = make_mask(values.T, loudness.T, keep)
        np.testing.assert_array_equal(turned.gains, mask.gains.T)


def test_maps_that_are_gains_are_taken_as_they_are() -> None:
    gains = np.array([[0.25, 1.0], [0.0, 0.75]], np.float32)
    np.testing.assert_array_equal(make_mask(gains, gains, parse_keep("gains")).gains, gains)
    with pytest.raises(ParameterError, match=r"in \[0, 1\], this one goes from -9 to 4"):
        make_mask(MAP, MAGNITUDE, parse_keep("gains"))


def test_a_floor_lifts_what_is_removed_and_nothing_else() -> None:
    mask = make_mask(MAP, MAGNITUDE, parse_keep("80%,floor:-20dB"))
    np.testing.assert_allclose(mask.gains, [[1, 1, 0.1], [1, 0.1, 0.1]], atol=1e-7)
    assert mask.soft
    soft = make_mask(MAP, MAGNITUDE, parse_keep("minmax,floor:-6dB")).gains
    floor = 10 ** (-6 / 20)
    plain = make_mask(MAP, MAGNITUDE, parse_keep("minmax")).gains
    np.testing.assert_allclose(soft, floor + (1 - floor) * plain, atol=1e-7)


def test_smoothed_edges() -> None:
    values = np.zeros((21, 31), np.float32)
    values[8:13, 10:21] = 1
    keep = parse_keep("100%,smooth:1.5")
    mask = make_mask(values, np.ones_like(values), keep)
    assert mask.soft
    assert np.abs(np.diff(mask.gains, axis=0)).max() < 0.4  # hard edges step by 1
    assert np.abs(np.diff(mask.gains, axis=1)).max() < 0.4
    # a normal density of 1.5 cells over the step at column 9.5, the rows' share as well
    erf = math.erf
    over_time = [0.5 * (erf((20.5 - c) / 1.5 / 2**0.5) - erf((9.5 - c) / 1.5 / 2**0.5)) for c in
                 (15, 9)]  # fmt: skip
    over_freq = erf(2.5 / 1.5 / 2**0.5)
    np.testing.assert_allclose(mask.gains[10, [15, 9]], np.array(over_time) * over_freq, atol=0.01)
    full = make_mask(np.ones_like(values), np.ones_like(values), keep)
    assert full.degenerate == "full"


def test_domains_of_one_cell() -> None:
    gains, magnitude = torch.tensor([[[0.5]]]), torch.tensor([[0.2]])
    found = [mask_magnitude(gains, magnitude, name, scale=50).item() for name in DOMAINS]
    assert list(DOMAINS) == ["linear", "log1p", "dB"]
    # a magnitude of 10 in the papers' scale: 20 dB, of which half the way down to -100 is -40
    np.testing.assert_allclose(found, [0.1, (11**0.5 - 1) / 50, 0.01 / 50], rtol=1e-6)


def test_domains_agree_at_nothing_and_at_everything() -> None:
    magnitude = torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) + 0.1
    for name in DOMAINS:
        everything = mask_magnitude(torch.ones(1, 5, 7), magnitude, name, scale=128)
        torch.testing.assert_close(everything[0], magnitude, rtol=1e-5, atol=0)
        nothing = mask_magnitude(torch.zeros(1, 5, 7), magnitude, name, scale=128)
        silence = 1e-5 / 128 if name == "dB" else 0.0  # -100 dB, and never less
        torch.testing.assert_close(nothing[0], torch.full((5, 7), silence), rtol=1e-5, atol=0)
    quiet = mask_magnitude(torch.ones(1, 5, 7), 0 * magnitude, "dB")
    torch.testing.assert_close(quiet[0], torch.full((5, 7), 1e-5), rtol=1e-5, atol=0)
    with pytest.raises(UnknownNameError, match="did you mean 'dB'"):
        mask_magnitude(torch.ones(1, 5, 7), magnitude, "db")


def test_a_soft_mask_is_explained_and_saved(white: Audio, tmp_path: Path) -> None:
    made = explain(spectral(), white, "input-x-gradient", keep="sigmoid")
    made.save(tmp_path / "one")
    again = Explanation.load(tmp_path / "one")
    assert again.mask.soft
    assert again.mask.rule == "sigmoid"
    hard = explain(spectral(), white, "input-x-gradient", keep="80%")
    assert not hard.mask.soft
    assert made.facts()["mask"]["soft"]


def test_evidence_is_what_is_kept_and_the_remainder_what_is_not() -> None:
    plane = Plane(8000, 256, 64)
    time = torch.arange(8000) / 8000
    low, high = (torch.sin(2 * torch.pi * f * time) for f in (500, 3000))
    spectrum = plane.analyse((low + high)[None])[0]
    gains = (plane.freqs() < 1500).float()[:, None].expand(spectrum.shape)
    evidence, remainder = render(plane, spectrum, gains, low + high)
    middle = slice(400, 7600)
    torch.testing.assert_close(evidence[middle], low[middle], rtol=0, atol=2e-3)
    torch.testing.assert_close(remainder[middle], high[middle], rtol=0, atol=2e-3)
    torch.testing.assert_close(evidence + remainder, low + high, rtol=0, atol=1e-5)


def test_controls_hold_the_same_gains_in_another_order() -> None:
    rng = np.random.default_rng(0)
    gains = rng.random((20, 30)).astype(np.float32)
    loudness = rng.random((20, 30))
    ordered = order_by(gains, loudness)
    np.testing.assert_array_equal(np.sort(ordered, axis=None), np.sort(gains, axis=None))
    assert ordered.flat[loudness.argmax()] == gains.max()
    assert ordered.flat[loudness.argmin()] == gains.min()


def test_random_control_has_the_masks_smoothness() -> None:
    rng = np.random.default_rng(0)
    gains = np.zeros((64, 96), np.float32)
    gains[10:26, 30:60] = 1
    fields = np.stack([surrogate(gains, rng) for _ in range(8)])
    centred = gains - gains.mean()
    wanted = np.abs(np.fft.fft2(centred)) ** 2
    for field in fields:
        np.testing.assert_allclose(np.abs(np.fft.fft2(field)) ** 2, wanted, rtol=1e-4, atol=1e-4)
    assert np.abs(np.corrcoef(fields[0].ravel(), gains.ravel())[0, 1]) < 0.5
    rough = order_by(gains, rng.random(gains.shape))
    smooth = order_by(gains, fields[0])

    def edges(mask: np.ndarray) -> float:
        return float(np.abs(np.diff(mask, axis=0)).sum() + np.abs(np.diff(mask, axis=1)).sum())

    # a rectangle has sharp edges, hence some high frequencies: smoother, but not as a rectangle is
    assert edges(smooth) < 0.5 * edges(rough)


@pytest.mark.parametrize("step", [0, 6e-8])
def test_random_orders_of_gains_that_hardly_differ(step: float) -> None:
    gains = np.full((6, 8), 0.5, np.float32)
    gains[0, :3] += np.float32(step) * np.arange(1, 4, dtype=np.float32)
    for one in Orders(gains, 0).at_random(gains, 2):
        np.testing.assert_array_equal(np.sort(one, axis=None), np.sort(gains, axis=None))


@pytest.mark.parametrize("soft", [True, False], ids=["soft", "binary"])
def test_orders_hold_the_masks_own_gains(soft: bool) -> None:
    rng = np.random.default_rng(0)
    magnitude, gains = rng.random((2, 40, 60)).astype(np.float32)
    gains = gains if soft else (gains > 0.8).astype(np.float32)
    orders = Orders(magnitude, 3)
    loud, *randoms = orders.by_energy(gains), *orders.at_random(gains, 3)
    for one in (loud, *randoms):
        np.testing.assert_array_equal(np.sort(one, axis=None), np.sort(gains, axis=None))
    np.testing.assert_array_equal(loud, order_by(gains, magnitude))
    # the first draw is by the surrogate of the same seed, the second by its negative, up to 16 bits
    key = surrogate(gains, np.random.default_rng(3))
    for sign, one in ((1, randoms[0]), (-1, randoms[1])):
        by_gain = sign * key.ravel()[np.argsort(one, axis=None, kind="stable")]
        levels = np.split(by_gain, np.flatnonzero(np.diff(np.sort(one, axis=None))) + 1)
        for below, above in pairwise(levels):
            assert above.min() >= below.max() - np.ptp(key) / 65535
    np.testing.assert_array_equal(Orders(magnitude, 3).at_random(gains, 1)[0], randoms[0])
    assert not np.array_equal(randoms[0], randoms[2])
