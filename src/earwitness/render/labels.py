"""The strongest regions of an explanation as labels for sound editors."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from earwitness.types import Attribution, Mask

_MOST_REGIONS = 12  # labels; more are unreadable in an editor
_LEAST_SHARE = 0.01  # of the positive attribution


def region_labels(
    attribution: Attribution, mask: Mask, name: str, offset: float = 0.0, last: float = math.inf
) -> str:
    """Return regions in Audacity's label format: start and end in seconds, text, range in Hz.

    A region is a connected component of the mask. The twelve strongest are listed in order of time,
    with their share of the positive attribution; regions below 1 % are omitted.

    Parameters
    ----------
    name : str
        The text of every label.
    offset : float
        Seconds from the beginning of the file to the explained part.
    last : float
        Length of that part in seconds, where labels end at the latest.
    """
    found, count = ndimage.label(mask.gains > 0.5, structure=np.ones((3, 3)))
    whole = np.maximum(attribution.values, 0).sum(dtype=np.float64)
    if not count or not whole > 0:
        return ""
    rows, columns = np.nonzero(found)
    regions, held = found[rows, columns], np.maximum(attribution.values[rows, columns], 0)
    shares = np.bincount(regions, weights=held) / whole
    strongest = [k for k in np.argsort(-shares)[:_MOST_REGIONS] if shares[k] >= _LEAST_SHARE]
    cells = {k: (rows[regions == k], columns[regions == k]) for k in strongest}
    half_time = (
        float(attribution.times[1] - attribution.times[0]) / 2 if found.shape[1] > 1 else 0.0
    )
    lines = []
    name = " ".join(name.split())  # a tab or a line break would end the label
    for k in sorted(strongest, key=lambda k: cells[k][1].min()):
        rows, columns = cells[k]
        start = max(0.0, float(attribution.times[columns.min()]) - half_time)
        end = min(last, float(attribution.times[columns.max()]) + half_time)
        low, high = attribution.freqs[rows.min()], attribution.freqs[rows.max()]
        start, end = start + offset, end + offset
        lines.append(f"{start:.6f}\t{end:.6f}\t{name} {100 * shares[k]:.0f}%")
        lines.append(f"\\\t{low:.2f}\t{high:.2f}")
    return "".join(line + "\n" for line in lines)
