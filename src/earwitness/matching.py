"""Masks of equal size as heard: of which the evidence fills the same effective area.

The same share of cells is heard at different sizes, because scattered cells spread in the inverse
transform. ``area:10% as heard`` is the mask of the largest cells whose sound has an effective area
(``earwitness.metrics.conciseness``) of 10 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from earwitness.errors import ParameterError
from earwitness.evaluation.cases import heard
from earwitness.masks.keep import make_mask, parse_keep
from earwitness.metrics.conciseness import effective_area
from earwitness.probe import Probe
from earwitness.types import FloatArray, Mask

AS_HEARD = " as heard"
_HALVINGS = 12  # a share within 1 / 4000
_CLOSE = 0.003  # of the effective area


def matched_rule(rule: str) -> str:
    """Return a rule of an area with its size as heard, and any other rule as it is.

    Examples
    --------
    >>> matched_rule("area:10%"), matched_rule("80%")
    ('area:10% as heard', '80%')
    """
    return f"{rule}{AS_HEARD}" if parse_keep(rule).rule == "area" else rule


def stated(rule: str) -> str:
    """Return a rule as it is stored, after checking it.

    Raises
    ------
    ParameterError
        If it is not valid, or is as heard but not of an area.
    """
    keep = parse_keep(rule.removesuffix(AS_HEARD))
    if keep.file:
        raise ParameterError("a mask from a file is of one sound, not of a grid")
    if rule.endswith(AS_HEARD) and keep.rule != "area":
        raise ParameterError(f"only an area can be as heard, like area:10%{AS_HEARD}; got {rule!r}")
    return str(keep) + (AS_HEARD if rule.endswith(AS_HEARD) else "")


def mask_by(probe: Probe, values: FloatArray, rule: str) -> Mask:
    """Return the mask of a map by a rule, which may be as heard.

    Parameters
    ----------
    values : ndarray, shape (freq, frame)
        The map.
    rule : str
    """
    magnitude = probe.magnitude.cpu().numpy()
    keep = parse_keep(rule.removesuffix(AS_HEARD))
    if not rule.endswith(AS_HEARD):
        return make_mask(values, magnitude, keep)

    def of(share: float) -> Mask:
        return make_mask(values, magnitude, replace(keep, amount=share))

    mask = of(matched_share(probe, lambda share: of(share).gains, keep.amount))
    return replace(mask, rule=rule)


def matched_share(probe: Probe, gains: Callable[[float], FloatArray], size: float) -> float:
    """Return the share of cells whose sound has an effective area of ``size``, by bisection.

    If no share reaches it, the nearest one is returned.

    Parameters
    ----------
    gains : callable
        Returns the gains (freq, frame) of a share of cells.
    size : float
        In (0, 1].
    """
    low, high, share = 0.0, 1.0, size
    for _ in range(_HALVINGS):
        found = heard_size(probe, gains(share))
        if abs(found - size) <= _CLOSE:
            break
        low, high = (share, high) if found < size else (low, share)
        share = (low + high) / 2
    return share


def heard_size(probe: Probe, gains: FloatArray) -> float:
    """Return the effective area of the sound of a mask (freq, frame)."""
    with torch.no_grad():
        sound = probe.sound(torch.from_numpy(gains).to(probe.device)[None])
    return float(effective_area(heard(probe, sound))[0])
