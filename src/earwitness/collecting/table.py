"""Explanations as the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = (
    "path", "method", "model", "target", "output", "verdict", "effect", "evidence", "remainder",
    "evidence_spectrogram", "remainder_spectrogram", "random_effect", "energy_effect", "area",
    "energy", "seconds",
)  # fmt: skip


def row(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of an explanation, from ``Explanation.facts()``; None for what is not known.

    ``output`` is the target's score of the input, ``evidence`` and ``remainder`` are the model's
    scores of these sounds alone (audio scores).
    """
    card = facts["trust"] or {}
    target, effect = facts["target"], card.get("effect") or {}
    outcome = card.get("outcome") or {}
    evidence, remainder = (outcome.get(name) or {} for name in ("evidence", "remainder"))
    controls = card.get("controls") or {}
    label = next((o["input"] for o in facts["outputs"] if o["label"] == target["label"]), None)
    versus = target["versus_label"]
    values = (
        facts["clip"], facts["method"], facts["model"],
        f"{target['label']} versus {versus}" if versus else target["label"],
        card["input"] if card else None if versus else label,
        (facts.get("verdict") or {}).get("grade"),
        effect.get("value"), evidence.get("audio"), remainder.get("audio"),
        evidence.get("spectrogram"), remainder.get("spectrogram"),
        *((controls.get(name) or {}).get("effect") for name in ("random", "energy")),
        facts["mask"]["area"], facts["mask"]["energy"], facts["seconds"],
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))
