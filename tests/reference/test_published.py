"""The published definitions, against slow float64 versions of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from earwitness.evaluation.cases import measure
from earwitness.evaluation.published import PUBLISHED
from tests.reference.slow_published import SLOW

SHAPE = (7, 11)


def masks(rng: np.random.Generator) -> np.ndarray:
    """Random masks of several kinds, and constant ones."""
    soft = rng.random((4, *SHAPE))
    kinds = [soft, soft > 0.5, soft > 0.99, soft**40, 1e-5 * soft, 0.5 + 1e-6 * soft]
    constant = [np.full(SHAPE, value) for value in (0.0, 0.5, 1.0, 1e-6)]
    return np.concatenate([*(kind.astype(np.float64) for kind in kinds), np.stack(constant)])


def outputs(rng: np.random.Generator, count: int) -> np.ndarray:
    """Probabilities of five classes: even, sure, and sure to rounding."""
    each = [rng.dirichlet(np.full(5, alpha), size=count) for alpha in (1, 0.1, 0.01)]
    return np.stack(each)[rng.integers(3, size=count), np.arange(count)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_metrics_are_those_of_a_slow_version(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gains = masks(rng)
    case: dict[str, Any] = {
        "all_input": outputs(rng, 1)[0],
        "all_evidence": outputs(rng, len(gains)),
        "all_remainder": outputs(rng, len(gains)),
        "gains": gains,
    }
    case["all_evidence"][:2] = case["all_input"]  # nothing has changed
    case["all_evidence"][1, case["all_input"].argmax()] += 1e-9  # rounding
    found = measure(case, compat=name)
    wanted = [
        SLOW[name](
            case["all_input"].tolist(), inside.tolist(), outside.tolist(), one.ravel().tolist()
        )
        for inside, outside, one in zip(
            case["all_evidence"], case["all_remainder"], gains, strict=True
        )
    ]
    assert set(found) == set(wanted[0])
    for figure, values in found.items():
        slow = [one[figure] for one in wanted]
        np.testing.assert_allclose(values, slow, rtol=1e-6, atol=1e-6, err_msg=figure)


def test_masks_in_single_precision_give_the_same_to_1e_6() -> None:
    rng = np.random.default_rng(9)
    gains = masks(rng)
    sides = {side: outputs(rng, len(gains)) for side in ("evidence", "remainder")}
    case = {"all_input": outputs(rng, 1)[0], **{f"all_{k}": v for k, v in sides.items()}}
    for name in PUBLISHED:
        fine = PUBLISHED[name]({**case, "gains": gains})
        coarse = PUBLISHED[name]({**case, "gains": gains.astype(np.float32)})
        for figure, values in fine.items():
            np.testing.assert_allclose(coarse[figure], values, rtol=1e-6, atol=1e-6, err_msg=figure)
