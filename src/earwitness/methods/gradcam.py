"""Grad-CAM on the plane."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from earwitness.backward.following import Following
from earwitness.errors import NotApplicableError
from earwitness.layers.axes import LayerAxes
from earwitness.layers.choosing import (
    FEW_CHANNELS,
    ChosenLayer,
    deciding_layer,
    layer_module,
    named_layer,
)
from earwitness.layers.placing import channel_axes, per_cell, place, place_axes
from earwitness.layers.recording import gradient_leaf, recording, require_one_call
from earwitness.methods.registry import register
from earwitness.probe import Probe
from earwitness.steps import no_gradient
from earwitness.types import Map

_ELSEWHERE = 0.2  # share of the map that may lie where the score's gradient is not, unnoted
_NO_GRADIENT = 1e-4  # of the largest; a cell with less has none
_WITHOUT_EFFECT = 0.01  # change of the score relative to that without the layer


@register(
    "gradcam",
    summary="activations of a layer weighted by their mean gradient, at its resolution",
    limits="detail below the layer's resolution, and paths that bypass the layer (residuals)",
    paper="Selvaraju et al.: Grad-CAM, 2017, eq. 1 and 2",
    needs_gradients=True,
    layerwise=True,
    cost=3,
)
def gradcam(probe: Probe, *, layer: str = "") -> Map:
    """Compute ``ReLU(sum_k a_k A_k)`` with ``a_k`` the mean gradient of the score on map ``k``.

    Of a transformer, the layer is in the last block where tokens other than the special ones still
    matter; special tokens (class, distillation) are left out of the map and of the mean.

    The map is placed at the measured time and frequency of the layer's receptive fields
    (``layers.axes``) and interpolated from there to the plane, not stretched like an image. A layer
    without a frequency axis gives a map that is constant over frequency, marked "time only". If the
    layer's output goes straight into an activation function, ``A`` is the output of that: a channel
    that a ReLU switches off is no evidence.

    The mean gradient is one number per channel. In a layer of few channels it cannot tell the cells
    that the score depends on from others, so a note says which share of the map lies where the
    layer does not affect the score.

    Frequencies and times that the network does not read have no attribution: it is tried out at the
    ends of both axes.

    Beside the forward and backward pass of every sound, finding and placing the layer takes
    fourteen passes, once per model and length of sound, and some more where an end is not read.

    Parameters
    ----------
    layer : str
        Name of a module as in ``named_modules``; by default the last one that the score depends on
        whose output has eight channels or more and both a time and a frequency axis, else a time
        axis; else the last one with fewer channels.

    Raises
    ------
    NotApplicableError
        If the score does not depend on the layer, or no layer has a time axis.
    """
    probe.require_gradients()
    require_one_call(probe.model, probe.samples)
    windows = probe.model.windows(probe.samples)
    size = windows[0][1]
    chosen = (
        named_layer(probe.model, layer, probe.target, size, probe.tick)
        if layer
        else deciding_layer(probe.model, probe.target, size, probe.tick)
    )
    name, axes = chosen.name, chosen.axes
    following = Following()

    def keep(_: str, tensor: Tensor) -> Tensor:
        # the graph starts at this layer: nothing before it must be differentiable
        following.start = gradient_leaf(tensor)
        return following.start

    ones = torch.ones(1, *probe.shape, device=probe.device, requires_grad=True)
    hooked = {name: layer_module(probe.model, name)}
    with torch.enable_grad(), probe.model.frozen():
        with recording(hooked, keep), following:
            score = probe.score(ones)
        if following.start is None:
            raise NotApplicableError(f"{probe.model.name} did not call its layer {name!r}")
        activation, function = following.end()
        gradient = probe.differentiate(score, activation, layer=name)
    if layer and not bool(gradient.any()):
        raise no_gradient(probe.model.name, layer)
    # special tokens of a transformer have no place
    cells, slopes = axes.split(activation.detach()), axes.split(gradient)
    details: dict[str, Any] = {"layer": name}
    details["axes"] = "time only" if axes.freq_axis is None else "time, frequency"
    if function:
        details["activation"] = function
    maps = _class_maps(cells, slopes, replace(axes, tokens=None))
    notes = _notes(probe, chosen, float(score.detach()), maps, cells, slopes)
    if notes:
        details["notes"] = notes
    return Map(
        place(maps, axes, windows, probe.samples, probe.times, probe.freqs, probe.model.rate),
        details,
    )


def _notes(
    probe: Probe,
    chosen: ChosenLayer,
    score: float,
    maps: Tensor,
    cells: Tensor,
    slopes: Tensor,
) -> list[str]:
    """Return a note if much of the map lies where the layer does not affect the score.

    The reference is the map of local effects, the gradient times the activation in every cell. It
    differs from the map if the gradient is not the same in all cells. With many channels that alone
    is no fault: a maximum over time has a gradient at one frame only, but depends on all. So there
    the cells without a gradient are tried: the score with the layer's output in these cells only is
    compared with that without any output.
    """
    name, axes = chosen.name, replace(chosen.axes, tokens=None)
    local = per_cell(slopes * cells, axes).relu()
    if not bool(maps.any()):
        return []
    both = [one / one.sum().clamp(min=1e-30) for one in (maps, local)]
    elsewhere = 1 - float(torch.minimum(*both).sum())
    if elsewhere <= _ELSEWHERE:
        return []
    channels = channel_axes(slopes, axes)
    reach = slopes.abs().amax(dim=channels, keepdim=True) if channels else slopes.abs()
    dead = reach <= _NO_GRADIENT * reach.max()
    few = FEW_CHANNELS
    share = float((both[0] * per_cell(dead.to(slopes), axes)).sum())
    if share > _ELSEWHERE:
        only, without = (
            _masked_score(probe, chosen, gains.expand_as(slopes))
            for gains in (dead, torch.zeros_like(dead))
        )
        if abs(only - without) <= _WITHOUT_EFFECT * abs(score - without):
            return [f"{share:.0%} of the map lies where layer {name!r} has no effect on the score"]
        few = 2  # after a maximum the local effect is no reference
    count = math.prod(cells.shape[axis] for axis in channels)
    if count >= few:
        return []
    return [
        f"layer {name!r} has {count} channel{'s' if count > 1 else ''}, too few for Grad-CAM to "
        f"separate what decides from what is loud: {elsewhere:.0%} of the map lies elsewhere than "
        "the layer's local effect on the score"
    ]


def _masked_score(probe: Probe, chosen: ChosenLayer, gains: Tensor) -> float:
    """Return the score with a layer's cells multiplied by gains."""
    hooked = {chosen.name: layer_module(probe.model, chosen.name)}
    ones = torch.ones(1, *probe.shape, device=probe.device)

    def masked(_: str, output: Tensor) -> Tensor:
        return chosen.axes.join(chosen.axes.split(output) * gains, output)

    with torch.no_grad(), recording(hooked, masked):
        return float(probe.score(ones))


def _class_maps(activation: Tensor, gradient: Tensor, axes: LayerAxes) -> Tensor:
    """Return ReLU(sum over channels of mean gradient times activation), (window, freq, time)."""
    places = place_axes(axes)
    weights = gradient.mean(dim=places, keepdim=True)
    return per_cell(weights * activation, axes).relu()
