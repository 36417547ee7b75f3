"""The table of components as the page holds it: small curves of one byte per value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earwitness.clips import find_clips
from earwitness.explanation import Explanation
from earwitness.render.evidence import strongest
from earwitness.report.links import link
from earwitness.report.packing import pack
from earwitness.types import FloatArray, Segment

MOST_BINS, MOST_FRAMES = 64, 128  # of the small curves
_LEAST = 0.005  # relevance; less would be written as 0.00
_CORNER = 700.0  # Hz, of the mel axis, as in the script of the page


def pack_components(root: Path, one: Explanation, data: str = "") -> dict[str, Any] | None:
    """Return the components of largest absolute relevance, at most twelve, as plain JSON values.

    Those of less than 0.005 are left out.

    A curve is scaled to its own largest value. Patterns lie on a mel axis from 0 Hz to half the
    rate. The sum of what is held is some 5 kB.

    Parameters
    ----------
    root : Path
        The folder of the page; links are relative to it.
    data : str
        Folder of the training sounds; with it, segments have links to the files in it.
    """
    table = one.components
    if table is None:
        return None
    chosen = [k for k in strongest(list(table.relevance)) if abs(table.relevance[k]) >= _LEAST]
    known = sounds_by_name(data) if data else {}
    rows = []
    for k in chosen:
        segments = table.strongest[k] if table.strongest else ()
        peak = None
        if table.patterns is not None:
            peak = float(one.attribution.freqs[table.patterns[k].argmax()])
        rows.append(
            {
                "component": k,
                "name": table.names[k],
                "relevance": float(f"{table.relevance[k]:.5g}"),
                "peak": peak,
                "time": float(one.attribution.times[table.activations[k].argmax()]),
                "active": bool(table.activations[k].max() > 0),
                "strongest": [_segment(root, part, known) for part in segments],
            }
        )
    top = float(one.attribution.freqs[-1])
    patterns = None if table.patterns is None else mel_maxima(table.patterns[chosen], top)
    return {
        "count": len(table.names),
        "data": bool(data),
        "rows": rows,
        "patterns": None if patterns is None or not rows else pack(codes(patterns)),
        "activations": pack(codes(maxima(table.activations[chosen]))) if rows else None,
    }


def _segment(root: Path, segment: Segment, known: Mapping[str, Path]) -> dict[str, Any]:
    place = known.get(segment.file)
    return {**vars(segment), "link": link(place, root) if place else None}


@lru_cache(maxsize=4)
def sounds_by_name(folder: str) -> dict[str, Path]:
    """Return the sounds of a folder by their paths relative to it, and by the ends of their paths.

    An end is what a path has after one of its folders, ``dog/01.wav`` or ``01.wav``; those of
    several sounds are left out. So a collection is found in a folder above or below the one that
    its own paths are relative to, and a bare name if it is unique.

    Raises
    ------
    AudioError
        If there is no sound in it.
    """
    clips = find_clips([folder])
    found: dict[str, Path | None] = {}
    for path in clips:
        parts = Path(os.path.abspath(path)).parts[1:]
        for first in range(len(parts)):
            end = "/".join(parts[first:])
            found[end] = None if end in found else path
    exact = {path.relative_to(folder).as_posix(): path for path in clips}
    return {end: path for end, path in found.items() if path} | exact


def mel_maxima(patterns: FloatArray, top: float) -> FloatArray:
    """Return the largest values (component, band) of patterns in bands of equal width in mel.

    Parameters
    ----------
    patterns : ndarray, shape (component, freq)
        At equal steps from 0 Hz on. A band that is narrower than a step takes the next value.
    top : float
        The last frequency in Hz.
    """
    bins = patterns.shape[1]
    count = min(MOST_BINS, bins)
    hertz = _CORNER * ((1 + top / _CORNER) ** (np.arange(count + 1) / count) - 1)
    edges = np.round(hertz / top * bins).astype(int)
    bands = zip(edges[:-1], np.maximum(edges[1:], edges[:-1] + 1), strict=True)
    return np.stack([patterns[:, low:high].max(axis=1) for low, high in bands], axis=1)


def maxima(activations: FloatArray) -> FloatArray:
    """Return the largest values (component, step) of activations in equal steps of time."""
    frames = activations.shape[1]
    starts = np.arange(min(MOST_FRAMES, frames)) * frames // min(MOST_FRAMES, frames)
    found: FloatArray = np.maximum.reduceat(activations, starts, axis=1)
    return found


def codes(curves: FloatArray) -> NDArray[np.uint8]:
    """Return curves (component, step) as shares of their largest values, 0 to 255."""
    tops = curves.max(axis=1, keepdims=True, initial=0.0)
    shares = np.divide(curves, tops, out=np.zeros_like(curves), where=tops > 0)
    return np.round(255 * shares.clip(0, 1)).astype(np.uint8)
