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
from itertools import pairwise

import torch
from torch import Tensor, nn

from earwitness.models.model import Model
from earwitness.plane.mel import hz_to_mel, mel_to_hz

_BANDS = 24
_BATCH = 7
_QUIET = 0.05
_SEED = 20240607
_MONOTONE = 0.9
_SPREAD = 0.25
_AUDIBLE = 1e-2
_FEWEST = 3


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
    follows cannot change it in place.
    """

    def hook(name: str) -> Callable[..., object]:
        def listen(_module: nn.Module, _inputs: object, output: object) -> object:
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

    A layer may hear only a small part of the plane, so the bands are laid twice: over the whole
    plane, and then over the part that moved anything.

    Parameters
    ----------
    model : Model
    modules : mapping of name to module
        Modules of ``model.module``.
    samples : int
        Length of the window to calibrate for; the model must read it in one piece.
    """
    seconds = samples / model.rate
    highest = float(hz_to_mel(torch.tensor(model.rate / 2)))
    whole = dict.fromkeys(modules, ((0.0, seconds), (0.0, highest)))
    first = _calibrate(model, modules, samples, (0.0, seconds), (0.0, highest))
    found: dict[str, LayerAxes] = {}
    for name, (by_time, by_freq) in first.items():
        parts = by_time.heard(), by_freq.heard()
        if parts != whole[name]:
            again = _calibrate(model, {name: modules[name]}, samples, *parts)
            by_time, by_freq = again.get(name, (by_time, by_freq))
        axes = _locate(by_time, by_freq, seconds, highest)
        if axes.time_axis is not None:
            found[name] = axes
    return found


@dataclass(frozen=True)
class _Bands:
    """What turning up each band moved.

    Attributes
    ----------
    edges : Tensor, shape (band + 1,)
        In seconds or mel.
    centres : Tensor, shape (band,)
        Mean position of the cells in each band.
    profiles : list over bands of lists over axes of Tensor
        Squared change of the layer's output along each of its axes.
    """

    edges: Tensor
    centres: Tensor
    profiles: list[list[Tensor]]

    def strength(self) -> Tensor:
        """Return how much each band moved, relative to the one that moved most."""
        moved = torch.stack([profile[0].sum() for profile in self.profiles]).double()
        return moved / moved.max().clamp(min=1e-300)

    def heard(self) -> tuple[float, float]:
        """Return the range of the bands that moved anything, with half a band on either side."""
        which = (self.strength() >= _AUDIBLE).nonzero().flatten()
        if len(which) == 0 or len(which) >= len(self.profiles) // 2:
            return float(self.edges[0]), float(self.edges[-1])
        half = float(self.edges[1] - self.edges[0]) / 2
        low = max(float(self.edges[0]), float(self.edges[which[0]]) - half)
        return low, min(float(self.edges[-1]), float(self.edges[which[-1] + 1]) + half)

    def usable(self) -> tuple[list[list[Tensor]], Tensor]:
        """Return profiles and centres of the bands that moved anything."""
        which = (self.strength() >= _AUDIBLE).nonzero().flatten().tolist()
        return [self.profiles[k] for k in which], self.centres[which]


def _calibrate(
    model: Model,
    modules: dict[str, nn.Module],
    samples: int,
    time_range: tuple[float, float],
    mel_range: tuple[float, float],
) -> dict[str, tuple[_Bands, _Bands]]:
    """Turn up one band of time, then one of frequency, and note what moves in each module."""
    plane = model.plane
    frames = plane.frames(samples)
    noise = torch.randn(1, samples, generator=torch.Generator().manual_seed(_SEED))
    spectrum = plane.analyse(noise.to(model.device) * 0.1)[0]
    quiet, loud = torch.full((plane.bins, frames), _QUIET), torch.ones(())
    time_edges, times, columns = _bands(plane.times(frames), *time_range)
    mel_edges, mels, rows = _bands(hz_to_mel(plane.freqs()), *mel_range)
    gains = [quiet]
    gains += [torch.where(inside[None, :], loud, quiet) for inside in columns]
    gains += [torch.where(inside[:, None], loud, quiet) for inside in rows]
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
    return {
        name: (
            _Bands(time_edges, times, profiles[1 : 1 + len(columns)]),
            _Bands(mel_edges, mels, profiles[1 + len(columns) :]),
        )
        for name, profiles in moved.items()
        if len(profiles) == len(gains)  # not called more than once in a pass
    }


