"""Values on a layer's cells, brought to the plane at the measured places of the cells."""

from __future__ import annotations

import math

from torch import Tensor

from earwitness.layers.axes import LayerAxes
from earwitness.plane.knots import interpolate
from earwitness.plane.windows import joined


def place_axes(axes: LayerAxes) -> list[int]:
    """Return the axes of a layer's cells that are frequency, if there is one, and time."""
    return [axis for axis in (axes.freq_axis, axes.time_axis) if axis is not None]


def channel_axes(cells: Tensor, axes: LayerAxes) -> list[int]:
    """Return all other axes of a layer's cells, except the batch."""
    return [axis for axis in range(1, cells.ndim) if axis not in place_axes(axes)]


def as_maps(values: Tensor, axes: LayerAxes) -> Tensor:
    """Return a layer's output as (batch, channel, freq or 1, frame), in the layer's own order."""
    cells = axes.split(values)
    places, channels = place_axes(axes), channel_axes(cells, axes)
    ordered = cells.permute(0, *channels, *places)
    sizes = ordered.shape[1 + len(channels) :]
    return ordered.reshape(len(values), -1, *([1] if len(places) == 1 else []), *sizes)


def as_output(maps: Tensor, like: Tensor, axes: LayerAxes) -> Tensor:
    """Return maps (batch, channel, freq or 1, frame) in the layout of a layer's output.

    Special tokens are those of ``like``.
    """
    cells = axes.split(like)
    order = [0, *channel_axes(cells, axes), *place_axes(axes)]
    ordered = maps.reshape(len(maps), *(cells.shape[axis] for axis in order[1:]))
    return axes.join(ordered.permute([order.index(axis) for axis in range(cells.ndim)]), like)


def per_cell(values: Tensor, axes: LayerAxes) -> Tensor:
    """Return the sum over channels, shape (batch, freq or 1, frame)."""
    return as_maps(values, axes).sum(dim=1)


def place(
    maps: Tensor,
    axes: LayerAxes,
    windows: list[tuple[int, int]],
    samples: int,
    times: Tensor,
    freqs: Tensor,
    rate: int,
) -> Tensor:
    """Interpolate the maps of all windows to the plane and average where windows overlap.

    Frames that no window covers are zero; those after the sound's end belong to the window that
    ends there.

    Parameters
    ----------
    maps : Tensor, shape (window, freq or 1, frame)
        On the cells of the layer.
    axes : LayerAxes
    windows : list of (int, int)
        Start and length of every window in samples.
    samples : int
        Length of the sound.
    times, freqs : Tensor
        Centres of the plane's frames in seconds and of its bins in Hz.
    rate : int
        Sampling rate in Hz.

    Returns
    -------
    Tensor, shape (freq, frame)
    """
    parts, starts = [], []
    for one, (start, length) in zip(maps.float(), windows, strict=True):
        end = start + length if start + length < samples else math.inf
        inside = (times >= start / rate) & (times <= end / rate)
        along = interpolate(one, axes.times.to(one), (times[inside] - start / rate).to(one))
        if axes.freq_axis is not None:
            along = interpolate(along.T, axes.freqs.to(one), freqs.to(one)).T
        parts.append(along.expand(len(freqs), -1))
        starts.append(int(inside.nonzero()[0]))
    return joined(parts, starts, len(times))
