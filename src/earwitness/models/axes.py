"""Where on the plane a layer's map lies, found by asking the network itself.

Nothing is assumed about the order of a layer's axes, its strides or its frequency scale. Noise is
played with one band of time, then one band of frequency, turned up; the layer's activations move,
and where along each of its axes they move tells which axis is time, which is frequency, which way
round they run and where every index lies in seconds and Hz.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from earwitness.models.model import Model
from earwitness.plane.mel import hz_to_mel, mel_to_hz

_BANDS = 16
_BATCH = 11
_QUIET = 0.05
_SEED = 20240607
_MONOTONE = 0.9
_SPREAD = 0.25


@dataclass(frozen=True)
class LayerAxes:
    """Which axes of a layer's output (counted with the batch as 0) lie along time and frequency.

    Attributes
    ----------
    time_axis, freq_axis : int or None
    times : Tensor, shape (length of the time axis,)
        Seconds from the start of the window.
    freqs : Tensor, shape (length of the frequency axis,)
        Hz.
    """

    time_axis: int | None
    freq_axis: int | None
    times: Tensor
    freqs: Tensor


@contextmanager
def listening(
    modules: dict[str, nn.Module], heard: Callable[[str, Tensor], Tensor | None]
) -> Iterator[None]:
    """Show the output tensor of each module to ``heard``; hooks are gone afterwards, whatever
    happens. If ``heard`` returns a tensor, the network goes on with a copy of it, so that what
    follows cannot change it in place."""

    def hook(name: str) -> Callable[..., object]:
        def listen(module: nn.Module, inputs: object, output: object) -> object:
            tensor = first_tensor(output)
            kept = None if tensor is None else heard(name, tensor)
            return kept.clone() if kept is not None and kept is output else None

        return listen

    handles = []
    try:
        for name, module in modules.items():
            handles.append(module.register_forward_hook(hook(name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def first_tensor(output: object) -> Tensor | None:
    """Return the tensor in a module's output, the first one of a tuple such as an LSTM's."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
        return output[0]
    return None


def find_axes(model: Model, modules: dict[str, nn.Module], samples: int) -> dict[str, LayerAxes]:
    """Return the axes of those modules whose output has a time axis, in the order of execution.

    Parameters
    ----------
    model : Model
    modules : mapping of name to module
        Modules of ``model.module``.
    samples : int
        Length of the window to calibrate for; the model must read it in one piece.
    """
    plane = model.plane
    frames = plane.frames(samples)
    noise = torch.randn(1, samples, generator=torch.Generator().manual_seed(_SEED))
    spectrum = plane.analyse(noise.to(model.device) * 0.1)[0]
    time_edges = torch.linspace(0, samples / model.rate, _BANDS + 1)
    mel_edges = torch.linspace(0, float(hz_to_mel(torch.tensor(model.rate / 2))), _BANDS + 1)
    freq_edges = mel_to_hz(mel_edges)
    in_time = _bands(plane.times(frames), time_edges)
    in_freq = _bands(plane.freqs(), freq_edges)
    quiet = torch.full((plane.bins, frames), _QUIET)
    loud = torch.ones(())
    gains = [quiet]
    gains += [torch.where(inside[None, :], loud, quiet) for inside in in_time]
    gains += [torch.where(inside[:, None], loud, quiet) for inside in in_freq]
    reference: dict[str, Tensor] = {}
    moved: dict[str, list[list[Tensor]]] = {}

    def compare(name: str, tensor: Tensor) -> None:
        if tensor.ndim < 3 or len(tensor) != len(some):
            return
        if name not in reference:
            reference[name] = tensor[:1].clone()
            moved[name] = []
        change = (tensor - reference[name]) ** 2
        along = [change.sum(dim=_others(change, axis)).cpu() for axis in range(1, change.ndim)]
        moved[name] += [list(profiles) for profiles in zip(*along, strict=True)]

    with torch.no_grad(), model.undisturbed(), listening(modules, compare):
        for some in torch.stack(gains).to(model.device).split(_BATCH):
            if model.frontend is not None:
                model.from_magnitude(some * spectrum.abs())
            else:
                model(plane.synthesise(some * spectrum, samples))
    times = (time_edges[1:] + time_edges[:-1]) / 2
    mels = (mel_edges[1:] + mel_edges[:-1]) / 2
    found = {}
    for name, profiles in moved.items():
        if len(profiles) != len(gains):  # called more than once in a pass: no single map
            continue
        axes = _locate(profiles[1 : 1 + _BANDS], profiles[1 + _BANDS :], times, mels)
        if axes.time_axis is not None:
            found[name] = axes
    return found