def _bands(centres: Tensor, low: float, high: float) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Cut a range into bands of equal width, each with at least one cell.

    Returns
    -------
    Tensor, shape (band + 1,)
        Edges.
    Tensor, shape (band,)
        Mean position of the cells in each band.
    list of Tensor, shape (cell,), bool
        Which cells lie in each band.
    """
    cells = int(((centres >= low) & (centres <= high)).sum())
    edges = torch.linspace(low, high, max(2, min(_BANDS, cells)) + 1)
    inside = []
    for start, end in pairwise(edges):
        band = (centres >= start) & (centres < end)
        if not bool(band.any()):
            band[int((centres - (start + end) / 2).abs().argmin())] = True
        inside.append(band)
    return edges, torch.stack([centres[band].double().mean() for band in inside]), inside


def _others(tensor: Tensor, axis: int) -> list[int]:
    return [other for other in range(1, tensor.ndim) if other != axis]


def _locate(by_time: _Bands, by_freq: _Bands, seconds: float, highest: float) -> LayerAxes:
    in_time, times = by_time.usable()
    in_freq, mels = by_freq.usable()
    axes = list(range(len(by_time.profiles[0])))
    time_axis = _moving_axis(in_time, axes)
    freq_axis = _moving_axis(in_freq, [axis for axis in axes if axis != time_axis])
    along = hertz = torch.zeros(0)
    if time_axis is not None:
        along = _line(in_time, time_axis, times).clamp(0, seconds)
    if freq_axis is not None:
        hertz = mel_to_hz(_positions(in_freq, freq_axis, mels).clamp(0, highest))
    plus_batch = [None if axis is None else axis + 1 for axis in (time_axis, freq_axis)]
    return LayerAxes(plus_batch[0], plus_batch[1], along, hertz)


def _centres(profiles: list[list[Tensor]], axis: int) -> Tensor:
    """Return where along an axis each band moved the activations: the centre of mass of what it
    moved more than most bands did, squared to favour the peak over a wide receptive field.
    """
    weights = torch.stack([profile[axis] for profile in profiles]).double()
    share = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-300)
    above = (share - share.median(dim=0).values).clamp(min=0) ** 2
    above = torch.where(above.sum(dim=1, keepdim=True) > 0, above, share)
    return _centre_of_mass(above)


def _centre_of_mass(weights: Tensor) -> Tensor:
    indices = torch.arange(weights.shape[1], dtype=torch.float64)
    return (weights * indices).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-300)


def _moving_axis(profiles: list[list[Tensor]], axes: list[int]) -> int | None:
    """Return the axis along which the activations move steadily with the bands, if there is one.

    Of several, the one that tells the bands apart best: channels may follow the bands too, but
    coarsely.
    """
    if len(profiles) < _FEWEST:
        return None
    best: tuple[float, int] | None = None
    for axis in axes:
        if len(profiles[0][axis]) < 2:
            continue
        weights = torch.stack([profile[axis] for profile in profiles]).double()
        centres = _centre_of_mass(weights)
        steady = abs(_rank_correlation(centres))
        spread = float(centres.max() - centres.min())
        telling = _information(weights)
        if steady >= _MONOTONE and spread >= _SPREAD and (best is None or telling > best[0]):
            best = (telling, axis)
    return None if best is None else best[1]


def _information(weights: Tensor) -> float:
    """Return the mutual information (nats) of band and index, given what each band moved."""
    joint = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-300) / len(weights)
    apart = joint.sum(dim=0, keepdim=True) / len(weights)
    terms = joint * (joint.clamp(min=1e-300) / apart.clamp(min=1e-300)).log()
    return float(terms.sum())


def _rank_correlation(values: Tensor) -> float:
    ranks = values.argsort().argsort().double()
    order = torch.arange(len(values), dtype=torch.float64)
    return float(torch.corrcoef(torch.stack([ranks, order]))[0, 1])


def _line(profiles: list[list[Tensor]], axis: int, bands: Tensor) -> Tensor:
    """Return where indices lie if they are evenly spaced, as frames always are: the line through
    the medians of slope and offset over all pairs of bands (Theil and Sen).
    """
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
    return places[anchor] + slope * (indices - knots[anchor])
