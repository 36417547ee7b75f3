"""When two ways to ask a model are taken to give the same answers."""

from __future__ import annotations

from torch import Tensor

OUTPUT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
_ROUNDING = 5e-6


def outputs_agree(found: Tensor, wanted: Tensor) -> bool:
    """Whether outputs differ by at most 1e-4 of their standard deviation, over items and outputs.

    Where the outputs hardly vary at all, rounding is allowed for.
    """
    allowed = max(OUTPUT_TOLERANCE * float(wanted.std()), _ROUNDING * float(wanted.abs().max()))
    return float((found - wanted).abs().max()) <= allowed


def gradients_agree(found: Tensor, wanted: Tensor) -> bool:
    """Whether gradients differ by at most 1e-3 of their length.

    A unit that sits on the corner of a ReLU may go either way, so the whole is compared, not the
    cells.
    """
    return float((found - wanted).norm()) <= GRADIENT_TOLERANCE * float(wanted.norm())
