"""Which mask is best, and which a published rule took for the best."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from earwitness.errors import UnknownNameError
from earwitness.metrics.ranking import count_degenerate, find_best, published_score

# Pak and Teryokhina 2025, the 280 rows of the tables that github.com/exile8/audio-xai exports
TABLE = Path(__file__).parents[1] / "reference" / "pak_teryokhina.csv"
FIGURES = ["FF", "AI", "AG", "FidIn", "SPS", "AD", "COMP"]
LOWER = ["AD", "COMP"]
Row = dict[str, str]


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


def columns(rows: list[Row]) -> dict[str, np.ndarray]:
    return {name: np.array([float(row[name]) for row in rows]) for name in FIGURES}


def picks(own_scale: bool) -> Iterator[tuple[str, str]]:
    """The mask chosen for each front end, scenario and method."""
    with TABLE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 280

    def setting(row: Row) -> tuple[str, str, str]:
        return row["frontend"], row["scenario"], row["method"]

    for key, group in groupby(sorted(rows, key=setting), key=setting):
        some = list(group)
        assert len(some) == 14
        over = columns(some if own_scale else rows)
        best = int(published_score(columns(some), over, LOWER).argmax())
        yield " ".join(key), some[best]["mask"]


def test_the_published_choice_is_found_again() -> None:
    found = dict(picks(own_scale=False))
    assert len(found) == 20
    for scenario in ("clean", "white", "room", "horse"):
        # a uniform mask of gains of 0.5, everywhere
        assert found[f"mel_db {scenario} shap"] == "sigmoid"
    # masks that keep everything in more than half of the clips
    assert found["mel_db clean saliency"] == "topK_50_pos"
    assert found["stft_db clean gradcam"] == "topK_50_pos"
    assert found["stft_db clean lime"] == found["mel_db clean lime"] == "bin"


def test_the_scale_of_the_text_chooses_otherwise() -> None:
    code, text = dict(picks(own_scale=False)), dict(picks(own_scale=True))
    changed = {key: text[key] for key in code if code[key] != text[key]}
    assert changed == {
        "mel_db clean shap": "pos_thresh_50",
        "mel_db white shap": "pos_thresh_50",
        "mel_db horse saliency": "topK_50_pos",
        "mel_db horse shap": "topK_5",
    }
