"""Which axes of a layer are time and frequency, measured from its receptive fields.

Nothing is assumed about the order of a layer's axes, its strides or its frequency scale. The model
is evaluated on noise with one time segment, then one frequency band, attenuated. The positions at
which the activations change along each axis determine which axis is time, which is frequency, their
direction, and the position of every index in seconds and Hz. Attenuating one band keeps the overall
level nearly constant, so this also works for networks that normalise their input by its level.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor, nn

from earwitness.layers.recording import recording
from earwitness.models.model import Model
from earwitness.plane.mel import hz_to_mel, mel_to_hz

_BANDS = 24  # per axis; resolves a layer down to 1/24 of the range
_BATCH = 7  # sounds per forward pass; 49 sounds in 7 passes
_ZOOMS = 6  # at most; each divides the range by up to 12
_LEVELS = (  # RMS of the noise; the others are for layers without response at 0.1
    0.1,
    1.0,
    0.01,
)  # RMS of the noise in full scale; the others are for layers that saturate or are 0 at 0.1
_REMOVED = 0.02  # gain of an attenuated band (-34 dB)
_SEED = 20240607  # of the noise; any fixed value
_EFFECTIVE = 1e-2  # share of the change of the band with the largest effect
_FEWEST = 3  # bands with an effect; fewer do not define a direction
_MANY = 8  # bands; so many are in order by chance in fewer than one case of 500
_MONOTONE = 0.9  # rank correlation between band and position from which they are in order
_SPREAD = 0.25  # indices that the centre of mass moves by, at least
_CONTIGUOUS = 0.7  # variance relative to shuffled indices, at most
_LEAST_INFORMATION = 1e-9  # nats; an axis with less is not assigned


@dataclass(frozen=True)
class LayerAxes:
    """The time and frequency axes of a layer's output (the batch is axis 0).

    Attributes
    ----------
    time_axis, freq_axis : int or None
    times : Tensor, shape (length of the time axis,)
        Position of every index in seconds from the start of the window.
    freqs : Tensor, shape (length of the frequency axis,)
        Position of every index in Hz.
    """

    time_axis: int | None
    freq_axis: int | None
    times: Tensor
    freqs: Tensor


def find_axes(
    model: Model, modules: dict[str, nn.Module], samples: int, *, last: bool = False
) -> dict[str, LayerAxes]:
    """Return the axes of all modules whose output has a time axis, in order of execution.

    A layer may depend on a small part of the plane only. So the bands first cover the whole plane,
    then repeatedly the range that had an effect, until it no longer shrinks.

    Parameters
    ----------
    model : Model
    modules : mapping of name to module
        Modules of ``model.module``.
    samples : int
        Length of the window to calibrate for; the model must accept it as one window.
    last : bool
        Whether to go from the last module back and return the first found with both axes alone,
        which takes a fraction of the passes; all modules with a time axis if none has both.
    """
    seconds = samples / model.rate
    highest = float(hz_to_mel(torch.tensor(model.rate / 2)))
    found: dict[str, LayerAxes] = {}
    for level in _LEVELS:
        missing = {name: module for name, module in modules.items() if name not in found}
        whole = (0.0, seconds), (0.0, highest)
        at_level: dict[str, LayerAxes] = {}
        calibrated = _calibrate(model, missing, samples, level, *whole)
        for name, bands in reversed(calibrated.items()):
            ranges = whole
            for _ in range(_ZOOMS):
                smaller = bands[0].effective_range(), bands[1].effective_range()
                if smaller == ranges:
                    break
                ranges = smaller
                one = {name: modules[name]}
                bands = _calibrate(model, one, samples, level, *ranges).get(name, bands)
            axes = _locate(*bands, seconds, highest)
            if axes.time_axis is not None:
                at_level[name] = axes
            if last and axes.time_axis is not None and axes.freq_axis is not None:
                return {name: axes}
        found |= dict(reversed(at_level.items()))
        if any(axes.freq_axis is not None for axes in found.values()) or len(found) == len(modules):
            break
    return found


@dataclass(frozen=True)
class _Bands:
    """The change of a layer's output due to attenuating each band.

    Attributes
    ----------
    edges : Tensor, shape (band + 1,)
        Edges of the bands in seconds or mel.
    centres : Tensor, shape (band,)
        Mean position of the bins or frames in each band.
    profiles : list over bands of lists over axes of Tensor
        Squared change of the layer's output along each of its axes.
    """

    edges: Tensor
    centres: Tensor
    profiles: list[list[Tensor]]

    def effective(self) -> list[int]:
        """Return the indices of the bands that had an effect."""
        changed = torch.stack([profile[0].sum() for profile in self.profiles]).double()
        loudest = float(changed.max())
        return (changed >= _EFFECTIVE * loudest).nonzero().flatten().tolist() if loudest > 0 else []

    def effective_range(self) -> tuple[float, float]:
        """Return the range of the bands that had an effect, plus half a band on either side."""
        which = self.effective()
        if not which or len(which) >= len(self.profiles) // 2:
            return float(self.edges[0]), float(self.edges[-1])
        half = float(self.edges[1] - self.edges[0]) / 2
        low = max(float(self.edges[0]), float(self.edges[which[0]]) - half)
        return low, min(float(self.edges[-1]), float(self.edges[which[-1] + 1]) + half)

    def along(self, axis: int) -> Tensor:
        """Return the squared change along an axis, shape (effective band, index)."""
        return torch.stack([self.profiles[k][axis] for k in self.effective()]).double()

    def positions(self) -> Tensor:
        """Return the positions of the effective bands in seconds or mel."""
        return self.centres[self.effective()]


def _calibrate(
    model: Model,
    modules: dict[str, nn.Module],
    samples: int,
    level: float,
    time_range: tuple[float, float],
    mel_range: tuple[float, float],
) -> dict[str, tuple[_Bands, _Bands]]:
    """Attenuate each time segment, then each band, and record the change of every module."""
    plane = model.plane
    frames = plane.frames(samples)
    noise = torch.randn(1, samples, generator=torch.Generator().manual_seed(_SEED))
    spectrum = plane.analyse(noise.to(model.device) * level)[0]
    time_edges, times, columns = _bands(plane.times(frames), *time_range)
    mel_edges, mels, rows = _bands(hz_to_mel(plane.freqs()), *mel_range)
    whole, removed = torch.ones(plane.bins, frames), torch.tensor(_REMOVED)
    gains = [whole]
    gains += [torch.where(inside[None, :], removed, whole) for inside in columns]
    gains += [torch.where(inside[:, None], removed, whole) for inside in rows]
    reference: dict[str, Tensor] = {}
    changed: dict[str, list[list[Tensor]]] = {}
    several: set[str] = set()

    def compare(name: str, tensor: Tensor) -> None:
        if tensor.ndim < 3 or len(tensor) != len(some):
            return
        tensor = tensor.detach()  # a network may enable gradients itself
        if name not in reference:
            reference[name] = tensor[:1].clone()
            changed[name] = []
        if tensor.shape[1:] != reference[name].shape[1:]:
            several.add(name)  # one module called at several places
            return
        change = (tensor - reference[name]).float() ** 2
        along = [change.sum(dim=_others(change, axis)).cpu() for axis in range(1, change.ndim)]
        changed[name] += [list(profiles) for profiles in zip(*along, strict=True)]

    with torch.no_grad(), model.undisturbed(), recording(modules, compare):
        size = 1 if model.one_by_one else _BATCH
        for some in torch.stack(gains).to(model.device).split(size):
            if model.frontend is not None:
                model.from_magnitude(some * spectrum.abs())
            else:
                model(plane.synthesise(some * spectrum, samples))
    return {
        name: (
            _Bands(time_edges, times, profiles[1 : 1 + len(columns)]),
            _Bands(mel_edges, mels, profiles[1 + len(columns) :]),
        )
        for name, profiles in changed.items()
        # called exactly once per pass
        if len(profiles) == len(gains) and name not in several
    }


def _bands(centres: Tensor, low: float, high: float) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Divide a range into bands of equal width, each with at least one bin or frame.

    Returns
    -------
    Tensor, shape (band + 1,)
        Edges.
    Tensor, shape (band,)
        Mean position of the bins or frames in each band.
    list of Tensor, shape (bin or frame,), bool
        Membership in each band.
    """
    count = int(((centres >= low) & (centres <= high)).sum())
    edges = torch.linspace(low, high, max(2, min(_BANDS, count)) + 1)
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
    axes = range(len(by_time.profiles[0]))
    in_time: dict[int | None, float] = {axis: _alignment(by_time, axis) for axis in axes}
    in_freq: dict[int | None, float] = {axis: _alignment(by_freq, axis) for axis in axes}
    in_time[None] = in_freq[None] = _LEAST_INFORMATION
    pairs = [(t, f) for t, f in product(in_time, in_freq) if t != f or t is None]
    time_axis, freq_axis = max(pairs, key=lambda pair: in_time[pair[0]] + in_freq[pair[1]])
    along = hertz = torch.zeros(0)
    if time_axis is not None:
        along = _line(by_time.along(time_axis), by_time.positions()).clamp(0, seconds)
    if freq_axis is not None:
        mels = _curve(by_freq.along(freq_axis), by_freq.positions())
        hertz = mel_to_hz(mels.clamp(0, highest))
    plus_batch = [None if axis is None else axis + 1 for axis in (time_axis, freq_axis)]
    return LayerAxes(plus_batch[0], plus_batch[1], along, hertz)


