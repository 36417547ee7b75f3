"""Masks of a given size with gradients, against slow copies in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from earwitness.plane.cutting import cut, loudness, soft_cut, thresholds


def some_logits(seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(seed))


def test_loudness_is_the_logarithm_over_the_root_mean_square() -> None:
    magnitude = some_logits().abs().double()
    magnitude[0, 0, 0] = 0.0
    found = loudness(magnitude).numpy()
    for clip, levels in zip(magnitude.tolist(), found, strict=True):
        flat = [value for row in clip for value in row]
        size = math.sqrt(sum(value**2 for value in flat) / len(flat))
        wanted = [[math.log(max(value / size, 1e-4)) for value in row] for row in clip]
        np.testing.assert_allclose(levels, wanted, atol=1e-9)
    np.testing.assert_allclose(loudness(5 * magnitude), found, atol=1e-9)  # whatever the level
    np.testing.assert_array_equal(loudness(torch.zeros(1, 2, 3)), np.zeros((1, 2, 3)))


@pytest.mark.parametrize("share", [0.003, 0.1, 0.31, 1.0])
def test_the_largest_cells_are_kept(share: float) -> None:
    logits = some_logits()
    found = cut(logits, torch.tensor([share, 0.5]))
    for clip, gains, part in zip(logits, found, (share, 0.5), strict=True):
        count = max(1, round(part * clip.numel()))
        order = sorted(clip.flatten().tolist(), reverse=True)
        wanted = (clip >= order[count - 1]).float()
        torch.testing.assert_close(gains, wanted, rtol=0, atol=1e-6)
        soft = soft_cut(clip, part)
        torch.testing.assert_close((soft >= 0.5).float(), wanted)
        assert float(thresholds(clip[None], torch.tensor([part]))) == order[count - 1]
        assert float((soft - (4 * (clip - order[count - 1])).sigmoid()).abs().max()) < 1e-6


def test_the_gradient_of_a_cut_is_that_of_soft_gains_of_constant_sum() -> None:
    logits = some_logits().double().requires_grad_()
    share = torch.tensor([0.2, 0.4])
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1)).double()
    (cut(logits, share) * weights).sum().backward()
    for k in range(2):
        z, w = (one[k].detach().numpy().ravel() for one in (logits, weights))
        at = sorted(z, reverse=True)[round(float(share[k]) * len(z)) - 1]
        wanted = []
        for i in range(len(z)):  # by differences, with the threshold that keeps the sum
            ends = []
            for step in (1e-5, -1e-5):
                moved = z.copy()
                moved[i] += step
                low, high = at - 1.0, at + 1.0
                whole = (1 / (1 + np.exp(at - z))).sum()
                for _ in range(60):
                    middle = (low + high) / 2
                    above = (1 / (1 + np.exp(middle - moved))).sum() > whole
                    low, high = (middle, high) if above else (low, middle)
                ends.append(float((w / (1 + np.exp(low - moved))).sum()))
            wanted.append((ends[0] - ends[1]) / 2e-5)
        found = logits.grad[k].numpy().ravel()
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.sum(), 0.0, atol=1e-9)  # raising all cells does nothing
