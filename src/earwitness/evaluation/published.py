"""Metrics of two publications as their code computes them, for comparison with their tables.

They deviate from the definitions in the papers and are therefore not registered as metrics:

- ``lmac`` (Paissan et al. 2024, as implemented in SpeechBrain): average drop applies a softmax to
  probabilities, which limits it to 63.2 %; increase and gain count any rise, rounding included;
  an empty mask has no sparseness and no complexity, and is left out of their means.
- ``pak`` (Pak and Teryokhina 2025): a constant mask gets sparseness 0 and complexity 0, the
  optimum; increase and gain count any rise.

Both use the predicted class and not the target, and both measure the mask and not the map. Masks
were multiplied in the domain ``log1p`` or ``dB``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import softmax

from earwitness.metrics.conciseness import complexity, sparseness
from earwitness.metrics.registry import Array, Case


def lmac(case: Case) -> dict[str, Array]:
    """Return FF, AI, AD, AG, Fid-In, SPS and COMP as L-MAC's code computes them."""
    twice = {side: softmax(case[f"all_{side}"], axis=-1) for side in ("input", "evidence")}
    c = int(np.argmax(case["all_input"]))
    before, after = twice["input"][c], twice["evidence"][:, c]
    figures = _common(case, small=1e-10)
    figures["AD"] = 100 * np.maximum(before - after, 0) / (before + 1e-10)
    kept = case["gains"].reshape(len(case["gains"]), -1).any(axis=1)
    figures["SPS"] = np.where(kept, figures["SPS"], np.nan)
    return figures


def pak(case: Case) -> dict[str, Array]:
    """Return FF, AI, AD, AG, Fid-In, SPS and COMP as Pak and Teryokhina's code computes them."""
    figures = _common(case, small=1e-6)
    gains = case["gains"].reshape(len(case["gains"]), -1)
    varies = gains.max(axis=1) > gains.min(axis=1)
    for name in ("SPS", "COMP"):
        figures[name] = np.where(varies, figures[name], 0.0)
    return figures


PUBLISHED: dict[str, Callable[[Case], dict[str, Array]]] = {"lmac": lmac, "pak": pak}


def _common(case: Case, small: float) -> dict[str, Array]:
    c = int(np.argmax(case["all_input"]))
    p, inside, outside = (
        case["all_input"][c], case["all_evidence"][:, c], case["all_remainder"][:, c]
    )  # fmt: skip
    return {
        "FF": p - outside,
        "AI": 100.0 * (inside > p),
        "AD": 100 * np.maximum(p - inside, 0) / (p + small),
        "AG": 100 * np.maximum(inside - p, 0) / (1 - p + small),
        "FidIn": (case["all_evidence"].argmax(axis=1) == c).astype(np.float64),
        "SPS": sparseness(case["gains"]),
        "COMP": complexity(case["gains"]),
    }
