"""Which mask is best."""

from __future__ import annotations

import math

import numpy as np
import pytest

from earwitness.errors import UnknownNameError
from earwitness.metrics.ranking import count_degenerate, find_best, published_score


def test_a_degenerate_mask_is_never_best() -> None:
    flags = ["full", None, "empty", None, "constant"]
    assert find_best("faithfulness", [0.9, 0.2, 0.9, 0.4, 0.9], flags) == 3
    assert find_best("complexity", [0.0, 2.0, math.nan, 3.0, 0.0], flags) == 1
    assert find_best("faithfulness", [0.9, 0.9], ["full", "empty"]) is None
    assert count_degenerate(flags) == {"empty": 1, "full": 1, "constant": 1}


def test_what_cannot_be_best() -> None:
    assert find_best("faithfulness", [math.nan, 0.1, 0.1], [None] * 3) == 1
    assert find_best("level", [1.0, 2.0], [None, None]) is None  # neither way is better
    with pytest.raises(UnknownNameError, match="faithfulness"):
        find_best("faithfulnes", [1.0], [None])


def test_the_published_score_of_two_rows_by_hand() -> None:
    table = {"up": np.array([0.0, 3.0]), "down": np.array([1.0, 2.0])}
    over = {"up": np.array([0.0, 4.0]), "down": np.array([0.0, 4.0])}
    # scaled: 0 (at least 1e-9) and 0.75; 1 - 0.25 and 1 - 0.5
    found = published_score(table, over, ["down"])
    np.testing.assert_allclose(found, [np.sqrt(1e-9 * 0.75), np.sqrt(0.75 * 0.5)], rtol=1e-12)
