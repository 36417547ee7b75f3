"""Notes on an explanation, one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earwitness.models.model import Model
from earwitness.types import Task

_LARGE_GAP = 0.05  # share of the change of score; larger completeness gaps get a note
_MOST_NAMED = 5  # steps
_SUDDEN = "the score changes only within the first 0.1 % of the path"


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


def background_notes(task: Task, given: object, details: Mapping[str, Any]) -> list[str]:
    """Return notes on the background that a method used, and on a path that leads nowhere.

    Parameters
    ----------
    task : str
        The model's.
    given : object
        The method's option ``background`` as requested; None if it has none.
    details : mapping
        What the method reports.
    """
    used, former = details.get("background"), details.get("instead_of")
    if former:
        reason = {
            "sudden": f"{_SUDDEN} from {former}, so the model hardly depends on level",
            "undefined": f"the model cannot be evaluated on {former}",
        }[details["because"]]
        return [f"background: {used} instead of {former}, because {reason}"]
    notes = []
    if given == "auto" and task == "regression":
        notes = [f"background: {used}, the default for a regression"]
    if details.get("sudden"):
        notes.append(
            f"no usable path: {_SUDDEN} from {used}, so the model hardly depends on level; more "
            "steps do not help, another background (mean, noise-floor) does"
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
    """Return notes on a large completeness gap, and on steps that were left out."""
    notes = []
    skipped = details.get("skipped")
    if skipped:
        count = details.get("steps", details.get("samples"))
        which = ", ".join(str(step + 1) for step in skipped[:_MOST_NAMED])
        more = ", ..." if len(skipped) > _MOST_NAMED else ""
        notes.append(
            f"left out of {count} steps: {which}{more}, where the model or its gradient is not "
            "finite"
        )
    share = details.get("completeness_share")
    if share is None or share <= _LARGE_GAP:
        return notes
    text = (
        f"large completeness gap: the sum of the map differs from {details['score_change']:.3g} by "
        f"{details['completeness_gap']:+.3g}"
    )
    leaks = details.get("leaks")
    if leaks:
        return [*notes, f"{text}, mostly at {leaks[0]['at']} ({leaks[0]['share']:+.0%})"]
    more_steps = "steps" in details and not details.get("sudden")
    return [*notes, f"{text}; try more steps" if more_steps else text]
