"""Findings of a check, and the notes of a traced forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Grade = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Finding:
    """What was found in one respect.

    Attributes
    ----------
    name : str
        The respect, such as ``outputs``.
    grade : {"ok", "note", "broken"}
        ``broken`` if explanations, or the model's own answers, would be of something else than
        declared.
    text : str
        What was found, in one line.
    advice : str
        What to do; empty if there is nothing to do.
    facts : mapping
        The same as plain JSON values.
    declare : mapping
        Arguments of ``wrap`` that would put it right.
    """

    name: str
    grade: Grade
    text: str
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    declare: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "name": self.name,
            "grade": self.grade,
            "text": self.text,
            "advice": self.advice,
            **({"facts": dict(self.facts)} if self.facts else {}),
        }
