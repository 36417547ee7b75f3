"""Notes on an explanation, one line each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from earwitness.models.model import Model

_LARGE_GAP = 0.02  # share of the change of score; larger completeness gaps get a note
_ROUNDING = 1e-6  # in units of the score


def length_notes(model: Model, samples: int) -> list[str]:
    """Return notes on padding and windows of a sound whose length the model does not take."""
    notes = []
    if model.shortest and samples < model.shortest:
        notes.append(
            "shorter than the model takes: padded with silence to "
            f"{model.shortest / model.rate:g} s"
        )
    windows = model.windows(samples)
    if len(windows) > 1:
        notes.append(
            f"longer than the model takes: read in {len(windows)} overlapping windows of "
            f"{windows[0][1] / model.rate:.2f} s, outputs averaged"
        )
    return notes


def batch_notes(model: Model) -> list[str]:
    """Return a note if the model is evaluated on one input at a time."""
    if not model.one_by_one:
        return []
    return [
        "the model's output for one input depends on the others in its batch, or it takes one "
        "input only: it was evaluated on one at a time, which takes longer"
    ]


def gap_notes(details: Mapping[str, Any]) -> list[str]:
    """Return a note if the completeness gap is large."""
    share = details.get("completeness_share")
    if share is None:  # the score does not change, or the method is not complete
        share = math.inf if abs(details.get("completeness_gap", 0.0)) > _ROUNDING else 0.0
    if share <= _LARGE_GAP:
        return []
    text = (
        f"large completeness gap: the sum of the map differs from {details['score_change']:.3g} by "
        f"{details['completeness_gap']:+.3g}"
    )
    leaks = details.get("leaks")
    if leaks:
        return [f"{text}, mostly at {leaks[0]['at']} ({leaks[0]['share']:+.0%})"]
    return [f"{text}; try more steps" if "steps" in details else text]
