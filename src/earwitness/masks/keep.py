"""The parser of mask specifications such as ``80%``, and the mask they describe.

``RULE:AMOUNT`` names a rule and its amount; a suffix ``+`` takes the positive part of the map
first; a plain share is a share of the positive attribution. ``smooth:CELLS`` and ``floor:LEVELdB``
may follow, separated by commas::

    80%   area:10%   energy:50%   minmax   sigmoid+   sign   threshold:0.5+   top:5%
    80%,smooth:1.5,floor:-30dB   file:mask.json
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from earwitness.errors import ParameterError, UnknownNameError
from earwitness.masks.edges import lift_floor, smooth_edges
from earwitness.masks.measure import measure_mask
from earwitness.masks.registry import MASKS
from earwitness.masks.rounding import storable
from earwitness.types import FloatArray, Mask

_DEFAULT = "attribution"  # rule of a plain share such as 80%
_NUMBER = r"[0-9]*\.?[0-9]+(?:e-?[0-9]+)?"
_RULE = re.compile(rf"(?:([a-z-]+):?)?(?:({_NUMBER})\s*(%?))?(\+?)")
_SMOOTH = re.compile(rf"smooth:({_NUMBER})")
_FLOOR = re.compile(rf"floor:(-{_NUMBER})\s*dB", re.IGNORECASE)
_FILE = re.compile(r"file:(.+?)((?:\s*,\s*(?:smooth|floor):[^,]*)*)", re.DOTALL)
_WIDEST = 100.0  # cells; wider blurs make the mask constant


@dataclass(frozen=True)
class Keep:
    """A parsed mask specification.

    Attributes
    ----------
    rule : str
        A name of ``list_masks()``.
    amount : float
        Amount of the rule, percentages as a fraction of one; nan if the rule has none.
    positive : bool
        Whether negative attribution is set to zero first.
    smooth : float
        Standard deviation of a blur of the gains, in bins and frames; 0 for none.
    floor : float
        Level of the removed part in dB, below 0; minus infinity for silence.
    file : str
        Path of a mask that was drawn; empty for other rules.
    """

    rule: str
    amount: float = math.nan
    positive: bool = False
    smooth: float = 0.0
    floor: float = -math.inf
    file: str = ""

    @property
    def soft(self) -> bool:
        """Whether gains between 0 and 1 are intended."""
        return MASKS.get(self.rule).soft or self.smooth > 0 or self.floor > -math.inf

    def __str__(self) -> str:
        kind = MASKS.get(self.rule).amount
        share = f"{100 * self.amount:g}%" if kind == "percent" else f"{self.amount:g}"
        text = self.rule if kind is None else f"{self.rule}:{self.file or share}"
        text = share if self.rule == _DEFAULT else text
        text += "+" if self.positive else ""
        text += f",smooth:{self.smooth:g}" if self.smooth > 0 else ""
        return text + (f",floor:{self.floor:g}dB" if self.floor > -math.inf else "")


def parse_keep(text: str) -> Keep:
    """Parse a specification: ``80%``, ``area:10%``, ``threshold:0.5+``, ``minmax,floor:-30dB``.

    Raises
    ------
    ParameterError
        If the syntax is invalid, a share is not in (0, 100] %, a threshold not in [0, 1], a floor
        not below 0 dB, or a blur wider than 100 cells.

    Examples
    --------
    >>> parse_keep("80%").amount
    0.8
    """
    named = _FILE.fullmatch(str(text).strip())
    if named:
        smooth, floor = _extras(text, [one.strip() for one in named[2].split(",")[1:]])
        return Keep("file", smooth=smooth, floor=floor, file=named[1])
    head, *extras = (part.strip() for part in str(text).split(","))
    match = _RULE.fullmatch(head)
    if not match or not head:
        _refuse(text)
    name, number, percent, plus = match.groups()
    try:
        rule = MASKS.get(name or _DEFAULT)
    except UnknownNameError as error:
        _refuse(text, str(error))
    given = {"percent": bool(number and percent), "number": bool(number and not percent)}
    if not (given.get(rule.amount) if rule.amount else not number and ":" not in head):
        _refuse(text, f"{rule.name} is written like {rule.example}")
    amount = float(number) / (100 if percent else 1) if number else math.nan
    if number and not (0 < amount <= 1 if percent else 0 <= amount <= 1):
        _refuse(text)
    if plus and not rule.signed:
        _refuse(text, f"{rule.name} uses the positive part in any case")
    smooth, floor = _extras(text, extras)
    return Keep(rule.name, amount, bool(plus), smooth, floor)


def make_mask(attribution: FloatArray, magnitude: FloatArray, keep: Keep) -> Mask:
    """Compute the mask of an attribution, as it is stored: with 12 significant bits.

    So an explanation has the same mask in memory, on disk and on the page.

    Parameters
    ----------
    attribution : ndarray, shape (freq, frame)
        Signed or not, in units of the score.
    magnitude : ndarray, shape (freq, frame)
        Linear magnitude of the input.
    keep : Keep
    """
    values = storable(attribution).astype(np.float64)
    values = np.maximum(values, 0) if keep.positive else values
    loudness = np.asarray(magnitude, np.float64)
    gains = MASKS.get(keep.rule).gains(values, loudness, keep.file or keep.amount)
    gains = smooth_edges(gains, keep.smooth) if keep.smooth > 0 else gains
    gains = lift_floor(gains, keep.floor) if keep.floor > -math.inf else gains
    return measure_mask(gains.astype(np.float32), magnitude, str(keep))


def share_of(text: str | None) -> float:
    """Return the share of cells that a specification asks for; 0 if it is of another kind.

    Examples
    --------
    >>> share_of("area:10%"), share_of("80%")
    (0.1, 0.0)
    """
    keep = None if text is None else parse_keep(text)
    return keep.amount if keep is not None and keep.rule == "area" else 0.0


def _extras(text: str, extras: list[str]) -> tuple[float, float]:
    smooth, floor = 0.0, -math.inf
    for extra in extras:
        blur, level = _SMOOTH.fullmatch(extra), _FLOOR.fullmatch(extra)
        if blur and not smooth and 0 < float(blur[1]) <= _WIDEST:
            smooth = float(blur[1])
        elif level and floor == -math.inf and float(level[1]) < 0:
            floor = float(level[1])
        else:
            _refuse(text, f"{extra!r} is neither smooth:CELLS (above 0) nor floor:-LEVELdB")
    return smooth, floor


def _refuse(text: str, reason: str = "") -> NoReturn:
    raise ParameterError(
        "keep is a share such as 80% (of the positive attribution), area:10% or energy:50%, or a "
        f"mask that earwitness masks lists; got {text!r}{f' ({reason})' if reason else ''}"
    )
