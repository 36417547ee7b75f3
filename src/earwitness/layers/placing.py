"""Values on a layer's cells, brought to the plane at the measured places of the cells."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from earwitness.layers.axes import (
    COARSE,
    DRAWS,
    Edges,
    LayerAxes,
    Recorder,
    evaluate,
    noises,
)
from earwitness.models.model import Model
from earwitness.plane.knots import interpolate
from earwitness.plane.windows import joined

_UNREAD = 2e-2  # change by all cells beyond an edge, relative to that by all cells
_PART = 8  # of each end of an axis an eighth is tried first


def bounded(
    model: Model,
    record: Recorder,
    name: str,
    axes: LayerAxes,
    samples: int,
    tick: Callable[[int], None],
) -> LayerAxes:
    """Return axes with ``span`` and ``band``, found by changing the ends of noise.

    A network may read a part only: bands up to 8 kHz of sounds at 32 kHz, or the first seconds. The
    ends of the layer's cells do not tell, because wide fields are placed roughly. An edge is known
    to a few cells of the plane, because a change there leaks. Where an eighth at an end of an
    axis changes the output, as usual, the axis has no edge there; along time it is tried where no
    cell lies in it. That costs four passes as a rule.

    Parameters
    ----------
    record : callable
        From a callback to a context in which it is called with names and tensors, once ``name``.
    """
    plane, recorded = model.plane, dict[str, Tensor]()
    times, freqs = plane.times(plane.frames(samples)), plane.freqs()
    noise, other = noises(model, samples, DRAWS[0])

    def keep(own: str, tensor: Tensor) -> None:
        if own == name:
            recorded[name] = tensor.detach().float().clone()

    def output(sound: Tensor) -> Tensor:
        evaluate(model, sound[None], samples)
        tick(1)
        return recorded[name]

    def change(cells: Tensor) -> float:
        now = output(noise + COARSE * cells.to(noise.device) * other)
        # a change of level alone is that of a network which divides by the peak
        level = (now * usual).sum() / usual.square().sum().clamp(min=1e-30)
        return float((now - level * usual).norm())

    def edge(axis: int, places: Tensor, *, upper: bool) -> float:
        """Return the place beyond which no cell changes the output, or infinity."""
        count = len(places)

        def unread(cells: int) -> bool:
            ones = torch.zeros(count)
            ones[count - cells :] = 1
            ones = ones if upper else ones.flip(0)
            return change(ones[None] if axis else ones[:, None]) <= _UNREAD * whole

        most, least = count, max(1, count // _PART)
        if not unread(least):
            return math.inf if upper else -math.inf
        while most - least > 1:
            middle = (least + most) // 2
            least, most = (middle, most) if unread(middle) else (least, middle)
        last = count - least if upper else least - 1  # the unread cell beside the others
        beside = max(last - 1, 0) if upper else min(last + 1, count - 1)
        return float(places[last] + places[beside]) / 2

    with torch.no_grad(), model.undisturbed(), record(keep):
        usual = output(noise)
        whole = change(torch.ones(1, 1))
        if not whole:
            return axes
        band = edge(0, freqs, upper=False), edge(0, freqs, upper=True)
        near = samples / model.rate / _PART
        low, high = axes.times.min() > near, axes.times.max() < (_PART - 1) * near
        span = (
            edge(1, times, upper=False) if low else -math.inf,
            edge(1, times, upper=True) if high else math.inf,
        )
    return replace(axes, span=span, band=band)


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

    Frames that no window covers and cells that the layer does not depend on are zero. Frames after
    the sound's end belong to the window that ends there.

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
        at = times[inside] - start / rate
        along = interpolate(one, axes.times.to(one), at.to(one)) * _within(at, axes.span).to(one)
        if axes.freq_axis is not None:
            along = interpolate(along.T, axes.freqs.to(one), freqs.to(one)).T
        parts.append(along.expand(len(freqs), -1) * _within(freqs, axes.band).to(one)[:, None])
        starts.append(int(inside.nonzero()[0]))
    return joined(parts, starts, len(times))


def _within(places: Tensor, edges: Edges) -> Tensor:
    return (places >= edges[0]) & (places <= edges[1])
