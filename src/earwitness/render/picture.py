"""Images of spectrogram and attribution, with linear axes of time and frequency."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earwitness.render.lettering import families
from earwitness.types import Attribution, FloatArray, Mask

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RANGE_DB = 70.0  # dB below the loudest cell; a screen shows no more
_WIDEST = 192  # pixels, frames of a thumbnail
_TALLEST = 80  # pixels, bins of a thumbnail
_EFFORT = 1  # of WebP from 0 to 6: more takes twice the time for 5 % of the bytes


def decibels(magnitude: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return levels (freq, frame) in dB relative to the loudest cell, clipped at -70 dB.

    Examples
    --------
    >>> decibels(np.array([[1.0, 0.1, 0.0]])).round(3).tolist()
    [[0.0, -20.0, -70.0]]
    """
    peak = float(magnitude.max())
    floor = 10 ** (-_RANGE_DB / 20)
    relative = magnitude / peak if peak > 0 else np.zeros_like(magnitude)
    levels: NDArray[np.floating] = 20 * np.log10(np.maximum(relative, floor))
    return levels


def strength(values: FloatArray) -> NDArray[np.floating]:
    """Scale a map (freq, frame) to [-1, 1] by the 99.5th percentile of its absolute values.

    The percentile is robust to single large cells; values beyond it are clipped. A map of zeros
    stays zero.

    Examples
    --------
    >>> strength(np.array([[2.0, -2.0]])).tolist()
    [[1.0, -1.0]]
    """
    size = np.abs(values)
    top = float(np.percentile(size[size > 0], 99.5)) if (size > 0).any() else 1.0
    return np.clip(values / max(top, 1e-30), -1, 1)


def draw(magnitude: FloatArray, attribution: Attribution, mask: Mask, title: str) -> Figure:
    """Plot the spectrogram, and next to it the attribution with the contour of the mask."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    times, freqs = attribution.times, attribution.freqs / 1000
    step_t = float(times[1] - times[0]) if len(times) > 1 else 1.0
    step_f = float(freqs[1] - freqs[0])
    extent = (
        float(times[0]) - step_t / 2, float(times[-1]) + step_t / 2,
        float(freqs[0]) - step_f / 2, float(freqs[-1]) + step_f / 2,
    )  # fmt: skip
    where = {"origin": "lower", "aspect": "auto", "extent": extent}
    levels = left.imshow(decibels(magnitude), cmap="magma", **where)
    figure.colorbar(levels, ax=left, label="dB below the loudest")
    left.set(title="input", xlabel="time (s)", ylabel="frequency (kHz)")
    shown = right.imshow(strength(attribution.values), cmap="RdBu_r", vmin=-1, vmax=1, **where)
    figure.colorbar(shown, ax=right, label="attribution, scaled")
    if mask.gains.min() < 0.5 < mask.gains.max():
        right.contour(mask.gains, [0.5], colors="k", linewidths=0.5, extent=extent)
    right.set(xlabel="time (s)")
    right.set_title(title, fontfamily=families(title), parse_math=False, usetex=False)
    return figure


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG."""
    figure.savefig(path, dpi=110)


def thumbnail(magnitude: FloatArray, values: FloatArray) -> bytes:
    """Return a small WebP image: the spectrogram, tinted where the attribution is positive.

    High frequencies are at the top.
    """
    from PIL import Image

    level = decibels(_shrink(magnitude)) / _RANGE_DB + 1
    tint = np.clip(strength(_shrink(values)), 0, 1)[..., None] ** 0.7
    grey = np.repeat(level[..., None], 3, axis=-1)
    pixels = 255 * (grey * (1 - tint) + np.array([1.0, 0.55, 0.0]) * tint)
    picture = Image.fromarray(np.round(pixels[::-1]).astype(np.uint8)).resize((_WIDEST, _TALLEST))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=50, method=_EFFORT)
    return buffer.getvalue()


def _shrink(values: FloatArray) -> FloatArray:
    """Downsample a map to the size of a thumbnail by the value of largest magnitude per block."""
    for axis, most in ((0, _TALLEST), (1, _WIDEST)):
        length = values.shape[axis]
        if length <= most:
            continue
        block = -(-length // most)
        missing = [(0, 0), (0, 0)]
        missing[axis] = (0, -length % block)
        padded = np.pad(values, missing)
        shape = list(padded.shape)
        shape[axis : axis + 1] = [shape[axis] // block, block]
        blocks = padded.reshape(shape)
        high, low = blocks.max(axis=axis + 1), blocks.min(axis=axis + 1)
        values = np.where(high >= -low, high, low)
    return values
