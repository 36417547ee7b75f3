"""Names of classes in pictures, in any script that an installed font has."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from functools import cache, lru_cache

from earwitness.types import Target

_PLACEHOLDERS = "Last Resort"  # a font of boxes that comes with matplotlib
_SHAPED = (3, 11)  # version of matplotlib from which it joins and orders Arabic and Hebrew letters


def legible(target: Target) -> Target:
    """Return a target whose labels can be drawn.

    Characters that no installed font has are left out, and a label without any letter or digit that
    can be drawn is replaced by the number of the output.
    """
    label = _label(target.label, target.index)
    if target.versus_index is None:
        return replace(target, label=label)
    other = _label(target.versus_label or "", target.versus_index)
    return replace(target, label=label, versus_label=other)


def families(text: str) -> list[str]:
    """Return the default font families, then others that have what is missing in them."""
    from matplotlib import rcParams

    found = list(rcParams["font.family"])
    for character in text:
        family = _family(character)
        if family and family not in found:
            found.append(family)
    return found


def _label(label: str, index: int) -> str:
    kept = "".join(c if not c.isspace() else " " for c in label)
    kept = " ".join("".join(c for c in kept if c == " " or _family(c) is not None).split())
    return kept if any(map(str.isalnum, kept)) else f"output {index}"


@lru_cache(maxsize=4096)
def _family(character: str) -> str | None:
    """Return the family to draw a character in, "" for the default, None if there is none."""
    from matplotlib import __version_info__ as version
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    if unicodedata.category(character)[0] == "C":
        return None
    if unicodedata.bidirectional(character) in ("R", "AL") and version[:2] < _SHAPED:
        return None
    if ord(character) in _characters(findfont(FontProperties())):
        return ""
    real = (one for one in fontManager.ttflist if not one.name.startswith(_PLACEHOLDERS))
    fonts = sorted(real, key=lambda one: (one.style != "normal", one.name))
    has = (one.name for one in fonts if ord(character) in _characters(one.fname))
    return next(has, None)


@cache
def _characters(file: str) -> frozenset[int]:
    """Return the code points that a font has; none if it cannot be drawn at every size."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(file)
        font.set_size(12, 110)
        return frozenset(font.get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
