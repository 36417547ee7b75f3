"""What a scan is to do, where it is, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earwitness.models.model import Model
from earwitness.recordings.events import Rule
from earwitness.types import Request

_WITHOUT_GRADIENTS = "lime"
_WITH_GRADIENTS = "integrated-gradients"


@dataclass(frozen=True)
class Plan:
    """What a scan looks for and how it explains it.

    Attributes
    ----------
    rule : Rule
    window, hop : float or None
        Seconds (``make_cut``).
    top : int
        Events of each label that are explained, the strongest.
    request : Request
        How they are explained.
    scores : {"csv", "jsonl", "parquet"}
    workers : int
    """

    rule: Rule = field(default_factory=Rule)
    window: float | None = None
    hop: float | None = None
    top: int = 5
    request: Request = field(default_factory=Request)
    scores: str = "csv"
    workers: int = 1

    def low(self, model: Model) -> bool:
        """Return whether low scores stand out."""
        return model.task == "regression" and self.rule.direction == "down"


@dataclass(frozen=True)
class Progress:
    """Where a scan is.

    Attributes
    ----------
    stage : {"scanning", "explaining"}
    done, total : float
        Seconds of recordings, or forward passes.
    """

    stage: str
    done: float
    total: float


@dataclass(frozen=True)
class Scan:
    """What a scan found.

    Attributes
    ----------
    events : list of dict
        One for each event: ``recording``, ``label``, ``start`` and ``end`` in seconds of the file,
        ``score``, ``peak_start`` and ``peak_end`` of its strongest window, and ``files``.
    verdicts : dict of str to str
        On the explanations, by the folder of the event.
    failed : list of str
        Why recordings or explanations are missing.
    page : Path
    kept : list of Path
        Tables of an earlier scan that had been edited and are not up to date: renamed, not lost.
    """

    events: list[dict[str, Any]]
    verdicts: dict[str, str]
    failed: list[str]
    page: Path
    kept: list[Path] = field(default_factory=list)

    def verdict(self, row: Mapping[str, Any]) -> str:
        """Return the verdict on the explanation of an event, in a sentence; empty without one."""
        clip = row["files"].get("clip")
        return self.verdicts.get(str(Path(clip).parent), "") if clip else ""

    def __repr__(self) -> str:
        return f"<Scan: {len(self.events)} events, {len(self.failed)} failures; {self.page}>"


def recommended(model: Model) -> str:
    """Return the method that explains events unless another is chosen."""
    return _WITH_GRADIENTS if model.differentiable else _WITHOUT_GRADIENTS
