from __future__ import annotations

import numpy as np
import pytest
import torch

from earwitness.errors import ParameterError
from earwitness.masks.keep import make_mask, parse_keep
from earwitness.masks.measure import measure_mask
from earwitness.metrics.trust import order_by, surrogate
from earwitness.plane.stft import Plane
from earwitness.render import render

MAP = np.array([[4.0, 3.0, -9.0], [2.0, 1.0, 0.0]], np.float32)
MAGNITUDE = np.array([[1.0, 1.0, 3.0], [2.0, 1.0, 2.0]], np.float32)


@pytest.mark.parametrize(
    ("keep", "wanted", "area", "energy"),
    [
        ("80%", [[1, 1, 0], [1, 0, 0]], 3 / 6, 6 / 20),  # 4 + 3 + 2 of 10
        ("40%", [[1, 0, 0], [0, 0, 0]], 1 / 6, 1 / 20),  # exactly 4 of 10
        ("100%", [[1, 1, 0], [1, 1, 0]], 4 / 6, 7 / 20),  # never what is not positive
        ("area:30%", [[1, 1, 0], [0, 0, 0]], 2 / 6, 2 / 20),
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


@pytest.mark.parametrize("text", ["80", "0%", "101%", "-5%", "loud:3%", "", "area:%", "nan%"])
def test_misspelt_shares_are_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="keep is a share"):
        parse_keep(text)


@pytest.mark.parametrize("text", ["80%", "area:10%", "energy:50%", "2.5%"])
def test_shares_are_spelt_back(text: str) -> None:
    assert str(parse_keep(text)) == text


def test_evidence_is_what_is_kept_and_the_remainder_what_is_not() -> None:
    plane = Plane(8000, 256, 64)
    time = torch.arange(8000) / 8000
    low, high = (torch.sin(2 * torch.pi * f * time) for f in (500, 3000))
    spectrum = plane.analyse((low + high)[None])[0]
    gains = (plane.freqs() < 1500).float()[:, None].expand(spectrum.shape)
    evidence, remainder = render(plane, spectrum, gains[None], 8000)
    middle = slice(400, 7600)
    torch.testing.assert_close(evidence[0, middle], low[middle], rtol=0, atol=2e-3)
    torch.testing.assert_close(remainder[0, middle], high[middle], rtol=0, atol=2e-3)
    torch.testing.assert_close(evidence[0] + remainder[0], low + high, rtol=0, atol=1e-5)


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
        np.testing.assert_allclose(np.abs(np.fft.fft2(field)) ** 2, wanted, rtol=1e-5, atol=1e-6)
    assert np.abs(np.corrcoef(fields[0].ravel(), gains.ravel())[0, 1]) < 0.5
    rough = order_by(gains, rng.random(gains.shape))
    smooth = order_by(gains, fields[0])

    def edges(mask: np.ndarray) -> float:
        return float(np.abs(np.diff(mask, axis=0)).sum() + np.abs(np.diff(mask, axis=1)).sum())

    # a rectangle has sharp edges, hence some high frequencies: smoother, but not as a rectangle is
    assert edges(smooth) < 0.5 * edges(rough)
