"""How far a map that promises to add up does so, and where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from earwitness.backward.rules import Leak, Ledger
from earwitness.errors import NotApplicableError

LOOK_CLOSER = 0.02  # share of the score from which leaks are looked for
_MOST_UNRULED = 0.05
_TOLD = 3
_LEAST_TOLD = 0.005


def completeness(values: Tensor, wanted: float) -> dict[str, Any]:
    """Return the gap between the sum of a map and the change of score it must add up to.

    Parameters
    ----------
    values : Tensor, shape (freq, frame)
    wanted : float
        In the units of the score.

    Returns
    -------
    dict
        ``completeness_gap`` (sum minus wanted, in the units of the score), ``completeness_share``
        (its size as a share of what is wanted; None if that is 0) and ``score_change`` (wanted).
    """
    gap = float(values.double().sum()) - wanted
    share = abs(gap / wanted) if wanted else None
    return {"completeness_gap": gap, "completeness_share": share, "score_change": wanted}


def account(
    method: str, ledger: Ledger, leaks: Sequence[Leak], gap: float, change: float
) -> list[dict[str, Any]]:
    """Return the calls that account for most of a gap, the largest first.

    Parameters
    ----------
    ledger : Ledger
    leaks : sequence of Leak
        Found in it, the largest first.
    gap, change : float
        Of the pass that the leaks were found in.

    Returns
    -------
    list of dict
        ``at`` and ``share`` of the change of score, with its sign.

    Raises
    ------
    NotApplicableError
        If a function without a rule, or one that cannot be seen, makes the map wrong by more than
        5 % of the change of score.
    """
    size = abs(change) or 1.0
    unruled = [leak for leak in leaks if not leak.known]
    worst = max(unruled, key=lambda leak: abs(leak.amount), default=None)
    if worst is not None and abs(worst.amount) > _MOST_UNRULED * size:
        raise NotApplicableError(
            f"{method}: there is no rule for {worst.at}; the map would be off by "
            f"{abs(worst.amount) / size:.0%} of the score; use integrated-gradients"
        )
    unseen = gap - sum(leak.amount for leak in leaks)
    if abs(unseen) > _MOST_UNRULED * size:
        what = next(iter(ledger.strangers), "compiled code or an autograd function of its own")
        raise NotApplicableError(
            f"{method}: part of the network cannot be seen ({what}); the map would be off by "
            f"{abs(unseen) / size:.0%} of the score; use integrated-gradients"
        )
    return [
        {"at": leak.at, "share": leak.amount / size}
        for leak in leaks[:_TOLD]
        if abs(leak.amount) > _LEAST_TOLD * size
    ]