def _alignment(bands: _Bands, axis: int) -> float:
    """Return the information (nats) of an axis about the bands, 0 if it is not aligned with them.

    An axis is aligned if the centre of mass of the change is monotone in the band. Channels can be
    so by chance. So if few bands had an effect, the change of each must also be contiguous, as it
    is along time and frequency but not across channels.
    """
    if len(bands.effective()) < _FEWEST or len(bands.profiles[0][axis]) < 2:
        return 0.0
    weights = bands.along(axis)
    centres = _centre_of_mass(weights)
    steady = abs(_rank_correlation(centres)) >= _MONOTONE
    moves = float(centres.max() - centres.min()) >= _SPREAD
    sure = len(weights) >= _MANY or _scatter(weights) <= _CONTIGUOUS
    return _information(weights) if steady and moves and sure else 0.0


def _scatter(weights: Tensor) -> float:
    """Return the variance of each band's change along the axis, relative to that with the indices
    shuffled: far below 1 if neighbouring indices change together.
    """
    share = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-300)
    count = share.shape[1]
    indices = torch.arange(count, dtype=torch.float64)
    variance = (share * (indices - (share @ indices)[:, None]) ** 2).sum(dim=1)
    shuffled = (count**2 - 1) / 12 * (1 - (share**2).sum(dim=1)) * count / (count - 1)
    usable = shuffled > 1e-9
    return float((variance[usable] / shuffled[usable]).mean()) if bool(usable.any()) else 0.0


