"""Images of spectrogram, attribution, mask and evidence over time and frequency."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from earwitness.render.lettering import families
from earwitness.types import Attribution, FloatArray, Mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

What = Literal["attribution", "mask", "evidence"]
Scale = Literal["linear", "log"]
WHATS: tuple[str, ...] = get_args(What)
SCALES: tuple[str, ...] = get_args(Scale)
_UNITS = {
    "attribution": "attribution, scaled", "mask": "gain", "evidence": "dB below the loudest",
}  # fmt: skip
_GREY = "#7f7f7f"  # a contrast of 4 on white and of 4 on a dark page
_RANGE_DB = 70.0  # dB below the loudest cell; a screen shows no more
_WIDEST = 192  # pixels, frames of a thumbnail
_TALLEST = 80  # pixels, bins of a thumbnail
_EFFORT = 1  # of WebP from 0 to 6: more takes twice the time for 5 % of the bytes


def decibels(
    magnitude: NDArray[np.floating], part: NDArray[np.floating] | None = None
) -> NDArray[np.floating]:
    """Return levels (freq, frame) in dB relative to the loudest cell, clipped at -70 dB.

    Parameters
    ----------
    magnitude : ndarray, shape (freq, frame)
    part : ndarray, shape (freq, frame), optional
        What the levels are of, by default all of it.

    Examples
    --------
    >>> decibels(np.array([[1.0, 0.1, 0.0]])).round(3).tolist()
    [[0.0, -20.0, -70.0]]
    """
    peak = float(magnitude.max())
    floor = 10 ** (-_RANGE_DB / 20)
    part = magnitude if part is None else part
    relative = part / peak if peak > 0 else np.zeros_like(part)
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


def draw(
    magnitude: FloatArray, attribution: Attribution, mask: Mask, title: str,
    what: What = "attribution", scale: Scale = "linear",
) -> Figure:  # fmt: skip
    """Plot the spectrogram, and next to it the attribution, the mask or the evidence."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    whole = _mesh(left, decibels(magnitude), attribution, scale, cmap="magma")
    figure.colorbar(whole, ax=left, label=_UNITS["evidence"])
    left.set_title("input")
    shown = draw_on(right, magnitude, attribution, mask, what, scale)
    figure.colorbar(shown, ax=right, label=_UNITS[what])
    right.set_ylabel("")
    right.set_title(title, fontfamily=families(title), parse_math=False, usetex=False)
    return figure


def draw_on(
    axes: Axes, magnitude: FloatArray, attribution: Attribution, mask: Mask,
    what: What = "attribution", scale: Scale = "linear",
) -> QuadMesh:  # fmt: skip
    """Draw into axes of seconds and Hz, and return what is drawn; a colour bar is the caller's.

    Parameters
    ----------
    axes : matplotlib Axes
    magnitude : ndarray, shape (freq, frame)
    attribution : Attribution
    mask : Mask
    what : {"attribution", "mask", "evidence"}
        The attribution from -1 to 1 (``strength``) with the contour of the mask, the gains, or the
        level of what they keep in dB below the loudest cell of the input.
    scale : {"linear", "log"}
        Of the axis of frequency.
    """
    if what == "mask":
        return _mesh(axes, mask.gains, attribution, scale, cmap="gray", vmin=0, vmax=1)
    if what == "evidence":
        level = decibels(magnitude, mask.gains * magnitude)
        return _mesh(axes, level, attribution, scale, cmap="magma", vmin=-_RANGE_DB, vmax=0)
    values = strength(attribution.values)
    found = _mesh(axes, values, attribution, scale, cmap="RdBu_r", vmin=-1, vmax=1)
    if mask.gains.min() < 0.5 < mask.gains.max() and min(mask.gains.shape) > 1:
        where = attribution.times, attribution.freqs
        axes.contour(*where, mask.gains, [0.5], colors="k", linewidths=0.5)
    return found


def notebook_picture(magnitude: FloatArray, attribution: Attribution, mask: Mask) -> bytes:
    """Return a transparent WebP for light and dark pages: spectrogram, attribution, evidence.

    The attribution lies on the grey spectrogram: orange where it is positive, blue where it is
    negative.
    """
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    figure = Figure(figsize=(11, 2.7), layout="constrained")
    figure.patch.set_alpha(0)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    grey = decibels(magnitude) / _RANGE_DB + 1
    values = strength(attribution.values)
    share = np.abs(values)[..., None] ** 0.7
    colour = np.where(values[..., None] > 0, np.array([1.0, 0.55, 0.0]), np.array([0.2, 0.6, 1.0]))
    tinted = 0.6 * grey[..., None] * (1 - share) + colour * share
    _mesh(panels[0], decibels(magnitude), attribution, "linear", cmap="magma")
    _mesh(panels[1], tinted, attribution, "linear")
    draw_on(panels[2], magnitude, attribution, mask, "evidence")
    for axes, name in zip(panels, ("input", "attribution", "evidence"), strict=True):
        axes.set_title(name, fontsize=10)
        axes.patch.set_alpha(0)
        axes.tick_params(color=_GREY)
        for spine in axes.spines.values():
            spine.set_color(_GREY)
        if axes is not panels[0]:
            axes.set_ylabel("")
    for text in figure.findobj(Text):
        text.set_color(_GREY)
    buffer = io.BytesIO()
    small = {"quality": 60, "method": _EFFORT}
    figure.savefig(buffer, format="webp", dpi=80, pil_kwargs=small)
    return buffer.getvalue()


def _mesh(
    axes: Axes, values: NDArray[np.floating], on: Attribution, scale: Scale, **look: Any
) -> QuadMesh:
    """Draw a map whose cells lie around the centres of bins and frames."""
    from matplotlib.ticker import EngFormatter

    times, freqs = _edges(on.times), _edges(on.freqs)
    freqs = np.maximum(freqs, freqs[1] / 2 if scale == "log" else 0.0)
    found = axes.pcolormesh(times, freqs, values, rasterized=True, **look)
    if scale == "log":
        axes.set_yscale("log")
        axes.set_ylim(freqs[1], freqs[-1])
    axes.yaxis.set_major_formatter(EngFormatter("Hz"))
    axes.set(xlabel="time (s)", ylabel="frequency")
    return found


def _edges(centres: FloatArray) -> NDArray[np.float64]:
    """Return the edges of cells by their centres, which are evenly spaced."""
    wide = centres.astype(np.float64)
    step = wide[1] - wide[0] if len(wide) > 1 else 1.0
    return np.append(wide - step / 2, wide[-1] + step / 2)


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
        starts = np.arange(0, values.shape[axis], -(-values.shape[axis] // most))
        high, low = (f.reduceat(values, starts, axis=axis) for f in (np.maximum, np.minimum))
        values = np.where(high >= -low, high, low)
    return values
