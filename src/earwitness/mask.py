"""From an attribution to gains: which cells are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earwitness.errors import ParameterError
from earwitness.types import FloatArray, Mask


@dataclass(frozen=True)
class Keep:
    """How much to keep: a share of the positive attribution, of the area or of the energy."""

    of: Literal["attribution", "area", "energy"]
    share: float

    def __str__(self) -> str:
        share = f"{100 * self.share:g}%"
        return share if self.of == "attribution" else f"{self.of}:{share}"


def parse_keep(text: str) -> Keep:
    """Read ``80%``, ``area:10%`` or ``energy:50%``.

    Raises
    ------
    ParameterError
        If it is spelt otherwise or the share is not above 0 and at most 100 %.
    """
    match = re.fullmatch(r"(?:(attribution|area|energy):)?([0-9]*\.?[0-9]+)\s*%", str(text).strip())
    share = float(match[2]) / 100 if match else 0.0
    if not match or not 0 < share <= 1:
        raise ParameterError(
            f"keep is a share such as 80% (of the positive attribution), area:10% or energy:50%; "
            f"got {text!r}"
        )
    return Keep(match[1] or "attribution", share)  # type: ignore[arg-type]


def make_mask(attribution: FloatArray, magnitude: FloatArray, keep: Keep) -> Mask:
    """Keep the cells of largest positive attribution until they hold the share.

    Cells of equal attribution are kept or removed together, so a map that orders nothing keeps
    everything, and is marked degenerate.

    Parameters
    ----------
    attribution, magnitude : ndarray, shape (freq, frame)
    keep : Keep

    Returns
    -------
    Mask
        Gains of 0 and 1.
    """
    values = np.asarray(attribution, np.float64)
    held = {
        "attribution": values,
        "area": np.ones_like(values),
        "energy": np.asarray(magnitude, np.float64) ** 2,
    }[keep.of]
    whole = np.maximum(values, 0).sum() if keep.of == "attribution" else held.sum()
    levels, group = np.unique(values, return_inverse=True)
    per_level = np.bincount(group.ravel(), weights=held.ravel(), minlength=len(levels))
    down = np.cumsum(per_level[::-1])
    positive = int((levels > 0).sum())
    wanted = keep.share * whole * (1 - 1e-9)
    last = min(int(np.searchsorted(down[:positive], wanted)), positive - 1)
    gains = (values >= levels[::-1][last]) if positive and whole > 0 else np.zeros(values.shape)
    return measure_mask(gains.astype(np.float32), magnitude, str(keep))


def measure_mask(gains: FloatArray, magnitude: FloatArray, rule: str) -> Mask:
    """Return gains with their area, their energy and whether they are degenerate."""
    return Mask(
        gains,
        rule,
        float(gains.mean(dtype=np.float64)),
        kept_energy(gains, magnitude),
        _degenerate(gains),
    )


def kept_energy(gains: NDArray[np.floating], magnitude: NDArray[np.floating]) -> float:
    """Return ``sum (g |X|)^2 / sum |X|^2``, and 0 for silence."""
    energy = np.asarray(magnitude, np.float64) ** 2
    whole = energy.sum()
    return float((np.asarray(gains, np.float64) ** 2 * energy).sum() / whole) if whole > 0 else 0.0


def _degenerate(gains: FloatArray) -> str | None:
    low, high = float(gains.min()), float(gains.max())
    if high - low > 1e-6:
        return None
    if high <= 1e-6:
        return "empty"
    return "full" if low >= 1 - 1e-6 else "constant"