def _bands(centres: Tensor, edges: Tensor) -> list[Tensor]:
    """Return which cells lie in each band; the nearest cell where a band holds none."""
    inside = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        band = (centres >= low) & (centres < high)
        if not bool(band.any()):
            band = torch.zeros_like(band)
            band[int((centres - (low + high) / 2).abs().argmin())] = True
        inside.append(band)
    return inside


def _others(tensor: Tensor, axis: int) -> list[int]:
    return [other for other in range(1, tensor.ndim) if other != axis]


def _locate(
    by_time: list[list[Tensor]], by_freq: list[list[Tensor]], times: Tensor, mels: Tensor
) -> LayerAxes:
    axes = range(len(by_time[0]))
    time_axis = _moving_axis(by_time, axes)
    freq_axis = _moving_axis(by_freq, [axis for axis in axes if axis != time_axis])
    seconds = hertz = torch.zeros(0)
    if time_axis is not None:
        seconds = _line(by_time, time_axis, times)
    if freq_axis is not None:
        hertz = mel_to_hz(_positions(by_freq, freq_axis, mels))
    plus_batch = [None if axis is None else axis + 1 for axis in (time_axis, freq_axis)]
    return LayerAxes(plus_batch[0], plus_batch[1], seconds, hertz)


def _centres(profiles: list[list[Tensor]], axis: int) -> Tensor:
    """Return where along an axis each band moved the activations: the centre of mass of what it
    moved more than most bands did, squared to favour the peak over a wide receptive field."""
    weights = torch.stack([profile[axis] for profile in profiles]).double()
    share = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-300)
    above = (share - share.median(dim=0).values).clamp(min=0) ** 2
    above = torch.where(above.sum(dim=1, keepdim=True) > 0, above, share)
    indices = torch.arange(weights.shape[1], dtype=torch.float64)
    return (above * indices).sum(dim=1) / above.sum(dim=1).clamp(min=1e-300)


def _moving_axis(profiles: list[list[Tensor]], axes: object) -> int | None:
    """Return the axis along which the activations move steadily with the bands, if there is one."""
    best: tuple[float, int] | None = None
    for axis in axes:  # type: ignore[attr-defined]
        length = len(profiles[0][axis])
        if length < 2:
            continue
        centres = _centres(profiles, axis)
        steady = abs(_rank_correlation(centres))
        spread = float(centres.max() - centres.min()) / (length - 1)
        if steady >= _MONOTONE and spread >= _SPREAD and (best is None or steady > best[0]):
            best = (steady, axis)
    return None if best is None else best[1]


def _rank_correlation(values: Tensor) -> float:
    ranks = values.argsort().argsort().double()
    order = torch.arange(len(values), dtype=torch.float64)
    return float(torch.corrcoef(torch.stack([ranks, order]))[0, 1])


def _line(profiles: list[list[Tensor]], axis: int, bands: Tensor) -> Tensor:
    """Return where indices lie if they are evenly spaced, as frames always are: the line through
    the medians of slope and offset over all pairs of bands (Theil and Sen)."""
    centres, places = _centres(profiles, axis), bands.double()
    first, second = torch.triu_indices(len(bands), len(bands), offset=1)
    apart = centres[second] - centres[first]
    usable = apart.abs() > 1e-6
    slope = ((places[second] - places[first])[usable] / apart[usable]).median()
    offset = (places - slope * centres).median()
    return offset + slope * torch.arange(len(profiles[0][axis]), dtype=torch.float64)


def _positions(profiles: list[list[Tensor]], axis: int, bands: Tensor) -> Tensor:
    """Invert "band moves index" to "index lies at", straight between bands and beyond them."""
    centres = _centres(profiles, axis)
    order = centres.argsort()
    knots, places = centres[order], bands.double()[order]
    indices = torch.arange(len(profiles[0][axis]), dtype=torch.float64)
    left = (torch.searchsorted(knots, indices) - 1).clamp(0, len(knots) - 2)
    width = (knots[left + 1] - knots[left]).clamp(min=1e-6)
    slope = (places[left + 1] - places[left]) / width
    typical = (places[-1] - places[0]) / (knots[-1] - knots[0]).clamp(min=1e-6)
    outside = (indices < knots[0]) | (indices > knots[-1])
    slope = torch.where(outside, typical, slope)
    anchor = torch.where(indices > knots[-1], len(knots) - 1, left)
    found = places[anchor] + slope * (indices - knots[anchor])
    half = float(bands[1] - bands[0]) / 2
    return found.clamp(float(bands.min()) - half, float(bands.max()) + half)