def _information(weights: Tensor) -> float:
    """Return the mutual information (nats) of band and index, from the change of each band."""
    joint = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-300) / len(weights)
    apart = joint.sum(dim=0, keepdim=True) / len(weights)
    terms = joint * (joint.clamp(min=1e-300) / apart.clamp(min=1e-300)).log()
    return float(terms.sum())


def _rank_correlation(values: Tensor) -> float:
    ranks = values.argsort().argsort().double()
    order = torch.arange(len(values), dtype=torch.float64)
    return float(torch.corrcoef(torch.stack([ranks, order]))[0, 1])


def _centre_of_mass(weights: Tensor) -> Tensor:
    indices = torch.arange(weights.shape[1], dtype=torch.float64)
    return (weights * indices).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-300)


def _centres(weights: Tensor) -> Tensor:
    """Return the position along an axis at which each band changed the output: the centre of mass
    of its change above the median band, squared to favour the peak over a wide receptive field.
    """
    share = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-300)
    above = (share - share.median(dim=0).values).clamp(min=0) ** 2
    above = torch.where(above.sum(dim=1, keepdim=True) > 0, above, share)
    return _centre_of_mass(above)


def _line(weights: Tensor, places: Tensor) -> Tensor:
    """Return the positions of evenly spaced indices, such as frames: a robust linear fit (the
    Theil-Sen estimator, with medians over all pairs of bands).
    """
    centres = _centres(weights)
    first, second = torch.triu_indices(len(places), len(places), offset=1)
    apart = centres[second] - centres[first]
    usable = apart.abs() > 1e-6
    slope = ((places[second] - places[first])[usable] / apart[usable]).median()
    offset = (places - slope * centres).median()
    return offset + slope * torch.arange(weights.shape[1], dtype=torch.float64)


def _curve(weights: Tensor, places: Tensor) -> Tensor:
    """Return the positions of indices with unknown spacing.

    Near the ends of an axis, the mean position of the bands that affect an index is biased inwards,
    and the inverse of the mean index affected by a band is biased outwards. The mean of the two has
    the smallest bias.
    """
    inverted = _inverted(weights, places)
    share = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-300)
    response = share.sum(dim=0)
    receptive = (share * places[:, None]).sum(dim=0) / response.clamp(min=1e-300)
    return torch.where(response > _EFFECTIVE, (inverted + receptive) / 2, inverted)


def _inverted(weights: Tensor, places: Tensor) -> Tensor:
    """Invert the map from band to index, by linear interpolation and extrapolation."""
    centres = _centres(weights)
    order = centres.argsort()
    knots, places = centres[order], places[order]
    indices = torch.arange(weights.shape[1], dtype=torch.float64)
    left = (torch.searchsorted(knots, indices) - 1).clamp(0, len(knots) - 2)
    width = (knots[left + 1] - knots[left]).clamp(min=1e-6)
    slope = (places[left + 1] - places[left]) / width
    typical = (places[-1] - places[0]) / (knots[-1] - knots[0]).clamp(min=1e-6)
    outside = (indices < knots[0]) | (indices > knots[-1])
    slope = torch.where(outside, typical, slope)
    anchor = torch.where(indices > knots[-1], len(knots) - 1, left)
    return places[anchor] + slope * (indices - knots[anchor])
