"""Bugs in ``backward``."""

from __future__ import annotations

BUGS = {
    "rule: relus in place are not guided": (
        "backward/rules.py",
        'if name.endswith("_") or kwargs.get("inplace"):',
        'if kwargs.get("inplace"):',
    ),
    "rule: deep-shap does not see products": (
        "backward/rules.py",
        "(call.name in MULTILINEAR and len(call.inputs) == 1)",
        "call.name in MULTILINEAR",
    ),
    "sign: leaks the other way round": (
        "backward/rules.py",
        "inwards - outwards, has_rule",
        "outwards - inwards, has_rule",
    ),
    "rule: nothing is refused": (
        "backward/completeness.py",
        "_MOST_UNRULED = 0.05",
        "_MOST_UNRULED = 1e9",
    ),
    "normalisation: a gap is a share of nothing": (
        "backward/completeness.py",
        "abs(gap / wanted) if wanted",
        "abs(gap) if wanted",
    ),
    "axis: recurrent layers run one way": (
        "backward/unfold.py",
        "for step in reversed(steps) if way else steps:",
        "for step in steps:",
    ),
    "axis: gates of the GRU swapped": (
        "backward/unfold.py",
        "reset = torch.sigmoid(here[0] + there[0])\n    keep = here[1] + there[1]",
        "reset = torch.sigmoid(here[1] + there[1])\n    keep = here[0] + there[0]",
    ),
    "rule: attention masks keep what they hide": (
        "backward/unfold.py",
        "masked_fill(~mask, -math.inf)",
        "masked_fill(mask, -math.inf)",
    ),
}
