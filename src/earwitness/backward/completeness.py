"""Completeness of a map: the gap between its sum and the change of score, and its causes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from earwitness.backward.linear import HALF
from earwitness.backward.rules import Leak, Ledger
from earwitness.errors import NotApplicableError

LEAK_THRESHOLD = 0.02  # relative gap from which the pass is repeated to find leaks
_MOST_UNRULED = 0.05  # relative error of the map from which it is refused
_MOST_GAP = 0.5  # relative gap of a method that is complete by its rules, else it is refused
_ROUNDING = 1e-4  # relative to the sum of absolute attributions; smaller gaps may be rounding
_MOST_REPORTED = 3  # leaks; the largest explain most of a gap
_LEAST_REPORTED = 0.005  # share of the change of score; smaller leaks are negligible


def _usual() -> str:
    return "integrated-gradients"


def completeness(values: Tensor, wanted: float) -> dict[str, Any]:
    """Return the gap between the sum of a map and the change of score.

    Parameters
    ----------
    values : Tensor, shape (freq, frame)
        Attribution in units of the score.
    wanted : float
        Change of score that the map should sum to.

    Returns
    -------
    dict
        ``completeness_gap`` (sum minus wanted, in units of the score), ``completeness_share``
        (absolute gap relative to wanted; None if that is 0) and ``score_change`` (wanted).
    """
    gap = float(values.double().sum()) - wanted
    share = abs(gap / wanted) if wanted else None
    return {"completeness_gap": gap, "completeness_share": share, "score_change": wanted}


def require_complete(
    method: str,
    values: Tensor,
    details: Mapping[str, Any],
    leaks: Sequence[Mapping[str, Any]],
    instead: Callable[[], str] = _usual,
) -> None:
    """Raise ``NotApplicableError`` if a map does not nearly sum to the change of score.

    Parameters
    ----------
    values : Tensor, shape (freq, frame)
        Attribution.
    details : mapping
        What ``completeness`` returned.
    leaks : sequence of mapping
        What ``account`` returned.
    instead : callable
        Returns the method to recommend.
    """
    gap, change = abs(details["completeness_gap"]), details["score_change"]
    rounding = _ROUNDING * float(values.double().abs().sum())
    if gap <= max(_MOST_GAP * abs(change), rounding):
        return
    where = f", mostly at {leaks[0]['at']}" if leaks else ""
    raise NotApplicableError(
        f"{method}: the map sums to {change + details['completeness_gap']:.3g}, the score changes "
        f"by {change:.3g}{where}; its rules do not hold for this network, use {instead()}"
    )


def account(
    method: str,
    ledger: Ledger,
    leaks: Sequence[Leak],
    gap: float,
    change: float,
    instead: Callable[[], str] = _usual,
) -> list[dict[str, Any]]:
    """Return the calls that account for most of a gap, the largest first.

    Parameters
    ----------
    ledger : Ledger
    leaks : sequence of Leak
        Leaks found in the ledger, the largest first.
    gap, change : float
        Completeness gap and change of score of the same pass.
    instead : callable
        Returns the method to recommend.

    Returns
    -------
    list of dict
        ``at`` (the function) and ``share`` (signed, of the change of score).

    Raises
    ------
    NotApplicableError
        If a function without a rule, or one that cannot be intercepted, causes an error of more
        than 5 % of the change of score.
    """
    size = abs(change) or 1.0
    unruled = [leak for leak in leaks if not leak.known]
    worst = max(unruled, key=lambda leak: abs(leak.amount), default=None)
    if worst is not None and abs(worst.amount) > _MOST_UNRULED * size:
        raise NotApplicableError(
            f"{method}: there is no rule for {worst.at}; the map would be off by "
            f"{abs(worst.amount) / size:.0%} of the score; use {instead()}"
        )
    unseen = gap - sum(leak.amount for leak in leaks)
    if abs(unseen) > _MOST_UNRULED * size:
        halves = {one.dtype for entry in ledger.entries for one in entry.given} & set(HALF)
        if not ledger.strangers and halves:
            kind = str(halves.pop()).removeprefix("torch.")
            raise NotApplicableError(
                f"{method}: the network computes in {kind}, whose rounding puts the map off "
                f"by {abs(unseen) / size:.0%} of the score; use the network "
                f"in single precision (.float()), or {instead()}"
            )
        what = next(iter(ledger.strangers), "compiled code or a custom autograd function")
        raise NotApplicableError(
            f"{method}: part of the network cannot be intercepted ({what}); the map would be off "
            f"by {abs(unseen) / size:.0%} of the score; use {instead()}"
        )
    return [
        {"at": leak.at, "share": leak.amount / size}
        for leak in leaks[:_MOST_REPORTED]
        if abs(leak.amount) > _LEAST_REPORTED * size
    ]
